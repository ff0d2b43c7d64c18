"""What each tuning run of a finished study had found, and when: read unit by unit, so that memory stays
small."""

from typing import NamedTuple

import jax
import numpy as np
from jaxtyping import Bool, Float, Int

from mohb_jax.analysis.credit import is_result, results_of
from mohb_jax.analysis.lanes import log_arrays, pays_difference
from mohb_jax.analysis.results import FinishedStudy
from mohb_jax.analysis.thinning import not_yet_beaten
from mohb_jax.benchmarks.columns import SECONDS
from mohb_jax.benchmarks.contract import ResultTable
from mohb_jax.benchmarks.credit import EveryFidelity
from mohb_jax.errors import InputError
from mohb_jax.store import Unit
from mohb_jax.types import RunLog

ENERGIES = ("J", "Wh", "kWh")

_SLOTS = 2**14
"""Slots of a log that are looked at together: some megabytes, where each brings ten results."""

Key = tuple[str, str]
"""Task and method."""


class Roles(NamedTuple):
    """Which objectives stand for runtime and cost; the error is objective 0. None: the table has none."""

    runtime: int | None
    cost: int | None


class Runs(NamedTuple):
    """The runs of one method on one task, ascending in their index.

    Results are those that count, in order of their end; where every fidelity does, those of them that any
    definition needs: that lower the run's error, or that no other of the run beats in error and runtime, or
    in error and cost. Padding is ``+inf`` in ``error`` and ``end`` and 0 elsewhere. There is at
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
    names = unit.spec["tasks"]
    stated = np.array([unit.spec["horizon"].get(name) or np.nan for name in names], np.float64)
    about = _About(table, stated, unit.spec["highest_fidelity"], pays_difference(table, unit))
    index = np.array([table.task_index(name) for name in names])[np.asarray(unit.log.task)]
    num_lanes, num_slots = unit.log.valid.shape
    size = max(_SLOTS // max(num_slots, 1), 1)
    blocks = [slice(at, at + size) for at in range(0, num_lanes, size)]
    return _stacked([_block_runs(_part(unit.log, block), index[block], about) for block in blocks])


def _part(log: RunLog, lanes: slice) -> RunLog:
    return jax.tree.map(lambda field: np.asarray(field)[lanes], log)


class _About(NamedTuple):
    """What a unit's lanes have in common."""

    table: ResultTable
    horizon: Float[np.ndarray, " tasks"]
    highest_fidelity: int
    resumable: bool


class _Cells(NamedTuple):
    """What runs had and paid for, in order of lane, slot and fidelity."""

    lane: Int[np.ndarray, " cells"]
    slot: Int[np.ndarray, " cells"]
    row: Int[np.ndarray, " cells"]
    """Row of the table with all its fidelities."""
    end: Float[np.ndarray, " cells"]
    costs: Float[np.ndarray, "cells m"]

    def take(self, some: np.ndarray) -> "_Cells":
        """The cells at the given positions."""
        return _Cells(*(column[some] for column in self))


def _block_runs(log: RunLog, task: Int[np.ndarray, " lanes"], about: _About) -> Runs:
    """Lanes few enough that what they had stays in the processor's cache.

    Args:
        log: of some lanes.
        task: of each lane, an index into the table's tasks.
        about: the unit.
    """
    paid, results = _cells(log, task, about)
    role, num_lanes = roles(about.table), len(log.run)
    found = {"error": results.costs[:, 0]}
    for name, index in role._asdict().items():
        found[name] = np.zeros(results.lane.size) if index is None else results.costs[:, index]
    kept = _in_order(results, found, needed=isinstance(about.table, EveryFidelity))
    found = {name: values[kept] for name, values in found.items()} | {"end": results.end[kept]}
    packed = {name: _packed(results.lane[kept], found[name], num_lanes, _PADDING[name]) for name in found}
    added = np.zeros(paid.lane.size) if role.cost is None else _additions(paid, role.cost, about.resumable)
    spent, total = _spent(paid.lane, paid.end, added, packed["end"])
    last, horizon = np.where(log.valid, log.end, 0.0).max(axis=1, initial=0.0), about.horizon[log.task]
    horizon = np.where(np.isnan(horizon), last, horizon)
    return Runs(np.asarray(log.run, np.int64), horizon, total, **packed, spent=spent)


