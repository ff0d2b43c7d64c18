"""Steady runs without a table: a policy is asked for each job, perhaps after an opening by halving."""

import functools
from collections.abc import Sequence

import jax
import numpy as np
from jaxtyping import Float

from mohb_jax.drivers.lanes import Lanes
from mohb_jax.drivers.live_halving import LiveHalving
from mohb_jax.drivers.opening import PAST_BLOCK, Opening, is_enough
from mohb_jax.drivers.steady import STEPS, Counts, Limits, SteadyPlan, proposed
from mohb_jax.drivers.verdicts import Launch, Verdict
from mohb_jax.errors import InputError
from mohb_jax.precision import in_64_bits
from mohb_jax.searchers.base import Context, Job, Policy, Result, State, first_state
from mohb_jax.types import Array


class LivePolicy:
    """A run of a ``SteadyPlan`` whose policy decides; see ``LiveRun``."""

    def __init__(self, plan: SteadyPlan, context: Context, lanes: Lanes) -> None:
        if plan.policy.has_phases and plan.budget is None and np.isinf(lanes.horizon[0]):
            raise InputError("evaluations or seconds is needed: this method goes through the phases of a run")
        self.most_out: int | None = plan.num_workers
        self.left: set[int] = set()
        self._plan, self._context, self._lanes = plan, jax.device_put(context), lanes
        self._state = _started(plan.policy, self._context, lanes)
        self._jobs: list[tuple[int, int]] = []
        self._trials: dict[int, int] = {}
        self._num_steps = 0

    @in_64_bits
    def ask(self, worker: int, seconds: float, going_on: int | None) -> Launch | None:
        """See ``LiveRun``; workers decide nothing."""
        del worker, going_on
        self._num_steps += 1
        most = self._plan.most_results(-(-self._num_steps // STEPS) * STEPS)
        counts = Counts(*(np.array(len(part), np.int32) for part in (self._jobs, self._trials)))
        self._state, job, wanted = _proposed(
            self._plan.policy, most, self._plan.limits, self._context, self._lanes, self._state, counts,
            np.float64(seconds),
        )  # fmt: skip
        row, level, from_level, wanted = (part[0].item() for part in (*job[:3], wanted))
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
        return Verdict.STOP if level + 1 == len(self._ladder) else Verdict.PAUSE

    @in_64_bits
    def _observe(self, number: int, row: int, level: int, costs: Float[np.ndarray, " m"]) -> None:
        at = [np.array(part, np.int32) for part in (row, level, number)]
        result = Result(at[0], at[1], costs, at[2], np.array(True))
        self._state = _observed(self._plan.policy, self._context, self._lanes.task, self._state, result)

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


@functools.partial(jax.jit, static_argnums=0)
def _started(policy: Policy, context: Context, lanes: Lanes) -> State:
    """Policies of lanes that have seen nothing."""

    begin = functools.partial(first_state, policy, context)
    return jax.vmap(begin)(lanes.task, lanes.key, lanes.run)


@functools.partial(jax.jit, static_argnums=(0, 1))
def _proposed(
    policy: Policy,
    most_results: int,
    limits: Limits,
    context: Context,
    lanes: Lanes,
    state: State,
    counts: Counts,
    seconds: Array,
) -> tuple[State, Job, Array]:
    """``proposed`` of lanes."""

    def lane(task: Array, horizon: Array, state: State) -> tuple[State, Job, Array]:
        return proposed(policy, most_results, limits, context, task, state, counts, seconds, horizon)

    return jax.vmap(lane)(lanes.task, lanes.horizon, state)


@functools.partial(jax.jit, static_argnums=0)
def _observed(policy: Policy, context: Context, task: Array, state: State, result: Result) -> State:
    """Policies of lanes that were all told of the same result."""
    return jax.vmap(lambda task, state: policy.observe(context, task, state, result))(task, state)
