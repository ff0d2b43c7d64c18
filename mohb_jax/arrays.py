"""The kernels for people: NumPy in, NumPy out, with checks and clear errors.

The kernels themselves are single-lane, unchecked and meant to be compiled. Here each is compiled once per
size class: rows are padded to the next power of two, which no result shows, so that sets of many sizes share
few programs.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, Int
from numpy.typing import ArrayLike

from mohb_jax.errors import InputError
from mohb_jax.kernels import crowding, dominance, epsilon_net, indicators
from mohb_jax.kernels import hypervolume as volume
from mohb_jax.precision import in_64_bits
from mohb_jax.types import Array

SMALLEST_SIZE = 8
LARGEST, SMALLEST = 1e300, 1e-290
"""Between them, differences and quotients of costs are numbers as well."""


class _Rows(NamedTuple):
    """Checked costs, padded to a size class."""

    costs: np.ndarray
    valid: np.ndarray
    num_rows: int


@in_64_bits
def pareto_rank(costs: ArrayLike, valid: ArrayLike | None = None) -> Int[np.ndarray, " n"]:
    """Non-dominated sorting: index of the front that each row falls in, minimising every objective.

    Args:
        costs: one row per configuration, one column per objective. A row with +inf anywhere is a failed
            evaluation, worse than every finite row.
        valid: False marks padding, whose costs are not looked at; None means that all rows are real.

    Returns:
        Front index from 0; duplicates share a front; padding gets n, the number of rows.

    Raises:
        InputError: for a wrong shape, and for NaN or -inf, naming the row.

    References:
        Deb et al., "A fast and elitist multiobjective genetic algorithm: NSGA-II", 2002, section III.A.
    """
    rows = _rows("costs", costs, valid)
    rank = np.asarray(_pareto_rank(_spanned(rows.costs, "rank"), rows.valid))[: rows.num_rows]
    return np.minimum(rank, rows.num_rows)


@in_64_bits
def epsilon_net_order(
    costs: ArrayLike, valid: ArrayLike | None = None, seed_objective: int = 0, scale: str = "minmax"
) -> Int[np.ndarray, " n"]:
    """Rows sorted by front and, within a front, as a greedy epsilon-net, minimising every objective.

    A net opens with the front's best row in one objective; next is always the row farthest from those taken.

    Args:
        costs: one row per configuration, one column per objective, minimised; +inf marks failed evaluations.
        valid: False marks padding; None means that all rows are real.
        seed_objective: index of the objective whose minimum opens a front.
        scale: ``minmax`` maps each objective to [0, 1] before distances are taken, ``rank`` to the share of
            rows below, ``none`` leaves the objective with the largest unit to decide.

    Returns:
        The order: ``order[t]`` is the row that comes t-th (not each row's position). Ties go to the lowest
        index; failed rows follow all others and padding comes last, both in index order.

    Raises:
        InputError: for a wrong shape, NaN or -inf (naming the row), an unknown objective or scale.

    References:
        Clarkson, "Nearest-neighbor searching and metric space dimensions", 2006; Salinas et al., "A
        multi-objective perspective on jointly tuning hardware and hyperparameters", 2021.
    """
    rows = _rows("costs", costs, valid)
    num_objectives = rows.costs.shape[1]
    if not 0 <= seed_objective < num_objectives:
        raise InputError(f"seed_objective is {seed_objective}: accepted are 0 to {num_objectives - 1}")
    if scale not in epsilon_net.SCALES:
        raise InputError(f"scale is {scale!r}: accepted are {', '.join(epsilon_net.SCALES)}")
    usable = rows.valid & np.isfinite(rows.costs).all(axis=1)
    order = np.asarray(_epsilon_net_order(_spanned(rows.costs, scale), usable, seed_objective, scale))
    failed, padding = (np.flatnonzero(which) for which in (rows.valid & ~usable, ~rows.valid))
    order = np.concatenate([order[: usable.sum()], failed, padding])
    return order[: rows.num_rows].astype(np.int32)


@in_64_bits
def crowding_order(costs: ArrayLike, valid: ArrayLike | None = None) -> Int[np.ndarray, " n"]:
    """Rows by ascending front, then descending crowding distance, then index, minimising every objective.

    Args:
        costs: one row per configuration, one column per objective; +inf marks failed evaluations.
        valid: False marks padding; None means that all rows are real.

    Returns:
        The order: ``order[t]`` is the row that comes t-th. Failed rows follow all others and padding comes
        last.

    Raises:
        InputError: for a wrong shape, and for NaN or -inf, naming the row.

    References:
        Deb et al., "A fast and elitist multiobjective genetic algorithm: NSGA-II", 2002, section III.B.
    """
    rows = _rows("costs", costs, valid)
    return np.array(_crowding_order(_spanned(rows.costs, "minmax"), rows.valid))[: rows.num_rows]


@in_64_bits
def hypervolume(costs: ArrayLike, reference: ArrayLike, valid: ArrayLike | None = None) -> float:
    """Exact hypervolume below a reference point, minimising, for at most four objectives.

    Args:
        costs: one row per configuration, one column per objective; +inf marks failed evaluations.
        reference: the point beyond which nothing counts, one value per objective.
        valid: False marks padding; None means that all rows are real.

    Returns:
        The volume; 0 for an empty set.

    Raises:
        InputError: for a wrong shape, NaN or -inf, and more than four objectives, which
            ``hypervolume_monte_carlo`` estimates.

    References:
        Zitzler and Thiele, "Multiobjective optimization using evolutionary algorithms: a comparative case
        study", 1998.
    """
    rows = _rows("costs", costs, valid)
    return float(_hypervolume(rows.costs, _point(reference, rows), rows.valid))


@in_64_bits
def hypervolume_contributions(
    costs: ArrayLike, reference: ArrayLike, valid: ArrayLike | None = None
) -> Float[np.ndarray, " n"]:
    """What the hypervolume loses when a row alone is taken out, for each row and at most four objectives.

    Args:
        costs: one row per configuration, one column per objective. Dominated rows count: they shrink the
            contribution of a row that alone dominates them.
        reference: the point beyond which nothing counts, one value per objective.
        valid: False marks padding; None means that all rows are real.

    Returns:
        Contributions; exactly 0 for dominated rows, for every copy of a duplicate and for padding.

    Raises:
        InputError: for a wrong shape, NaN or -inf, and more than four objectives.

    References:
        Emmerich and Fonseca, "Computing hypervolume contributions in low dimensions", 2011.
    """
    rows = _rows("costs", costs, valid)
    shares = _hypervolume_contributions(rows.costs, _point(reference, rows), rows.valid)
    return np.array(shares)[: rows.num_rows]


@in_64_bits
def hypervolume_monte_carlo(
    costs: ArrayLike,
    reference: ArrayLike,
    num_samples: int = 100_000,
    seed: int = 0,
    valid: ArrayLike | None = None,
) -> float:
    """Estimates the hypervolume, for any number of objectives, from uniform samples.

    Args:
        costs: one row per configuration, one column per objective; +inf marks failed evaluations.
        reference: the point beyond which nothing counts, one value per objective.
        num_samples: how many samples; the standard error is at most ``V / (2 * sqrt(num_samples))``, where V
            is the volume between the best value of each objective and the reference.
        seed: of the samples.
        valid: False marks padding; None means that all rows are real.

    Returns:
        An unbiased estimate; 0 for an empty set.

    Raises:
        InputError: for a wrong shape, NaN or -inf, and fewer than one sample.
    """
    rows = _rows("costs", costs, valid)
    key = jax.random.key(seed)
    return float(_monte_carlo(key, rows.costs, _point(reference, rows), num_samples, rows.valid))


@in_64_bits
def igd_plus(
    costs: ArrayLike,
    front: ArrayLike,
    valid: ArrayLike | None = None,
    front_valid: ArrayLike | None = None,
    reference: ArrayLike | None = None,
) -> float:
    """Mean over the front's points of the distance to the nearest row, counting only what is worse.

    Args:
        costs: the set to judge: one row per configuration, one column per objective, minimised.
        front: the points to reach, in the same objectives.
        valid: False marks padding in ``costs``; None means that all rows are real.
        front_valid: the same for ``front``.
        reference: stands in for ``costs`` where that has no finite row.

    Returns:
        The distance; +inf for an empty front, and for an empty set without ``reference``.

    Raises:
        InputError: for a wrong shape, and for NaN or -inf, naming the row.

    References:
        Ishibuchi et al., "Modified distance calculation in generational distance and inverted generational
        distance", 2015.
    """
    return float(_igd_plus(*_compared(costs, front, valid, front_valid, reference)))


@in_64_bits
def additive_epsilon(
    costs: ArrayLike,
    front: ArrayLike,
    valid: ArrayLike | None = None,
    front_valid: ArrayLike | None = None,
    reference: ArrayLike | None = None,
) -> float:
    """What to take off every objective of the set so that it weakly dominates the whole front.

    Args:
        costs: the set to judge: one row per configuration, one column per objective, minimised.
        front: the points to reach, in the same objectives.
        valid: False marks padding in ``costs``; None means that all rows are real.
        front_valid: the same for ``front``.
        reference: stands in for ``costs`` where that has no finite row.

    Returns:
        Epsilon; +inf for an empty front, and for an empty set without ``reference``.

    Raises:
        InputError: for a wrong shape, and for NaN or -inf, naming the row.

    References:
        Zitzler et al., "Performance assessment of multiobjective optimizers: an analysis and review", 2003.
    """
    return float(_additive_epsilon(*_compared(costs, front, valid, front_valid, reference)))


def _compared(
    costs: ArrayLike,
    front: ArrayLike,
    valid: ArrayLike | None,
    front_valid: ArrayLike | None,
    reference: ArrayLike | None,
) -> tuple:
    """Arguments of an indicator kernel."""
    rows, target = _rows("costs", costs, valid), _rows("front", front, front_valid)
    if rows.costs.shape[1] != target.costs.shape[1]:
        raise InputError(
            f"front has {target.costs.shape[1]} objectives: accepted are {rows.costs.shape[1]}, as in costs"
        )
    stand_in = None if reference is None else _point(reference, rows)
    return rows.costs, target.costs, rows.valid, target.valid, stand_in


def _rows(name: str, costs: ArrayLike, valid: ArrayLike | None) -> _Rows:
    """Checks an argument of one row per configuration, makes failed rows +inf throughout, and pads."""
    values = _numbers(name, costs)
    if values.ndim != 2 or values.shape[1] == 0:
        raise InputError(
            f"{name} has shape {values.shape}: accepted is (rows, objectives), with one objective or more"
        )
    num_rows = len(values)
    real = _truths(name, valid, num_rows)
    bad = real[:, None] & (np.isnan(values) | np.isneginf(values))
    if bad.any():
        row, objective = np.argwhere(bad)[0]
        raise InputError(
            f"{name} row {row} is {values[row, objective]} in objective {objective}: "
            "accepted are numbers, and inf for a failed evaluation"
        )
    values = np.where(real[:, None] & np.isfinite(values).all(axis=1, keepdims=True), values, np.inf)
    fill = max(SMALLEST_SIZE, 1 << (num_rows - 1).bit_length()) - num_rows
    padded = np.pad(values, ((0, fill), (0, 0)), constant_values=np.inf)
    return _Rows(padded, np.pad(real, (0, fill)), num_rows)


def _spanned(costs: np.ndarray, scale: str) -> np.ndarray:
    """Costs of the same order whose differences float64 can hold; most are left as they are.

    Compiled programs take numbers below 2.2e-308 for 0; the difference of numbers above 9e307 is infinite.

    Args:
        costs: checked.
        scale: what is made of them: ``rank`` uses their order alone, ``none`` compares objectives.
    """
    size = np.abs(np.where(np.isfinite(costs), costs, 0.0))
    if size.max(initial=0.0) < LARGEST and size[size > 0].min(initial=1.0) > SMALLEST:
        return costs
    if scale == "rank":
        ranks = [np.unique(column, return_inverse=True)[1].reshape(-1) for column in costs.T]
        return np.where(np.isfinite(costs), np.stack(ranks, axis=1).astype(np.float64), costs)
    exponent = np.frexp(size.max(axis=0 if scale == "minmax" else None))[1]
    return np.ldexp(costs, -exponent)


def _truths(name: str, valid: ArrayLike | None, num_rows: int) -> np.ndarray:
    """Checks a mask over the rows of an argument."""
    real = np.ones(num_rows, bool) if valid is None else np.asarray(valid)
    if real.shape != (num_rows,) or real.dtype != bool:
        raise InputError(
            f"the valid mask of {name} is {real.dtype} of shape {real.shape}: "
            f"accepted is bool of shape ({num_rows},), one per row"
        )
    return real


def _point(reference: ArrayLike, rows: _Rows) -> np.ndarray:
    """Checks a reference point."""
    point, num_objectives = _numbers("reference", reference), rows.costs.shape[1]
    if point.shape != (num_objectives,):
        raise InputError(
            f"reference has shape {point.shape}: accepted is ({num_objectives},), one value per objective"
        )
    if not np.isfinite(point).all():
        raise InputError(f"reference is {point.tolist()}: accepted are finite numbers")
    return point


def _numbers(name: str, values: ArrayLike) -> np.ndarray:
    try:
        array = np.asarray(values)
        if array.dtype.kind not in "biuf":
            raise TypeError(array.dtype)
    except (TypeError, ValueError) as error:
        raise InputError(f"{name} does not hold numbers ({error}): accepted is an array of numbers") from None
    return array.astype(np.float64)


def _net_of_all_rows(costs: Array, usable: Array, seed_objective: int, scale: str) -> Array:
    finite = jnp.where(usable[:, None], costs, 0)
    rank = dominance.pareto_rank(finite, usable)
    scaled = epsilon_net.scale_costs(finite, usable, scale)
    return epsilon_net.epsilon_net_order(scaled, rank, usable, costs.shape[0], seed_objective)


_pareto_rank = jax.jit(dominance.pareto_rank)
_epsilon_net_order = jax.jit(_net_of_all_rows, static_argnums=(2, 3))
_crowding_order = jax.jit(crowding.crowding_order)
_hypervolume = jax.jit(volume.hypervolume)
_hypervolume_contributions = jax.jit(volume.hypervolume_contributions)
_monte_carlo = jax.jit(volume.hypervolume_monte_carlo, static_argnums=3)
_igd_plus = jax.jit(indicators.igd_plus)
_additive_epsilon = jax.jit(indicators.additive_epsilon)
