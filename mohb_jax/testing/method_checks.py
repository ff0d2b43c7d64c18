"""Laws of complete runs: repeated, alone, with other results, failing, traced and timed."""

import re
import time
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from mohb_jax.benchmarks.contract import AnyTable
from mohb_jax.benchmarks.table import Table
from mohb_jax.searchers.base import Policy
from mohb_jax.testing import parts
from mohb_jax.testing.case import (
    Case,
    among_others,
    broken,
    difference,
    global_state,
    jobs,
    kept_lanes,
    lanes_of,
)
from mohb_jax.testing.changes import all_failed, shuffled_results, unpaid_changed
from mohb_jax.testing.laws import law
from mohb_jax.testing.parts import EVALUATIONS, Ready, tags_of
from mohb_jax.testing.searcher_checks import begun, calls_of, new_moment, traced
from mohb_jax.testing.trees import different_leaf
from mohb_jax.types import RunLog

CALLBACKS = ("pure_callback", "io_callback", "debug_callback")
NUM_FIRST = 8
"""Proposals by which two beginnings are compared."""
NUM_TIMED = 256


@law("random-repeat", "The same seed gives the same log, and another run index other rows")
def random_repeat(case: Case) -> None:
    """Prepared and run twice; the runs of one task are not all the same."""
    log = case.log()
    if _change_among_others(case, case.again.log):
        again = parts.run(case.again.ready, lanes_of(case.table))
        change = _first_difference(log, again, list(range(len(log.task))))
        if change:
            broken(
                f"Prepared and run again, {change}: draw from the key that init is given and from prepare's "
                "seed, nowhere else"
            )
    first = {tuple(jobs(log, lane)) for lane in range(len(log.task)) if log.task[lane] == log.task[0]}
    if len(first) == 1 and "lists" not in tags_of(case.parts.chooser):
        broken("All runs of a task evaluated the same rows: use the key that init is given")


@law("batch", "A lane gives the same log whatever it is batched with")
def batch(case: Case) -> None:
    """In another order and among others of the same number; nothing is compiled for this."""
    if _change_among_others(case, case.again.log):
        other = parts.run(case.ready(), among_others(case.table))
        _judge_difference("in another order among others", _change_among_others(case, other))


def _change_among_others(case: Case, other: RunLog) -> str | None:
    """Where the log of lanes ``among_others`` differs from the standard one."""
    pairs = kept_lanes(case.table)
    return next(filter(None, (difference(case.log(), other, *pair) for pair in pairs)), None)


@law("alone", "A lane gives the same log alone as in a batch")
def alone(case: Case) -> None:
    """The second of the standard lanes by itself: programs of one lane are compiled."""
    single = parts.run(case.ready(), lanes_of(case.table)[1:2])
    _judge_difference("by itself", difference(case.log(), single, 1, 0))


def _judge_difference(where: str, change: str | None) -> None:
    if change:
        broken(
            f"In its batch and {where}, {change}: no array may mix lanes, and sums must not hang on a batch"
        )


@law("held-out", "What a run proposes first does not depend on its own task's results")
def held_out(case: Case) -> None:
    """Results of the own task dealt out anew; those of other tasks, where the method says it learns from
    them."""
    with parts.short_training():
        own = _beginning(case, case.table)
        if not _same_beginning(own, _beginning(case, shuffled_results(case.table, 0))):
            if not _same_beginning(own, _beginning(case, case.table)):
                return  # not even the same twice: that is what random-repeat says
            broken(
                "With its own results dealt out anew a task gets other proposals: prepare may read only the "
                "configurations of the tasks that it is given; of all others the results, too"
            )
        if case.method.transfers and _knows_the_same(own, _beginning(case, shuffled_results(case.table, 1))):
            broken(
                "Other results of the other task changed nothing: it does not transfer; say transfers=False"
            )


def _beginning(case: Case, table: AnyTable) -> tuple[Any, Any, Ready]:
    ready = parts.make_ready(case.method, table, tasks=(0,), learns_prior=True)
    return ready.context, ready.parts.chooser, ready


def _same_beginning(first: tuple[Any, Any, Ready], second: tuple[Any, Any, Ready]) -> bool:
    """Whether two beginnings propose alike; nothing is compiled if they know the same."""
    if _knows_the_same(first, second):
        return True
    return different_leaf(_first_rows(first[2]), _first_rows(second[2])) is None


def _knows_the_same(first: tuple[Any, Any, Ready], second: tuple[Any, Any, Ready]) -> bool:
    return first[1] == second[1] and different_leaf(first[0], second[0]) is None


