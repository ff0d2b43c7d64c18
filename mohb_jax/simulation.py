"""The Python entry point: a table, a method and seeds in, what every run evaluated out."""

import itertools
from collections.abc import Mapping, Sequence
from typing import Any

import jax
import numpy as np
from jaxtyping import Int32

from mohb_jax import benchmarks
from mohb_jax.benchmarks.contract import AnyTable
from mohb_jax.drivers.base import Conditions, Plan
from mohb_jax.drivers.lanes import Lanes, cells_of
from mohb_jax.drivers.stopped_rows import may_use_up, with_stopped_rows
from mohb_jax.errors import InputError
from mohb_jax.guards import functions_of, guarded, require_lawful, rungs_of, try_rule
from mohb_jax.methods import METHODS, Asynchronous, External, Method, make_plan, make_settings, method_named
from mohb_jax.plugins import telling
from mohb_jax.precision import in_64_bits
from mohb_jax.promotions import PROMOTIONS
from mohb_jax.settings import check_types, plain_value, require_count
from mohb_jax.transfer import Prior
from mohb_jax.types import Array, Key, RunLog

DEFAULT_EVALUATIONS = 50
"""The default horizon is the time of this many average evaluations at full fidelity, shared by the
workers."""
ARRIVED = 9
"""Results of the rung on which a rule is tried that judges them as they arrive."""


@in_64_bits
def simulate(
    table: AnyTable | str,
    method: str | Method,
    *,
    num_seeds: int = 1,
    first_run: int = 0,
    seed: int = 0,
    tasks: Sequence[str] | None = None,
    evaluations: int | None = None,
    seconds: float | int | Mapping[str, float | int] | None = None,
    workers: int = 4,
    resumable: bool | None = None,
    prior: Prior | None = None,
    sources: AnyTable | None = None,
    **settings: Any,
) -> RunLog:
    """Simulates ``num_seeds`` tuning runs on each task, all together, on all local devices.

    The first call of a method waits for the compiler; a later process finds its programs in the user's cache
    folder, or where ``JAX_COMPILATION_CACHE_DIR`` says.

    Args:
        table: the benchmark or its name; all its objectives are used (``table.select(objectives=...)`` for
            fewer). Objective 0 is the one that single-objective methods minimise.
        method: a name (``mohb list methods``), ``my_module:my_method``, or a method.
        num_seeds: runs per task.
        first_run: index of the first run. A run depends only on ``seed``, its index and its task, so runs 0
            to 99 and 100 to 199 made apart are those that 0 to 199 gives.
        seed: root seed; equal runs of different methods are paired through it.
        tasks: names; all tasks if None. Methods that transfer learn from all tasks of the table but the one
            they run on, whatever tasks are named here.
        evaluations: budget of evaluations per run, counted in launch order.
        seconds: horizon in simulated seconds, one for all tasks or one per task name. With neither budget nor
            horizon, the time in which the workers evaluate 50 average configurations at full fidelity.
        workers: simulated workers.
        resumable: True if promotion pays only the difference in runtime; None for what the table says.
        prior: the transfer prior of this table, from ``learn_prior``; learnt here if None.
        sources: what methods that transfer learn from in place of this table's other tasks: a table of the
            same space and tasks, whose results of the task that a run is on stay unread, too.
        **settings: the method's own; ``mohb list methods --json`` names them with their defaults.

    Returns:
        A ``RunLog`` of NumPy arrays, lanes ordered by task, then run.

    Raises:
        InputError: naming the argument at fault.
        UserCodeError: a method from outside the package raised, or broke a law: with its file and line.

    Examples:
        >>> log = simulate("synthetic", "mo-hb", num_seeds=3, evaluations=20, eta=2)
        >>> log.row.shape
        (3, 20)
    """
    table = benchmarks.load(table) if isinstance(table, str) else table
    chosen = method_named(method) if isinstance(method, str) else method
    own = make_settings(chosen, **settings)
    names = table.tasks if tasks is None else tuple(tasks)
    learnt_from = table if sources is None else _same_space(sources, table)
    indices = np.array([table.task_index(name) for name in names], np.int32)
    require_count("num_seeds", num_seeds)
    if not len(indices):
        raise InputError(f"tasks is empty: accepted are {', '.join(table.tasks)}")
    conditions = make_conditions(workers=workers, resumable=resumable, evaluations=evaluations)
    horizon = horizons(table, names, conditions, seconds)
    plan = make_plan(table, chosen, own, conditions)
    is_ours = comes_with_package(chosen, own)
    plan = plan if is_ours else guarded(plan, chosen.label)
    lanes = lanes_of(len(indices), first_run, num_seeds, seed, horizon)
    with telling(chosen.label):
        if not is_ours:
            rule, cuts = _rule_to_try(plan, chosen, own)
            for sizes in cuts:
                try_rule(rule, chosen.label, sizes, table.num_objectives)
        context = plan.prepare(learnt_from, tuple(indices.tolist()), seed, prior)
        used = plan.levels()
        shown = table if names == table.tasks else table.select(tasks=names)
        cells = cells_of(shown, used, conditions.resumable)
        small = may_use_up(table, indices.tolist(), plan, horizon)
        log = plan.in_levels(used).run(cells, context, lanes, jax.local_devices(), with_unfinished=small)
    fidelity = np.where(log.valid, np.array(used)[log.fidelity], -1).astype(np.int32)
    log = log._replace(task=indices[log.task], fidelity=fidelity)
    if not is_ours:
        rungs = rungs_of(plan, log.valid.shape[1])
        require_lawful(log, table, chosen.label, functions_of(plan), rungs)
    if small:
        log = with_stopped_rows(log, table, plan, np.asarray(lanes.horizon), bool(cells.resumable))
    return log


