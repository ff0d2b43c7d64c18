"""Expected improvement of normally distributed costs: on the best value of one objective, and on the
hypervolume of up to three.

For the latter, the region that no row dominates is cut into boxes. The volume that a new point adds is the
sum, over boxes, of the part that the point dominates; its coordinates are independent, so the expectation of
each part is a product of one-dimensional integrals. Nothing is sampled.
"""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.custom_batching import custom_vmap
from jaxtyping import Bool, Float, Int
from numpy.polynomial import chebyshev
from scipy.special import erfcx

from mohb_jax.errors import InputError
from mohb_jax.kernels.bits import WORD, members
from mohb_jax.kernels.dominance import dominance_matrix
from mohb_jax.types import Array

MAX_OBJECTIVES = 3
"""More would take a number of boxes that grows with the square of the number of rows, or faster."""
INDIFFERENCE = 1e-6
"""Differences in the logarithm of the expected improvement that do not count: chance decides. Rows can be
exactly as promising as one another, and neither the order of the table nor rounding may choose."""

FRONT_SIZES = (32,)
"""Numbers of rows for which ``improvement_on`` is compiled apart."""
_FARTHEST = 38.0  # deviations: there the density underflows
_BEND = 4.0
_DEGREE = 18


def _tail_factors() -> np.ndarray:
    """Coefficients of a polynomial, the highest power first; see ``_standard_shortfall``."""

    def factor(s: np.ndarray) -> np.ndarray:
        t = _BEND / (_BEND + _FARTHEST) * (1 - s) / 2 + (1 + s) / 2
        x = np.maximum(_BEND / t - _BEND, 0)
        return (1 - x * np.sqrt(np.pi / 2) * erfcx(x / np.sqrt(2))) / t**2

    nodes = chebyshev.chebpts1(_DEGREE + 1)
    return chebyshev.cheb2poly(chebyshev.chebfit(nodes, factor(nodes), _DEGREE))[::-1]


_TAIL_FACTORS = _tail_factors()


class Boxes(NamedTuple):
    """Disjoint boxes that fill the region below a reference point which no row dominates."""

    edges: Float[Array, "m edges"]
    """Of each objective, ascending: minus infinity, the values of the rows, the reference."""
    lower: Int[Array, "m boxes"]
    """Where a box begins, as a place among the edges of each objective."""
    upper: Int[Array, "m boxes"]
    """Where it ends; where it begins if there is no box."""


def undominated_boxes(
    costs: Float[Array, "n m"], valid: Bool[Array, " n"], reference: Float[Array, " m"]
) -> Boxes:
    """The region below a reference point that no row dominates, as boxes.

    At most 1, n + 1 and 2 n + 1 boxes for one, two and three objectives. They are found on the grid of the
    rows' own values: each cell of all objectives but the last has a height, up to which the last is free, and
    cells of one height that are neighbours are joined.

    Args:
        costs: objective values, minimised; dominated rows and duplicates are allowed.
        valid: False marks padding.
        reference: the point beyond which nothing counts. Rows that are not below it in every objective are
            left out.

    Raises:
        InputError: for more than three objectives.

    References:
        Lacour, Klamroth, Fonseca, "A box decomposition algorithm to compute the hypervolume indicator", 2017
        (the number of boxes).
    """
    n, m = costs.shape
    if m > MAX_OBJECTIVES:
        raise InputError(f"the expected improvement takes at most {MAX_OBJECTIVES} objectives, not {m}")
    counts = valid & jnp.all(costs < reference[None], axis=1)
    points = jnp.where(counts[:, None], costs, reference[None]).T
    place = jax.vmap(_places)(points)
    edges = jnp.full((m, n + 2), -jnp.inf, points.dtype).at[:, -1].set(reference)
    edges = edges.at[jnp.arange(m)[:, None], place].set(points)
    heights = _heights(place)
    return Boxes(edges, *(_single_box, _columns, _joined_cells)[m - 1](heights))


def _places(values: Float[Array, " n"]) -> Int[Array, " n"]:
    """Places in ascending order, from 1; ties by number. Compiles in less time than a sort."""
    index = jnp.arange(values.shape[0])
    before = (values[None] < values[:, None]) | (
        (values[None] == values[:, None]) & (index[None] < index[:, None])
    )
    return jnp.sum(before, axis=1, dtype=jnp.int32) + 1


def _running(
    extreme: Callable, values: Int[Array, "k *rest"], reverse: bool = False
) -> Int[Array, "k *rest"]:
    """Running minimum or maximum along the first axis. Compiles in less time than the library's."""

    def step(carry: Any, value: Any) -> tuple[Array, Array]:
        carry = extreme(carry, value)
        return carry, carry

    return jax.lax.scan(step, values[-1 if reverse else 0], values, reverse=reverse)[1]


