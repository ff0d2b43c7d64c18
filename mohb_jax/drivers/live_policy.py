"""Steady runs without a table: a policy is asked for each job, perhaps after an opening by halving."""

import dataclasses
import functools
from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, Int

from mohb_jax.drivers.lanes import Lanes
from mohb_jax.drivers.live_halving import LiveHalving
from mohb_jax.drivers.opening import PAST_BLOCK, Opening, is_enough
from mohb_jax.drivers.repetition import Answer, Call, are_many, in_chunks, in_turn, one_by_one
from mohb_jax.drivers.steady import STEPS, Counts, Limits, SteadyPlan, proposed
from mohb_jax.drivers.verdicts import Launch, Verdict
from mohb_jax.errors import InputError
from mohb_jax.precision import in_64_bits
from mohb_jax.searchers.base import Context, Policy, Result, State, first_state
from mohb_jax.types import Array

WIDTH = 4
"""Of an answer."""


class LivePolicy:
    """A run of a ``SteadyPlan`` whose policy decides; see ``LiveRun``."""

    def __init__(self, plan: SteadyPlan, context: Context, lanes: Lanes) -> None:
        if plan.policy.has_phases and plan.budget is None and np.isinf(lanes.horizon[0]):
            raise InputError("evaluations or seconds is needed: this method goes through the phases of a run")
        self.most_out: int | None = plan.num_workers
        self.left: set[int] = set()
        self.goes_on = False
        self._plan, self._context, self._lanes = plan, jax.device_put(context), lanes
        self._state = _started(plan.policy, self._context, lanes)
        self._jobs: list[tuple[int, int]] = []
        self._trials: dict[int, int] = {}
        self._num_steps = 0

    @in_64_bits
    def ask(self, worker: int, seconds: float, going_on: int | None) -> Launch | None:
        """See ``LiveRun``; workers decide nothing."""
        del worker, going_on
        most = _most_results(self._plan, self._num_steps)
        self._num_steps += 1
        counts = np.array([len(self._jobs), len(self._trials)], np.int32)
        self._state, answer = _proposed(self._run(most), self._state, counts, np.float64(seconds))
        return self._launched(np.asarray(answer).tolist())

    def _run(self, most_results: int) -> "_Run":
        return _Run(self._plan.policy, most_results, self._plan.limits, self._context, self._lanes)

    def _launched(self, answer: list[int]) -> Launch | None:
        wanted, row, level, from_level = answer
        if not wanted:
            return None
        self._jobs.append((row, level))
        trial = self._trials.setdefault(row, len(self._trials))
        return Launch(trial, row, self._ladder[level], self._ladder[from_level] if from_level >= 0 else -1)

    @property
    def _ladder(self) -> tuple[int, ...]:
        return self._plan.brackets[0].levels

    def tell(self, number: int, costs: Float[np.ndarray, " m"]) -> Verdict:
        """See ``LiveRun``."""
        row, level = self._jobs[number]
        self._observe(number, row, level, costs)
        return self._verdict(number)

    def _verdict(self, number: int) -> Verdict:
        return Verdict.STOP if self._jobs[number][1] + 1 == len(self._ladder) else Verdict.PAUSE

    @in_64_bits
    def _observe(self, number: int, row: int, level: int, costs: Float[np.ndarray, " m"]) -> None:
        job = np.array([row, level, number], np.int32)
        self._state = _observed(self._run(most_results=0), self._state, job, costs)  # asks for nothing

    @in_64_bits
    def repeat(self, calls: Sequence[Call]) -> list[Answer]:
        """See ``Repeats``."""
        answers: list[Answer] = []
        while len(answers) < len(calls):
            most, rest = _most_results(self._plan, self._num_steps), calls[len(answers) :]
            own = rest[: self._num_served(rest, most)]
            answers += self._at_once(most, own) if are_many(own) else one_by_one(self, own)
        return answers

    def _num_served(self, calls: Sequence[Call], most: int) -> int:
        """Calls before the first that needs another size."""
        num_steps = self._num_steps
        for number, call in enumerate(calls):
            if call.asks and _most_results(self._plan, num_steps) != most:
                return number
            num_steps += call.asks
        return len(calls)

    def _at_once(self, most: int, calls: Sequence[Call]) -> list[Answer]:
        """Answers to calls which one size serves."""
        program = functools.partial(_repeated, self._run(most))
        self._state, found = in_chunks(program, self._state, self._parts(calls))
        self._num_steps += sum(call.asks for call in calls)
        return [
            self._launched(answer) if call.asks else self._verdict(call.job)
            for call, answer in zip(calls, found.tolist(), strict=True)
        ]

    def _parts(self, calls: Sequence[Call]) -> list[np.ndarray]:
        """What ``_repeated`` needs of each call."""
        rows, num_jobs = set(self._trials), len(self._jobs)
        counts, jobs = [], []
        for call in calls:
            counts.append((num_jobs, len(rows)))
            row, level = (0, self._ladder[0]) if call.launch is None else call.launch[1:3]
            jobs.append((row, self._ladder.index(level), call.job))
            if call.asks and call.launch is not None:
                num_jobs += 1
                rows.add(row)
        return [
            np.array([call.asks for call in calls]),
            np.array(counts, np.int32),
            np.array([call.seconds for call in calls]),
            np.array(jobs, np.int32),
            np.array([call.costs for call in calls]),
        ]

    def take_over(self, launches: Sequence[Launch], told: dict[int, Float[np.ndarray, " m"]]) -> None:
        """Goes on with what others have launched.

        Args:
            launches: all so far.
            told: results by number of the launch, in the order of their arrival.
        """
        for launch in launches:
            self._jobs.append((launch.row, launch.level))
            self._trials.setdefault(launch.row, launch.trial)
        for number, costs in told.items():
            self._observe(number, *self._jobs[number], costs)
        for number, launch in enumerate(launches):
            if number not in told:  # of a job that still runs the policy learns that its row is taken
                self._observe(number, launch.row, 0, np.full(len(costs), np.inf))
        self._num_steps = -(-max(len(launches), 1) // PAST_BLOCK) * PAST_BLOCK


class LiveOpening:
    """A run of a ``SteadyPlan`` that halving opens; see ``LiveRun``."""

    def __init__(
        self, plan: SteadyPlan, context: tuple[Context, Context], lanes: Lanes, num_objectives: int
    ) -> None:
        assert plan.opening is not None
        self.most_out: int | None = plan.num_workers
        self.left: set[int] = set()
        self._opening: Opening = plan.opening
        self._halving = LiveHalving(plan.opening.plan, context[1], lanes, num_objectives)
        self._policy = LivePolicy(plan, context[0], lanes)
        self._launches: list[Launch] = []
        self._told: dict[int, Float[np.ndarray, " m"]] = {}
        self._trained, self._has_full, self._is_over = 0.0, False, False

    def ask(self, worker: int, seconds: float, going_on: int | None) -> Launch | None:
        """See ``LiveRun``."""
        if self._is_over:
            return self._policy.ask(worker, seconds, None)
        if len(self._launches) == self._opening.plan.budget:
            return None
        launch = self._halving.ask(worker, seconds, going_on)
        if launch is not None:
            self._launches.append(launch)
        return launch

    def tell(self, number: int, costs: Float[np.ndarray, " m"]) -> Verdict:
        """See ``LiveRun``."""
        if self._is_over:
            return self._policy.tell(number, costs)
        verdict, level = self._halving.tell(number, costs), self._launches[number].level
        self._told[number] = costs
        self._trained += self._opening.shares[level]
        self._has_full |= level + 1 == len(self._opening.shares) and bool(np.isfinite(costs).all())
        is_spent = len(self._told) == self._opening.plan.budget
        if not is_spent and not is_enough(self._opening, self._trained, self._has_full):
            return verdict
        self._is_over = True
        self._policy.take_over(self._launches, self._told)
        return Verdict.STOP


def _most_results(plan: SteadyPlan, num_steps: int) -> int:
    """The size that serves the step after so many."""
    return plan.most_results((num_steps // STEPS + 1) * STEPS)


@functools.partial(jax.jit, static_argnums=0)
def _started(policy: Policy, context: Context, lanes: Lanes) -> State:
    """Policies of lanes that have seen nothing."""

    begin = functools.partial(first_state, policy, context)
    return jax.vmap(begin)(lanes.task, lanes.key, lanes.run)


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class _Run:
    """What the steps of a run share."""

    policy: Policy = dataclasses.field(metadata={"static": True})
    most_results: int = dataclasses.field(metadata={"static": True})
    limits: Limits
    context: Context
    lanes: Lanes


def _of_ask(run: _Run, state: State, counts: Array, seconds: Array) -> tuple[State, Int[Array, " answer"]]:
    """A run's one lane after ``proposed``; whether there is a job, its row and level, and the level before:
    in one array, since each takes time to fetch."""
    policy, most_results, limits, context = run.policy, run.most_results, run.limits, run.context

    def lane(task: Array, horizon: Array, state: State) -> tuple[State, Array]:
        state, job, wanted = proposed(
            policy, most_results, limits, context, task, state, Counts(*counts), seconds, horizon
        )
        answer = [wanted, job.row, job.level, job.from_level]
        return state, jnp.stack([jnp.asarray(part, jnp.int32) for part in answer])

    state, answer = jax.vmap(lane)(run.lanes.task, run.lanes.horizon, state)
    return state, answer[0]


_proposed = jax.jit(_of_ask)


def _of_tell(run: _Run, state: State, job: Array, costs: Array) -> State:
    """A run's one lane that was told of a result: of a row at a level, in the job of a number."""
    row, level, number = job
    result = Result(row, level, costs, number, jnp.bool_(True))
    observe = functools.partial(run.policy.observe, run.context)
    return jax.vmap(lambda task, state: observe(task, state, result))(run.lanes.task, state)


_observed = jax.jit(_of_tell)


@jax.jit
def _repeated(run: _Run, state: State, parts: Sequence[Array], count: Array) -> tuple[State, Array]:
    """The state after many calls, and their answers."""

    def step(state: State, parts: Sequence[Array]) -> tuple[State, Array]:
        asks, counts, seconds, job, costs = parts

        def ask(state: State) -> tuple[State, Array]:
            return _of_ask(run, state, counts, seconds)

        def tell(state: State) -> tuple[State, Array]:
            return _of_tell(run, state, job, costs), jnp.zeros(WIDTH, jnp.int32)

        return jax.lax.cond(asks, ask, tell, state)

    return in_turn(step, WIDTH, state, parts, count)
