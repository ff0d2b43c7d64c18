"""What each tuning run of a finished study had found, and when: read unit by unit, so that memory stays
small."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int

from mohb_jax.analysis.credit import is_result, results_of
from mohb_jax.analysis.lanes import log_arrays, pays_difference
from mohb_jax.analysis.results import FinishedStudy
from mohb_jax.analysis.thinning import improving
from mohb_jax.benchmarks.columns import SECONDS
from mohb_jax.benchmarks.contract import ResultTable
from mohb_jax.benchmarks.credit import EveryFidelity
from mohb_jax.errors import InputError
from mohb_jax.store import Unit
from mohb_jax.types import RunLog

ENERGIES = ("J", "Wh", "kWh")

CACHED_SLOTS = 2**16
"""Slots of a log that are sorted together: a megabyte or so."""

Key = tuple[str, str]
"""Task and method."""


class Roles(NamedTuple):
    """Which objectives stand for runtime and cost; the error is objective 0. None: the table has none."""

    runtime: int | None
    cost: int | None


class Runs(NamedTuple):
    """The runs of one method on one task, ascending in their index.

    Results are those that count, in order of their end; where every fidelity does, without those that an
    earlier result equals or beats. Padding is ``+inf`` in ``error`` and ``end`` and 0 elsewhere. There is at
    least one column.
    """

    run: Int[np.ndarray, " runs"]
    horizon: Float[np.ndarray, " runs"]
    """Simulated seconds at which the run ends."""
    total: Float[np.ndarray, " runs"]
    """Cost of all its evaluations."""
    error: Float[np.ndarray, "runs results"]
    runtime: Float[np.ndarray, "runs results"]
    cost: Float[np.ndarray, "runs results"]
    end: Float[np.ndarray, "runs results"]
    spent: Float[np.ndarray, "runs results"]
    """Cost of all evaluations of any fidelity that had finished by ``end``."""

    @property
    def best(self) -> Float[np.ndarray, " runs"]:
        """Least error of each run at its end; infinite without a result."""
        return self.error.min(axis=1)

    def take(self, order: Int[np.ndarray, " some"]) -> "Runs":
        """The runs at the given positions."""
        return Runs(*(column[order] for column in self))


_PADDING = {"error": np.inf, "runtime": 0.0, "cost": 0.0, "end": np.inf, "spent": 0.0}


def roles(table: ResultTable) -> Roles:
    """The first objective that is a time; the first in USD, or else the first that is an energy."""
    units = [objective.unit for objective in table.objectives]
    money = _first(units, ("USD",))
    return Roles(_first(units, tuple(SECONDS)), _first(units, ENERGIES) if money is None else money)


def _first(units: list[str], accepted: tuple[str, ...]) -> int | None:
    return next((index for index, unit in enumerate(units) if unit in accepted), None)


def read_runs(study: FinishedStudy, benchmark: str) -> dict[Key, Runs]:
    """All runs of a study of one benchmark.

    Args:
        study: as its folder holds it.
        benchmark: its benchmark.

    Returns:
        Runs by task and method.

    Raises:
        InputError: a unit is missing or damaged.
    """
    missing = study.num_units - len(study.units)
    if missing:
        raise InputError(
            f"study {study.name}: {missing} of {study.num_units} units are not finished; the same command "
            "goes on from there"
        )
    parts: dict[Key, list[Runs]] = {}
    for unit in study.units:  # each is read once, and let go before the next, for units are large
        held = Unit(unit.spec, log_arrays(unit))
        runs = unit_runs(study.tables[benchmark], held)
        for index, name in enumerate(held.spec["tasks"]):
            own = runs.take(np.flatnonzero(held.log.task == index))
            parts.setdefault((name, held.spec["method"]), []).append(own)
        del held
    return {key: _joined(pieces) for key, pieces in parts.items()}


def _joined(parts: list[Runs]) -> Runs:
    """Runs of several units, ascending, each once."""
    runs = _stacked(parts)
    return runs.take(np.unique(runs.run, return_index=True)[1])


def _stacked(parts: list[Runs]) -> Runs:
    """One ``Runs`` out of several that may differ in width."""
    width = max(part.error.shape[1] for part in parts)
    padded = [
        part._replace(
            **{name: _widened(getattr(part, name), width, filler) for name, filler in _PADDING.items()}
        )
        for part in parts
    ]
    return Runs(*(np.concatenate(columns) for columns in zip(*padded, strict=True)))


def _widened(values: np.ndarray, width: int, filler: float) -> np.ndarray:
    return np.pad(values, ((0, 0), (0, width - values.shape[1])), constant_values=filler)


def unit_runs(table: ResultTable, unit: Unit) -> Runs:
    """The runs of one work unit, lanes in its order (so ``run`` need not ascend).

    Args:
        table: what of the unit's benchmark may count.
        unit: a finished work unit; a task without a stated horizon ends with the lane's last evaluation.
    """
    stated = np.array([unit.spec["horizon"].get(name) or np.nan for name in unit.spec["tasks"]], np.float64)
    about = _About(stated, unit.spec["highest_fidelity"], roles(table), pays_difference(table, unit))
    num_lanes, num_slots = unit.log.valid.shape
    size = max(CACHED_SLOTS // max(num_slots, 1), 1)
    blocks = [
        RunLog(*(np.asarray(part)[at : at + size] for part in unit.log)) for at in range(0, num_lanes, size)
    ]
    if not isinstance(table, EveryFidelity):
        return _stacked([_block_runs(block, about) for block in blocks])
    index = np.array([table.task_index(name) for name in unit.spec["tasks"]])
    opened = (_opened(table, block, index[block.task], about.highest_fidelity) for block in blocks)
    return _stacked([_block_runs(block, about, thin=True) for block in opened])


def _opened(table: EveryFidelity, log: RunLog, task: Int[np.ndarray, " lanes"], highest: int) -> RunLog:
    """The log with a slot for every result that counts, as if each were an evaluation in full: what is paid
    up to a fidelity on the way is the price of its cell."""
    found = results_of(table, log, task, highest, every_one=True)
    num_lanes, row = len(log.run), found.row // table.table.num_fidelities
    costs = table.table.look_up(task[found.lane], row, found.row % table.table.num_fidelities)[0]
    valid = _packed(found.lane, np.ones(row.size), num_lanes, 0).astype(bool)
    end = _packed(found.lane, found.end, num_lanes, np.inf)
    goals = [_packed(found.lane, costs[:, m], num_lanes, np.inf) for m in range(table.num_objectives)]
    return log._replace(
        row=_packed(found.lane, row.astype(np.float64), num_lanes, -1).astype(np.int64),
        fidelity=np.where(valid, highest, -1),
        costs=np.stack(goals, axis=-1),
        start=end,
        end=end,
        worker=np.where(valid, 0, -1),
        valid=valid,
    )


class _About(NamedTuple):
    """What a unit's lanes have in common."""

    horizon: Float[np.ndarray, " tasks"]
    highest_fidelity: int
    roles: Roles
    resumable: bool


