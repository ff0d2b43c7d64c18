"""Laws of what proposes rows, searchers and policies: rows, chunks of them, and states."""

from collections.abc import Callable, Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from mohb_jax.searchers.base import Job, Moment, Policy, Result, Searcher, Seen
from mohb_jax.testing.case import Case, broken, jobs
from mohb_jax.testing.laws import law
from mohb_jax.testing.parts import EVALUATIONS, Ready, tags_of
from mohb_jax.testing.trees import changed_shape, different_leaf
from mohb_jax.types import Array, Key

NUM_SEEN = 4
"""Rows of a rung that searchers are told of."""
NUM_TOLD = 6
"""Rungs until they have learnt something."""


@law("rows", "Every row is one that the task offers, and none comes twice at one level in a lane")
def rows(case: Case) -> None:
    """On every table, also on those with fewer rows than the budget."""
    for name, table in case.served.items():
        log = case.log(table)
        for lane, task in enumerate(log.task.tolist()):
            own = jobs(log, lane)
            offered = set(np.flatnonzero(table.measured(task)).tolist())
            strange = [row for row, _ in own if row not in offered]
            if strange:
                broken(
                    f"On {name!r}, lane {lane} evaluated row {strange[0]}, which the task does not offer: "
                    "propose only rows of table.measured(task), and say valid=False when they run out"
                )
            _judge_repeats(case, name, lane, own)


def _judge_repeats(case: Case, name: str, lane: int, own: list[tuple[int, int]]) -> None:
    """A searcher answers for the level where a row begins; above, a promotion rule does."""
    first: dict[int, int] = {}
    seen: set[tuple[int, int]] = set()
    for slot, (row, level) in enumerate(own):
        begins = first.setdefault(row, level) == level
        if (row, level) in seen and (begins or case.parts.policy is not None):
            broken(
                f"On {name!r}, lane {lane} evaluated row {row} at level {level} again in slot {slot}: keep "
                "what was proposed in the state, and leave it out"
            )
        seen.add((row, level))


def _learns(case: Case) -> str | None:
    searcher = case.parts.searcher
    if searcher is None:
        return "it has a policy and no searcher"
    if searcher.learns:
        return "its searcher learns"
    return "its searcher is tagged lists" if "lists" in tags_of(searcher) else None


@law(
    "chunks",
    "Proposals of a searcher that does not learn do not depend on how many are asked for",
    _learns,
)
def chunks(case: Case) -> None:
    """Four proposals and then three are the first seven of seven."""
    searcher, ready = case.parts.searcher, case.ready()
    assert searcher is not None

    def suggested(*sizes: int) -> tuple[list[int], list[bool]]:
        state, row, valid = searcher.init(ready.context, jnp.int32(0), jax.random.key(1)), [], []
        for size in sizes:
            state, more, are = _suggest(searcher, size, ready.context, state)
            row += np.asarray(more).tolist()
            valid += np.asarray(are).tolist()
        return row, valid

    whole, parts = suggested(7), suggested(4, 3)
    if whole != parts:
        broken(
            f"suggest(7) gave rows {whole[0]}, suggest(4) and suggest(3) gave {parts[0]}: count "
            "proposals one by one in the state, or give the searcher the tag 'lists'"
        )


def _suggest(searcher: Searcher, size: int, context: Any, state: Any) -> tuple[Any, Array, Array]:
    return jax.jit(lambda context, state: searcher.suggest(context, jnp.int32(0), state, size))(
        context, state
    )


@law("state", "The state keeps its structure, shapes and dtypes in every call")
def state(case: Case) -> None:
    """So that it may be carried by a compiled loop; nothing is computed for this."""
    ready = case.ready()
    before = jax.eval_shape(lambda: begun(ready))
    for what, function in calls_of(ready, ready.parts.chooser):
        change = changed_shape(before, traced(case, what, function)[1])
        if change:
            broken(f"After {what}, {change}: give constants a dtype (jnp.int32(1)) and use .astype")


def begun(ready: Ready) -> Any:
    """The state of a lane that has seen nothing."""
    return ready.parts.chooser.init(ready.context, jnp.int32(0), jax.random.key(0))


def traced(case: Case, what: str, function: Callable[[Any], Any]) -> tuple[Any, Any]:
    """The program of a call and the shapes of the state after it, made once for all checks."""
    if what not in case.traces:
        ready = case.ready()
        before = jax.eval_shape(lambda: begun(ready))
        case.traces[what] = jax.make_jaxpr(function, return_shape=True)(before)
    return case.traces[what]


def calls_of(ready: Ready, chooser: Searcher | Policy) -> Iterator[tuple[str, Any]]:
    """Every kind of call to a searcher or policy, as a function from state to state."""
    context, task = ready.context, jnp.int32(0)
    if isinstance(chooser, Policy):
        moment = new_moment(ready, jnp.int32(0))
        yield "propose", lambda state: chooser.propose(context, task, state, moment)[0]
        yield "observe", lambda state: chooser.observe(context, task, state, new_result(ready, 0))
        return
    for size in (1, 3):
        yield f"suggest({size})", lambda state, size=size: chooser.suggest(context, task, state, size)[0]
    yield "observe", lambda state: chooser.observe(state, new_seen(ready, jnp.ones(NUM_SEEN, bool), 0))