def _cells(log: RunLog, task: Int[np.ndarray, " lanes"], about: _About) -> tuple[_Cells, _Cells]:
    """What runs had paid for, and what of it counts as a result.

    In full that is every evaluation, and those at the highest fidelity. Where every fidelity counts it is all
    that does: what is paid up to a fidelity on the way is the price of its cell.
    """
    if not isinstance(about.table, EveryFidelity):
        lane, slot = np.nonzero(log.valid)
        every = _Cells(lane, slot, *(np.asarray(part[lane, slot]) for part in (log.row, log.end, log.costs)))
        return every, every.take(np.flatnonzero(is_result(log, about.highest_fidelity)[lane, slot]))
    found = results_of(about.table, log, task, about.highest_fidelity, every_one=True)
    whole = about.table.table
    row, level = np.divmod(found.row, whole.num_fidelities)
    every = _Cells(found.lane, found.slot, row, found.end, whole.look_up(task[found.lane], row, level)[0])
    return every, every


def _in_order(results: _Cells, values: dict[str, np.ndarray], needed: bool) -> Int[np.ndarray, " kept"]:
    """Results by lane and end; if ``needed``, those that ``Runs`` names."""
    kept = np.arange(results.lane.size)
    if needed:  # before they are sorted: most go here
        kept = not_yet_beaten(results.lane, results.end, np.stack([*values.values()], axis=1))
    kept = kept[np.lexsort((results.end[kept], results.lane[kept]))]
    return (
        kept[_needed(results.lane[kept], *(column[kept] for column in values.values()))] if needed else kept
    )


def _needed(
    lane: Int[np.ndarray, " results"],
    error: Float[np.ndarray, " results"],
    *others: Float[np.ndarray, " results"],
) -> Bool[np.ndarray, " results"]:
    """True for results that lower their lane's error, and for those of the final front of error and of one of
    the others.

    Args:
        lane: ascending; within a lane the order of time.
        error: minimised.
        others: minimised.
    """
    kept = _lowering(lane, error)
    for value in others:
        order = np.lexsort((value, error, lane))
        kept[order] |= _lowering(lane[order], value[order])
    return kept


def _lowering(
    lane: Int[np.ndarray, " results"], values: Float[np.ndarray, " results"]
) -> Bool[np.ndarray, " results"]:
    """True where a value is below all that come before it in its lane."""
    packed = _packed(lane, values, int(lane.max(initial=0)) + 1, np.inf)
    lower = np.ones(packed.shape, bool)
    lower[:, 1:] = packed[:, 1:] < np.minimum.accumulate(packed, axis=1)[:, :-1]
    return lower[np.isfinite(packed)]


def _additions(cells: _Cells, cost: int, resumable: bool) -> Float[np.ndarray, " cells"]:
    """What each cell adds to the bill: its price, or what exceeds the dearest earlier one of the same
    training. A training is a row's, or an evaluation's where nothing is resumed; failures have no price."""
    price = np.where(np.isfinite(cells.costs[:, cost]), cells.costs[:, cost], 0.0)
    of = cells.row if resumable else cells.slot
    order = np.argsort(cells.lane * (of.max(initial=0) + 1) + of, kind="stable")
    lane, of, dearest = cells.lane[order], of[order], price[order]
    same = (lane[1:] == lane[:-1]) & (of[1:] == of[:-1])
    before = np.zeros(price.shape)
    while True:  # once, where a longer training is never cheaper
        before[1:] = np.where(same, dearest[:-1], 0.0)
        if (before <= dearest).all():
            break
        dearest = np.maximum(before, dearest)
    added = np.empty(price.shape)
    added[order] = dearest - before
    return added


def _spent(
    payer: Int[np.ndarray, " payments"],
    when: Float[np.ndarray, " payments"],
    amount: Float[np.ndarray, " payments"],
    end: Float[np.ndarray, "lanes results"],
) -> tuple[Float[np.ndarray, "lanes results"], Float[np.ndarray, " lanes"]]:
    """What each lane had paid at each end, payments of that very moment included, and in all.

    Args:
        payer: lane of each payment.
        when: its moment.
        amount: what is paid.
        end: ascending in each lane, infinite for padding.
    """
    lane, place = np.nonzero(np.isfinite(end))
    # Complex numbers are in order of their real part first: by lane, then by moment.
    first = np.searchsorted(lane + 1j * end[lane, place], payer + 1j * when)
    column = np.append(place, 0)[first]
    column[np.append(lane, -1)[first] != payer] = end.shape[1]  # after the lane's last result
    paid = np.bincount(payer * (end.shape[1] + 1) + column, amount, minlength=end.size + len(end))
    paid = np.cumsum(paid.reshape(len(end), -1), axis=1)
    return np.where(np.isfinite(end), paid[:, :-1], 0.0), paid[:, -1]


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