def _heights(place: Int[Array, "m n"]) -> Int[Array, "*cells"]:
    """For each cell of all objectives but the last, the lowest last place among the rows that are nowhere
    beyond it. Cell i begins at edge i; a row lies on its own edge."""
    n = place.shape[1]
    cells = jnp.full((n + 1,) * (place.shape[0] - 1), n + 1, jnp.int32)
    cells = cells.at[tuple(place[:-1])].min(place[-1]) if cells.ndim else jnp.min(place[-1], initial=n + 1)
    for axis in range(cells.ndim):
        cells = jnp.moveaxis(_running(jnp.minimum, jnp.moveaxis(cells, axis, 0)), 0, axis)
    return cells


def _single_box(height: Int[Array, ""]) -> tuple[Int[Array, "1 1"], Int[Array, "1 1"]]:
    return jnp.zeros((1, 1), jnp.int32), height[None, None]


def _columns(heights: Int[Array, " cells"]) -> tuple[Int[Array, "2 cells"], Int[Array, "2 cells"]]:
    first = jnp.arange(heights.shape[0], dtype=jnp.int32)
    return jnp.stack([first, jnp.zeros_like(first)]), jnp.stack([first + 1, heights])


def _joined_cells(heights: Int[Array, "k k"]) -> tuple[Int[Array, "3 boxes"], Int[Array, "3 boxes"]]:
    """Runs of one height along the first axis, of which neighbours with the same ends are joined."""
    k = heights.shape[0]
    index = jnp.arange(k, dtype=jnp.int32)
    changes = jnp.diff(heights, axis=0) != 0
    edge = jnp.ones((1, k), bool)
    begin = _running(jnp.maximum, jnp.where(jnp.concatenate([edge, changes]), index[:, None], 0))
    ends = jnp.concatenate([changes, edge])
    alike = (jnp.diff(heights, axis=1) == 0) & (jnp.diff(begin, axis=1) == 0) & ends[:, 1:] & ends[:, :-1]
    opens = ~jnp.pad(alike, ((0, 0), (1, 0)))
    following = _running(jnp.minimum, jnp.where(opens, index[None], k).T, reverse=True).T
    following = jnp.pad(following[:, 1:], ((0, 0), (0, 1)), constant_values=k)
    lower = jnp.stack([begin, jnp.broadcast_to(index[None], (k, k)), jnp.zeros_like(begin)])
    upper = jnp.stack([jnp.broadcast_to(index[:, None] + 1, (k, k)), following, heights])
    return _gathered(opens & ends, lower, upper, 2 * k - 1)


def _gathered(
    is_box: Bool[Array, "k k"], lower: Int[Array, "3 k k"], upper: Int[Array, "3 k k"], most: int
) -> tuple[Int[Array, "3 most"], Int[Array, "3 most"]]:
    """The cells that hold a box, one after another; zeros after the last."""
    cell = _members(is_box.reshape(-1), most)
    exists = cell < is_box.size
    cell = jnp.minimum(cell, is_box.size - 1)
    lower, upper = (jnp.where(exists[None], part.reshape(3, -1)[:, cell], 0) for part in (lower, upper))
    return lower, upper


def _members(mask: Bool[Array, " n"], most: int) -> Int[Array, " most"]:
    """Indices of the first True values; n or more after the last of them."""
    return members(jnp.pad(mask, (0, -mask.shape[0] % WORD)), most)


def expected_shortfall(
    threshold: Float[Array, "*n"], mean: Float[Array, "*n"], deviation: Float[Array, "*n"]
) -> Float[Array, "*n"]:
    """Expectation of how far a normal variable stays below a threshold: ``E[max(0, threshold - y)]``.

    Args:
        threshold: may be minus infinity, of which nothing falls short.
        mean: of the variable.
        deviation: of the variable; 0 for one that is known.

    References:
        Jones, Schonlau, Welch, "Efficient global optimization of expensive black-box functions", 1998,
        equation 15.
    """
    room = threshold - mean
    uncertain = deviation > 0
    gain = deviation * _standard_shortfall(room / jnp.where(uncertain, deviation, 1))
    return jnp.where(uncertain, gain, jnp.maximum(room, 0))


def _standard_shortfall(u: Float[Array, "*n"]) -> Float[Array, "*n"]:
    """``density(u) + u * distribution(u)`` of the standard normal, to 12 digits in either tail.

    For u < 0 it is the density times a factor that falls from 1 like ``u**-2``; that factor is the square of
    ``t = 1 / (1 - u / 4)`` times a polynomial in t. The library's distribution function takes five times as
    long, and its product with u cancels in the tail.
    """
    x = jnp.minimum(jnp.abs(u), _FARTHEST)
    t = _BEND / (_BEND + x)
    least = _BEND / (_BEND + _FARTHEST)
    s = (2 * t - 1 - least) / (1 - least)
    factor = t**2 * functools.reduce(lambda total, power: total * s + power, _TAIL_FACTORS.tolist(), 0.0)
    tail = jnp.exp(-0.5 * x**2) * factor / np.sqrt(2 * np.pi)
    return jnp.maximum(u, 0) + tail