def new_moment(ready: Ready, number: Array) -> Moment:
    """The moment at which a job is asked for, in a run of the standard budget."""
    return Moment(number, number / EVALUATIONS, ready.plan.most_results(EVALUATIONS))


def new_result(ready: Ready, row: int, valid: bool = True) -> Result:
    """The result of a row at the highest level."""
    highest = jnp.int32(len(ready.plan.brackets[0].levels) - 1)
    costs = ready.cells.look_up(jnp.int32(0), jnp.full(1, row, jnp.int32), jnp.int32(0))[0][0]
    return Result(jnp.int32(row), highest, costs, jnp.int32(row), jnp.bool_(valid))


def new_seen(ready: Ready, valid: Array, junk: int, first: int = 0) -> Seen:
    """Results of a rung from row ``first``; what is not valid has rows and costs that ``junk`` decides."""
    row = first + jnp.arange(NUM_SEEN, dtype=jnp.int32) + jnp.where(valid, 0, jnp.int32(junk))
    row = row % ready.cells.num_rows
    costs = ready.cells.look_up(jnp.int32(0), row, jnp.int32(0))[0]
    return Seen(row, jnp.int32(0), costs, valid, jnp.bool_(ready.cells.num_levels == 1))


def _ignores(case: Case) -> str | None:
    searcher = case.parts.searcher
    return "its searcher does not learn" if searcher is not None and not searcher.learns else None


@law("invalid-result", "What is not valid leaves no trace in the state", _ignores)
def invalid_result(case: Case) -> None:
    """A policy is told of a result that is not valid, a searcher of padding with other contents."""
    ready = case.ready()
    chooser = ready.parts.chooser
    if isinstance(chooser, Policy):
        _judge_invalid(ready, chooser)
    else:
        _judge_padding(ready, chooser)


def _judge_invalid(ready: Ready, policy: Policy) -> None:
    context, task = ready.context, jnp.int32(0)
    tell = jax.jit(lambda state, result: policy.observe(context, task, state, result))
    before = jax.jit(lambda: begun(ready))()
    for row in range(3):
        leaf = different_leaf(before, tell(before, new_result(ready, row + 7, valid=False)))
        if leaf:
            broken(
                f"After {row} results, observe(valid=False) changed {leaf}: end observe with "
                "jax.tree.map(lambda new, old: jnp.where(result.valid, new, old), after, state)"
            )
        before = tell(before, new_result(ready, row))


def _judge_padding(ready: Ready, searcher: Searcher) -> None:
    """The states may differ where the searcher looks at ``valid`` itself; what it proposes may not."""
    first, second = (_told(ready, searcher, junk) for junk in (0, 1))
    leaf = different_leaf(first, second)
    if leaf and different_leaf(
        *(_suggest(searcher, 8, ready.context, state)[1] for state in (first, second))
    ):
        broken(f"Other contents of rows with valid=False changed {leaf}: mask them with seen.valid")


def _told(ready: Ready, searcher: Searcher, junk: int) -> Any:
    """The state after some rungs, half of each padding."""
    tell = jax.jit(searcher.observe)
    state = jax.jit(lambda: begun(ready))()
    for turn in range(NUM_TOLD):
        state = tell(state, new_seen(ready, jnp.arange(NUM_SEEN) < NUM_SEEN // 2, junk, turn * NUM_SEEN))
    return state


def _no_policy(case: Case) -> str | None:
    return "it has a searcher and no policy" if case.parts.policy is None else None


@law(
    "steady-one-worker",
    "With one worker, from_level is -1 or a level at which the row was evaluated before",
    _no_policy,
)
def steady_one_worker(case: Case) -> None:
    """A policy that is asked for one job after another, each result handed in at once."""
    ready = case.ready()
    evaluated: set[tuple[int, int]] = set()
    for number, (row, level, before) in enumerate(_one_by_one(ready)):
        if before >= 0 and (row, before) not in evaluated:
            broken(
                f"Job {number} goes on with row {row} from level {before}, where it was not evaluated: "
                "from_level = -1 starts anew and pays for all"
            )
        evaluated.add((row, level))


def _one_by_one(ready: Ready) -> Iterator[tuple[int, int, int]]:
    """Row, level and from_level of the jobs of one run, until nothing is wanted."""
    policy = ready.parts.policy
    assert policy is not None
    levels, task = jnp.asarray(ready.plan.brackets[0].levels, jnp.int32), jnp.int32(0)

    @jax.jit
    def turn(state: Any, number: Array) -> tuple[Any, Job]:
        state, job = policy.propose(ready.context, task, state, new_moment(ready, number))
        costs = ready.cells.look_up(task, job.row[None], levels[job.level])[0][0]
        result = Result(job.row, job.level, costs, number, job.wanted)
        return policy.observe(ready.context, task, state, result), job

    state = jax.jit(lambda key: policy.init(ready.context, task, key))(_first_key())
    for number in range(EVALUATIONS):
        state, job = turn(state, jnp.int32(number))
        if not job.wanted:
            return
        yield int(job.row), int(job.level), int(job.from_level)


def _first_key() -> Key:
    return jax.random.fold_in(jax.random.key(0), 0)


CHECKS = (rows, chunks, state, invalid_result, steady_one_worker)