def comes_with_package(method: Method, settings: Any) -> bool:
    """Whether nobody has to watch it; what an optimiser from outside proposes is checked one by one."""
    own_rule = getattr(settings, "promotion", None) in (None, *PROMOTIONS)
    return (METHODS.get(method.name) is method and own_rule) or isinstance(method, External)


def _same_space(sources: AnyTable, table: AnyTable) -> AnyTable:
    """The sources; ``InputError`` unless rows, tasks and objectives are those of the table."""
    for what in ("columns", "objectives", "tasks", "num_rows", "fidelities"):
        own, other = getattr(table, what), getattr(sources, what)
        if own != other:
            raise InputError(
                f"sources is {sources.name!r}, of other {what.replace('num_', '')} than {table.name!r}"
            )
    return sources


def _rule_to_try(plan: Plan, method: Method, settings: Any) -> tuple[Any, list[tuple[int, int]]]:
    """The promotion rule that a run hangs on, and the sizes of rungs: how many results, how many to keep."""
    if isinstance(method, Asynchronous):
        promotion = method.rule(settings)
        judges = promotion.on_arrival is None
        return (promotion.rule(settings), [(ARRIVED, ARRIVED)]) if judges else (None, [])
    sizes = max((bracket.sizes for bracket in plan.brackets), key=len)
    cuts = list(itertools.pairwise(sizes))
    return getattr(plan, "promotion", None), list(dict.fromkeys(cuts[:1] + cuts[-1:]))


def make_conditions(**values: Any) -> Conditions:
    """``Conditions`` of which the types are right; ``InputError`` otherwise."""
    plain = {name: plain_value(value) for name, value in values.items()}
    check_types(Conditions, plain)
    return Conditions(**plain)


def lanes_of(num_tasks: int, first_run: int, num_seeds: int, seed: int, horizon: Sequence[float]) -> Lanes:
    """All runs of all tasks, ordered by task, then run."""
    return lanes_at(num_tasks, np.arange(first_run, first_run + num_seeds, dtype=np.int32), seed, horizon)


def lanes_at(num_tasks: int, runs: Int32[np.ndarray, " runs"], seed: int, horizon: Sequence[float]) -> Lanes:
    """Runs of these numbers, of all tasks, ordered by task."""
    run = np.tile(runs, num_tasks)
    task = np.repeat(np.arange(num_tasks, dtype=np.int32), len(runs))
    return Lanes(task, run, _keys(seed, run), np.repeat(np.asarray(horizon, float), len(runs)))


@jax.jit
def _keys(seed: Array, run: Array) -> Key:
    return jax.vmap(lambda index: jax.random.fold_in(jax.random.key(seed), index))(run)


def horizons(
    table: AnyTable,
    tasks: Sequence[str],
    conditions: Conditions,
    seconds: float | int | Mapping[str, float | int] | None,
) -> list[float]:
    """Simulated seconds per task at which a run ends; infinite where a budget of evaluations ends it."""
    if seconds is None and conditions.evaluations is not None:
        return [np.inf] * len(tasks)
    if conditions.evaluations is None:
        _require_time(table, tasks)
    if seconds is None:
        full = [_average_runtime(table, table.task_index(task)) for task in tasks]
        return [seconds * DEFAULT_EVALUATIONS / conditions.workers for seconds in full]
    per_task = seconds if isinstance(seconds, Mapping) else dict.fromkeys(tasks, seconds)
    for task in tasks:
        if task not in per_task:
            raise InputError(f"seconds has no entry for task {task!r}")
        if not 0 < float(per_task[task]) < np.inf:
            raise InputError(
                f"seconds is {per_task[task]} for task {task!r}: it must be a positive, finite number"
            )
    return [float(per_task[task]) for task in tasks]


def _require_time(table: AnyTable, tasks: Sequence[str]) -> None:
    """``InputError`` where evaluations take no time, so that no horizon ends a run."""
    for task in tasks:
        if not _average_runtime(table, table.task_index(task)) > 0:
            raise InputError(
                f"benchmark {table.name!r}, task {task!r}: the runtime of every full evaluation is 0, so "
                f"no horizon ends a run: give evaluations (--evaluations). {table.provenance}"
            )


def _average_runtime(table: AnyTable, task: int) -> float:
    """Mean seconds of a full evaluation, over the rows that the task offers."""
    return float(table.final_runtime(task)[table.measured(task)].mean())