def _block_runs(log: RunLog, about: _About, thin: bool = False) -> Runs:
    """Lanes few enough that their slots stay in the processor's cache."""
    end, costs = np.where(log.valid, log.end, np.inf), np.asarray(log.costs)
    order = np.argsort(end, axis=1)
    end = np.take_along_axis(end, order, axis=1)
    spent = _spent(log, order, end, about)
    full = is_result(log, about.highest_fidelity)
    lane, place = np.nonzero(np.take_along_axis(full, order, axis=1))
    result = costs[lane, order[lane, place]]
    horizon = about.horizon[log.task]
    last = np.where(np.isfinite(end), end, 0.0).max(axis=1, initial=0.0)
    values = {"error": result[:, 0], "end": end[lane, place], "spent": spent[lane, place]}
    for name, role in about.roles._asdict().items():
        values[name] = np.zeros(lane.size) if role is None else result[:, role]
    if thin:
        kept = improving(
            lane, np.stack([values[name] for name in ("error", "runtime", "cost")], axis=1)
        ).point
        lane, values = lane[kept], {name: value[kept] for name, value in values.items()}
    return Runs(
        run=np.asarray(log.run, np.int64),
        horizon=np.where(np.isnan(horizon), last, horizon),
        total=spent.max(axis=1, initial=0.0),
        **{name: _packed(lane, values[name], len(end), filler) for name, filler in _PADDING.items()},
    )