def _first_rows(ready: Ready) -> Any:
    chooser, task = ready.parts.chooser, jnp.int32(0)

    def lane(context: Any, key: Any) -> Any:
        begun = chooser.init(context, task, key)
        if isinstance(chooser, Policy):
            return chooser.propose(context, task, begun, new_moment(ready, jnp.int32(0)))[1]
        return chooser.suggest(context, task, begun, NUM_FIRST)[1]

    return jax.jit(jax.vmap(lane, (None, 0)))(ready.context, jax.random.split(jax.random.key(3), 8))


def _no_cells(case: Case) -> str | None:
    return None if isinstance(_holey(case), Table) else "its table is a crossing"


def _holey(case: Case) -> AnyTable:
    """A table on which evaluations fail, if it serves the method."""
    return case.served.get("failing", case.table)


@law("unpaid", "A run knows no result that it has not paid for", _no_cells)
def unpaid(case: Case) -> None:
    """The runs of one task again, with other results and other failures wherever none of them has been."""
    table = _holey(case)
    log = case.log(table)
    own = [lane for lane, task in enumerate(log.task.tolist()) if task == 0]
    paid = np.zeros((table.num_rows, table.num_fidelities), bool)
    for lane in own:
        valid = log.valid[lane]
        paid[log.row[lane][valid], log.fidelity[lane][valid]] = True
    other = unpaid_changed(table, 0, paid)
    again = parts.run(parts.make_ready(case.method, other), lanes_of(table))
    change = _first_difference(log, again, own)
    if change is not None:
        repeated = parts.run(parts.make_ready(case.method, table), lanes_of(table))
        if _first_difference(log, repeated, own) is None:  # or random-repeat tells
            broken(
                f"With other results where it has not been, {change}: prepare may read which rows a task "
                "offers and what is known without training, and no result or failure"
            )


def _first_difference(first: RunLog, second: RunLog, lanes: list[int]) -> str | None:
    changes = (difference(first, second, lane, lane) for lane in lanes)
    return next((change for change in changes if change), None)


@law("failures", "A failed result goes on after all others, and a run in which all fail ends like any other")
def failures(case: Case) -> None:
    """All costs infinite: rows are still those of the task, and no time is NaN. Some costs infinite: in the
    first rung that is cut, what failed goes on only if nothing else is left."""
    if "failing" in case.served:
        _judge_cut(case, case.served["failing"])
    log = parts.run(parts.with_results(case.ready(), all_failed(case.table)), lanes_of(case.table))
    _judge_rows(case, log)
    if np.isnan(log.start).any() or np.isnan(log.end).any():
        broken("The log holds NaN as a time: a failed evaluation has infinite costs, mask them before sums")
    idle = np.flatnonzero(~log.valid.any(axis=1))
    if idle.size:
        broken(f"Lane {idle[0]} evaluated nothing")


def _judge_cut(case: Case, table: AnyTable) -> None:
    cut, log = parts.first_cut(case.method, case.ready(table)), case.log(table)
    if cut is None:
        return
    rung, num_kept = cut
    for lane in np.flatnonzero(log.valid[:, : rung.stop].all(axis=1)):
        finite = np.isfinite(log.costs[lane, rung]).all(axis=1)
        good = set(log.row[lane, rung][finite].tolist())
        later = log.row[lane, rung.stop :][log.valid[lane, rung.stop :]]
        kept = later[np.isin(later, log.row[lane, rung])][:num_kept].tolist()
        if len(kept) == num_kept and len(good & set(kept)) < min(len(kept), len(good)):
            broken(
                f"On 'failing', in lane {lane} rows {kept} went on where {sorted(good)} had not failed: wrap "
                "the rule in failures_last"
            )


def _judge_rows(case: Case, log: RunLog) -> None:
    for lane, task in enumerate(log.task.tolist()):
        own, offered = jobs(log, lane), case.table.measured(task)
        wrong = [row for row, _ in own if not 0 <= row < len(offered) or not offered[row]]
        if wrong:
            broken(
                f"Lane {lane} evaluated row {wrong[0]}, which the task does not offer: infinite costs minus "
                "infinite costs is NaN, and NaN as a whole number is anything"
            )
        if len(set(own)) < len(own) and case.parts.rule is None:
            broken(f"Lane {lane} evaluated a row twice at one level")


@law("no-retrace", "Equal settings and other keys, horizons and results of the same shapes compile nothing")
def no_retrace(case: Case) -> None:
    """A second run under another seed on a table of equal shape, from settings made anew."""
    if parts.take_apart(case.method, case.table).chooser != case.parts.chooser:
        broken("Equal settings gave another searcher or policy: put functools.cache on the factory")
    if case.other.num_compiled:
        broken(
            f"The second run compiled {case.other.num_compiled} programs: cache factories, and keep numbers "
            "of the table in the context, not in closures"
        )