def expected_hypervolume_improvement(
    boxes: Boxes, mean: Float[Array, "m rows"], deviation: Float[Array, "m rows"]
) -> Float[Array, " rows"]:
    """Expectation of the hypervolume that each row would add, its objectives independent normal variables.

    Exact for one, two and three objectives; with one it is the expected improvement. Takes a distribution
    function per row, objective and edge, and a product per row and box.

    Args:
        boxes: of the rows that were observed.
        mean: of each objective of each row.
        deviation: the same; 0 for an objective that is known.

    References:
        Emmerich, Giannakoglou, Naujoks, "Single- and multiobjective evolutionary optimization assisted by
        Gaussian random field metamodels", 2006 (definition); Yang, Emmerich, Deutz, Back, "Efficient
        computation of expected hypervolume improvement using box decomposition algorithms", 2019 (the sum
        over boxes).
    """
    gain = jnp.ones((boxes.lower.shape[1], mean.shape[1]), mean.dtype)
    for objective in range(mean.shape[0]):
        edges = boxes.edges[objective][:, None]
        below = expected_shortfall(
            *jnp.broadcast_arrays(edges, mean[objective][None], deviation[objective][None])
        )
        gain = gain * (below[boxes.upper[objective]] - below[boxes.lower[objective]])
    return jnp.maximum(jnp.sum(gain, axis=0), 0)


@custom_vmap
def improvement_on(
    costs: Float[Array, "n m"],
    valid: Bool[Array, " n"],
    reference: Float[Array, " m"],
    mean: Float[Array, "m rows"],
    deviation: Float[Array, "m rows"],
) -> Float[Array, " rows"]:
    """``expected_hypervolume_improvement`` on a set of rows, at a cost that grows with those of them that are
    not dominated: as many as there are in the lane, or in that lane of a batch which has most.

    Args:
        costs: objective values, minimised; dominated rows and duplicates are allowed.
        valid: False marks padding.
        reference: the point beyond which nothing counts.
        mean: of each objective of each row that is asked about.
        deviation: the same; 0 for an objective that is known.
    """
    return _improvement_on_most(costs[None], valid[None], reference[None], mean[None], deviation[None])[0]


@improvement_on.def_vmap
def _(axis_size: int, is_batched: list[bool], *args: Array) -> tuple[Array, bool]:
    lanes = [
        arg if batched else jnp.broadcast_to(arg, (axis_size, *arg.shape))
        for arg, batched in zip(args, is_batched, strict=True)
    ]
    return _improvement_on_most(*lanes), True


def _improvement_on_most(
    costs: Float[Array, "lanes n m"],
    valid: Bool[Array, "lanes n"],
    reference: Float[Array, "lanes m"],
    mean: Float[Array, "lanes m rows"],
    deviation: Float[Array, "lanes m rows"],
) -> Float[Array, "lanes rows"]:
    """All lanes with the least number of boxes that serves each of them."""
    n = costs.shape[1]
    front = valid & jax.vmap(_undominated)(costs, valid)
    place = jax.vmap(functools.partial(_members, most=n))(front)
    costs = jnp.take_along_axis(costs, jnp.minimum(place, n - 1)[..., None], axis=1)
    front = place < n

    def with_most(most: int) -> Callable[[], Array]:
        def gain() -> Array:
            boxes = jax.vmap(undominated_boxes)(costs[:, :most], front[:, :most], reference)
            return jax.vmap(expected_hypervolume_improvement)(boxes, mean, deviation)

        return gain

    sizes = (*(size for size in FRONT_SIZES if size < n), n)
    number = jnp.searchsorted(jnp.asarray(sizes), jnp.max(jnp.sum(front, axis=1)))
    return jax.lax.switch(number, [with_most(size) for size in sizes])


def _undominated(costs: Float[Array, "n m"], valid: Bool[Array, " n"]) -> Bool[Array, " n"]:
    return ~jnp.any(dominance_matrix(costs, valid), axis=0)


def log_expected_improvement(
    mean: Float[Array, " n"], deviation: Float[Array, " n"], least: Float[Array, ""]
) -> Float[Array, " n"]:
    """Logarithm of the expected improvement on ``least``, for a normal variable that is minimised.

    The logarithm keeps the order of rows whose improvement is too small for a number.

    Args:
        mean: of each row.
        deviation: of each row, positive.
        least: the best value so far.

    References:
        Jones, Schonlau, Welch, "Efficient global optimization of expensive black-box functions", 1998; the
        asymptotic series of Mills' ratio for the lower tail.
    """
    u = (least - mean) / deviation
    far = u < -12  # from here on the sum below cancels, and the series has settled
    near = jnp.where(far, 0, u)
    gain = jax.scipy.stats.norm.pdf(near) + near * jax.scipy.stats.norm.cdf(near)
    square = jnp.where(far, u, -12) ** 2
    series = jnp.log1p(-(3 - (15 - (105 - 945 / square) / square) / square) / square)
    tail = jax.scipy.stats.norm.logpdf(u) - jnp.log(square) + series
    return jnp.log(deviation) + jnp.where(far, tail, jnp.log(gain))