def _spent(
    log: RunLog, order: Int[np.ndarray, "lanes slots"], end: Float[np.ndarray, "lanes slots"], about: _About
) -> Float[np.ndarray, "lanes slots"]:
    """``spent_by_end`` of the log's slots in the given order; failed evaluations have no price."""
    if about.roles.cost is None:
        return np.zeros(end.shape)
    cost = np.asarray(log.costs)[..., about.roles.cost]
    price = np.where(log.valid & np.isfinite(cost), cost, 0.0)
    price, row = (np.take_along_axis(np.asarray(part), order, axis=1) for part in (price, log.row))
    return spent_by_end(price, row, end, about.resumable)


def spent_by_end(
    price: Float[np.ndarray, "lanes slots"],
    row: Int[np.ndarray, "lanes slots"],
    end: Float[np.ndarray, "lanes slots"],
    resumable: bool,
) -> Float[np.ndarray, "lanes slots"]:
    """What had been paid when each evaluation ended, evaluations that ended together included.

    Args:
        price: of each evaluation from scratch; 0 for padding.
        row: table row of each evaluation.
        end: ascending in each lane.
        resumable: True if an evaluation pays only what exceeds the row's dearest earlier one.
    """
    paid = np.cumsum(_increments(price, row) if resumable else price, axis=1)
    last_of_moment = np.ones(end.shape, bool)
    last_of_moment[:, :-1] = end[:, :-1] < end[:, 1:]
    later = np.where(last_of_moment, paid, np.inf)[:, ::-1]
    return np.minimum.accumulate(later, axis=1)[:, ::-1]


def _increments(
    price: Float[np.ndarray, "lanes slots"], row: Int[np.ndarray, "lanes slots"]
) -> Float[np.ndarray, "lanes slots"]:
    """What each evaluation adds to the dearest earlier one of its row."""
    num_slots = row.shape[1]
    order = np.argsort(row.astype(np.int64) * num_slots + np.arange(num_slots), axis=1)
    sorted_row, dearest = np.take_along_axis(row, order, axis=1), np.take_along_axis(price, order, axis=1)
    same = sorted_row[:, 1:] == sorted_row[:, :-1]
    before = np.zeros(price.shape)
    while True:  # as many rounds as a row has evaluations: the rungs of a bracket
        before[:, 1:] = np.where(same, dearest[:, :-1], 0.0)
        if (before <= dearest).all():
            break
        dearest = np.maximum(before, dearest)
    added = np.empty(price.shape)
    np.put_along_axis(added, order, dearest - before, axis=1)
    return added


def _packed(
    lane: Int[np.ndarray, " results"],
    values: Float[np.ndarray, " results"],
    num_lanes: int,
    filler: float | int,
) -> Float[np.ndarray, "num_lanes columns"]:
    """Each lane's values in a row, in their order; at least one column."""
    count = np.bincount(lane, minlength=num_lanes)
    packed = np.full((num_lanes, max(int(count.max(initial=0)), 1)), float(filler))
    packed[lane, np.arange(lane.size) - np.repeat(np.cumsum(count) - count, count)] = values
    return packed