@law("traceable", "All calls are pure array functions: no callback to the host, no state elsewhere")
def traceable(case: Case) -> None:
    """Each call traced twice, and for a batch of lanes; nothing is compiled."""
    ready = case.ready()
    state, states = jax.eval_shape(lambda: begun(ready)), _states(ready)
    before = global_state()
    for what, function in calls_of(ready, ready.parts.chooser):
        first, second = traced(case, what, function)[0], jax.make_jaxpr(function)(state)
        batch = jax.make_jaxpr(jax.vmap(function))(states)
        seen: set[int] = set()
        found = _callbacks(first.jaxpr, seen) + _callbacks(batch.jaxpr, seen)
        if found:
            broken(f"{what} calls the host ({found[0]}): write it in jax.numpy")
        if _text(first) != _text(second) or different_leaf(first.consts, second.consts):
            broken(f"{what} gave two programs when it was traced twice: draw from the key, read no clock")
    if global_state() != before or case.again.draws_globally:
        broken("It drew from the global state of numpy.random: draw from the key, or from prepare's seed")


def _text(program: Any) -> str:
    """A program without the addresses of functions."""
    return re.sub("0x[0-9a-f]+", "", str(program.jaxpr))


def _states(ready: Ready) -> Any:
    keys = jax.random.split(jax.random.key(0), 2)
    begin = jax.vmap(lambda key: ready.parts.chooser.init(ready.context, jnp.int32(0), key))
    return jax.eval_shape(begin, keys)


def _callbacks(jaxpr: Any, seen: set[int]) -> list[str]:
    """Names of the primitives that call the host, in a program and all those inside it.

    ``seen`` are the programs that were looked at: one of a kernel stands in many places.
    """
    if id(jaxpr) in seen:
        return []
    seen.add(id(jaxpr))
    found = [str(eqn.primitive) for eqn in jaxpr.eqns if str(eqn.primitive) in CALLBACKS]
    for eqn in jaxpr.eqns:
        for parameter in eqn.params.values():
            for inner in parameter if isinstance(parameter, tuple | list) else (parameter,):
                inner = getattr(inner, "jaxpr", inner)
                found += _callbacks(inner, seen) if hasattr(inner, "eqns") else []
    return found


@law("budget", "A run keeps its budget, its horizon and its clock")
def budget(case: Case) -> None:
    """On every table: the budget; on one: a horizon of half the time, too."""
    for name, table in case.served.items():
        most = int(case.log(table).valid.sum(axis=1).max())
        if most > EVALUATIONS:
            broken(f"On {name!r} a lane has {most} evaluations where {EVALUATIONS} are the budget")
        _judge_clock(name, table, case.log(table))
    horizon, short = case.other.horizon, case.other.log
    late = short.start[short.valid].max(initial=0.0)
    if late >= horizon:
        broken(f"An evaluation starts at {late:g} s where the horizon is {horizon:g} s")


def _judge_clock(name: str, table: AnyTable, log: RunLog) -> None:
    """Costs are the table's, and a worker does one thing at a time."""
    costs = table.dense(range(table.num_fidelities))[0]
    for lane, task in enumerate(log.task.tolist()):
        own = np.flatnonzero(log.valid[lane])
        row, level, worker = (field[lane][own] for field in (log.row, log.fidelity, log.worker))
        if not np.array_equal(log.costs[lane][own], costs[task, row, level]):
            broken(f"On {name!r}, lane {lane} has costs that the table does not hold")
        for number in set(worker.tolist()):
            mine = own[worker == number]
            if (log.start[lane][mine][1:] < log.end[lane][mine][:-1]).any():
                broken(f"On {name!r}, worker {number} of lane {lane} begins before it has ended")


@law("speed", "Reported, never failed")
def speed(case: Case) -> str:
    """Microseconds per evaluation over many lanes, the second time."""
    lanes = lanes_of(case.table)
    many = [(task, 1000 * turn + run) for turn in range(-(-NUM_TIMED // len(lanes))) for task, run in lanes]
    parts.run(case.ready(), many[:NUM_TIMED])
    start = time.perf_counter()
    log = parts.run(case.ready(), many[:NUM_TIMED])
    seconds = time.perf_counter() - start
    return f"{seconds / max(int(log.valid.sum()), 1) * 1e6:.1f} microseconds per evaluation"


CHECKS = (random_repeat, batch, alone, held_out, unpaid, failures, no_retrace, traceable, budget, speed)
