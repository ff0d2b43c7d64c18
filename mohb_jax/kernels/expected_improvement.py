"""Expected improvement of normally distributed costs: on the best value of one objective, and on the
hypervolume of up to three.

For the latter, the region that no row dominates is cut into boxes. The volume that a new point adds is the
sum, over boxes, of the part that the point dominates; its coordinates are independent, so the expectation of
each part is a product of one-dimensional integrals. Nothing is sampled.
"""

import functools
import math
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Bool, Float, Int
from numpy.polynomial import chebyshev
from scipy.special import erfcx

from mohb_jax.errors import InputError
from mohb_jax.types import Array

MAX_OBJECTIVES = 3
"""More would take a number of boxes that grows with the square of the number of rows, or faster."""
BOXES = 8
"""That are summed over in one turn of a loop."""
NUM_ANCHORS = 4
"""Rows that ``hypervolume_improvement_bound`` goes by."""
INDIFFERENCE = 1e-6
"""Differences in the logarithm of the expected improvement that do not count: chance decides. Rows can be
exactly as promising as one another, and neither the order of the table nor rounding may choose."""

_FARTHEST = 38.0  # deviations: there the density underflows
_BEND = 4.0
_DEGREES = {4: 10, 8: 18}  # by the bytes of a number: what is left out is below its last digits


def _tail_factors(degree: int) -> list[float]:
    """Coefficients of a polynomial, the highest power first; see ``_standard_shortfall``."""

    def factor(s: np.ndarray) -> np.ndarray:
        t = _BEND / (_BEND + _FARTHEST) * (1 - s) / 2 + (1 + s) / 2
        x = np.maximum(_BEND / t - _BEND, 0)
        return (1 - x * np.sqrt(np.pi / 2) * erfcx(x / np.sqrt(2))) / t**2

    nodes = chebyshev.chebpts1(degree + 1)
    return chebyshev.cheb2poly(chebyshev.chebfit(nodes, factor(nodes), degree))[::-1].tolist()


_TAIL_FACTORS = {size: _tail_factors(degree) for size, degree in _DEGREES.items()}


class Boxes(NamedTuple):
    """Disjoint boxes that fill the region below a reference point which no row dominates."""

    edges: Float[Array, "m edges"]
    """Of each objective, ascending: minus infinity, the values of the rows, the reference."""
    lower: Int[Array, "m boxes"]
    """Where a box begins, as a place among the edges of each objective. Every box has no lower end in the
    second objective, or in the only one; see ``_endless``."""
    upper: Int[Array, "m boxes"]
    """Where it ends; where it begins if there is no box."""
    number: Int[Array, ""]
    """How many boxes there are; they come first."""


def undominated_boxes(
    costs: Float[Array, "n m"], valid: Bool[Array, " n"], reference: Float[Array, " m"]
) -> Boxes:
    """The region below a reference point that no row dominates, as boxes.

    At most 1, n + 1 and 2 n + 1 boxes for one, two and three objectives; as many as these of the rows that
    are not dominated, but for ties. The rows are gone through in the order of one objective, over a staircase
    of the others; a step of it that a row undercuts becomes a box that ends there.

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
    is_edge = place[:, None, :] == jnp.arange(1, n + 1)[None, :, None]
    inner = jnp.sum(jnp.where(is_edge, points[:, None, :], 0), axis=2)
    edges = jnp.concatenate([jnp.full((m, 1), -jnp.inf, points.dtype), inner, reference[:, None]], axis=1)
    if m == 1:
        least = jnp.min(jnp.where(counts, place[0], n + 1), initial=n + 1)
        return Boxes(edges, jnp.zeros((1, 1), jnp.int32), least[None, None], jnp.int32(1))
    return Boxes(edges, *_swept(place, counts))


def _places(values: Float[Array, " n"]) -> Int[Array, " n"]:
    """Places in ascending order, from 1; ties by number. Compiles in less time than a sort."""
    index = jnp.arange(values.shape[0])
    before = (values[None] < values[:, None]) | (
        (values[None] == values[:, None]) & (index[None] < index[:, None])
    )
    return jnp.sum(before, axis=1, dtype=jnp.int32) + 1


class _Sweep(NamedTuple):
    """A staircase over the cells of the first of three objectives, and the boxes that have ended."""

    height: Int[Array, " cells"]
    """Up to which place the second objective is free; it never rises; -1 where all boxes have ended."""
    start: Int[Array, " cells"]
    """Since which place of the last objective."""
    lower: Int[Array, "3 boxes"]
    upper: Int[Array, "3 boxes"]
    number: Int[Array, ""]


def _swept(place: Int[Array, "m n"], counts: Bool[Array, " n"]) -> tuple[Array, Array, Array]:
    """Lower and upper places of boxes, and their number, for three objectives, or for two: then the staircase
    has one cell. In each turn one box ends, the last of those that the next row undercuts."""
    m, n = place.shape
    cell, height, last = place if m == 3 else (jnp.zeros_like(place[0]), place[1], place[0])
    index = jnp.arange(n + 1 if m == 3 else 1, dtype=jnp.int32)

    def turn(sweep: _Sweep) -> _Sweep:
        at = jnp.where(counts & (sweep.height[cell] > height), last, n + 1)
        row = jnp.argmin(at)
        end, is_row = at[row], at[row] <= n
        first, lowered = jnp.where(is_row, cell[row], 0), jnp.where(is_row, height[row], -1)
        stop = jnp.sum(sweep.height > lowered, dtype=jnp.int32)
        top = sweep.height[stop - 1]
        begin = jnp.maximum(first, jnp.sum(sweep.height > top, dtype=jnp.int32))
        is_lowered = (index >= begin) & (index < stop)
        lower = jnp.stack([begin, jnp.int32(0), sweep.start[stop - 1]])
        return _Sweep(
            jnp.where(is_lowered, lowered, sweep.height),
            jnp.where(is_lowered, end, sweep.start),
            jnp.asarray(sweep.lower).at[:, sweep.number].set(lower),
            jnp.asarray(sweep.upper).at[:, sweep.number].set(jnp.stack([stop, top, end])),
            sweep.number + 1,
        )

    none = jnp.zeros((3, 2 * n + 1 if m == 3 else n + 1), jnp.int32)
    begin = _Sweep(jnp.full_like(index, n + 1), jnp.zeros_like(index), none, none, jnp.int32(0))
    end = jax.lax.while_loop(lambda sweep: sweep.height[0] >= 0, turn, begin)
    used = np.array([0, 1, 2] if m == 3 else [2, 1])
    return end.lower[used], end.upper[used], end.number


def _endless(num_objectives: int) -> int:
    """The objective in which no box has a lower end."""
    return min(1, num_objectives - 1)


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
    """``density(u) + u * distribution(u)`` of the standard normal, to 12 digits in either tail, or to 6 of
    numbers of 32 bits.

    For u < 0 it is the density times a factor that falls from 1 like ``u**-2``; that factor is the square of
    ``t = 1 / (1 - u / 4)`` times a polynomial in t. The library's distribution function takes five times as
    long, and its product with u cancels in the tail.
    """
    x = jnp.minimum(jnp.abs(u), _FARTHEST)
    tail = jnp.exp(-0.5 * x**2) * _tail_factor(x) / math.sqrt(2 * math.pi)
    return jnp.maximum(u, 0) + tail


def _tail_factor(x: Float[Array, "*n"]) -> Float[Array, "*n"]:
    """See ``_standard_shortfall``, for x in [0, ``_FARTHEST``]."""
    t = _BEND / (_BEND + x)
    least = _BEND / (_BEND + _FARTHEST)
    s = (2 * t - 1 - least) / (1 - least)
    total = jnp.zeros_like(s)
    for power in _TAIL_FACTORS[x.dtype.itemsize]:
        total = total * s + power
    return t**2 * total


def expected_hypervolume_improvement(
    boxes: Boxes, mean: Float[Array, "m rows"], deviation: Float[Array, "m rows"]
) -> Float[Array, " rows"]:
    """Expectation of the hypervolume that each row would add, its objectives independent normal variables.

    Exact for one, two and three objectives; with one it is the expected improvement. Takes up to two
    distribution functions per row, objective and box, which is cheaper than to tabulate them.

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

    m = mean.shape[0]

    def expected(objective: int, place: Int[Array, " boxes"]) -> Float[Array, "boxes rows"]:
        edge = boxes.edges[objective, place][:, None]
        return expected_shortfall(*jnp.broadcast_arrays(edge, mean[objective], deviation[objective]))

    def with_boxes(number: Int[Array, ""], total: Float[Array, " rows"]) -> Float[Array, " rows"]:
        lower, upper = _some_boxes(boxes, number)
        gain = jnp.ones((BOXES, total.shape[0]), total.dtype)
        for objective in range(m):
            within = expected(objective, upper[objective])
            if objective != _endless(m):
                within = within - expected(objective, lower[objective])
            gain = gain * within
        return total + jnp.sum(gain, axis=0)

    total = jax.lax.fori_loop(0, -(-boxes.number // BOXES), with_boxes, jnp.zeros_like(mean[0]))
    return jnp.maximum(total, 0)


def _some_boxes(boxes: Boxes, number: Int[Array, ""]) -> tuple[Int[Array, "m boxes"], Int[Array, "m boxes"]]:
    """Where the boxes of one turn begin and end; those after the last one are empty."""
    place = number * BOXES + jnp.arange(BOXES)
    inside = place < boxes.number
    place = jnp.minimum(place, boxes.lower.shape[1] - 1)
    return jnp.where(inside, boxes.lower[:, place], 0), jnp.where(inside, boxes.upper[:, place], 0)


def hypervolume_improvement_bound(
    costs: Float[Array, "n m"],
    valid: Bool[Array, " n"],
    reference: Float[Array, " m"],
    mean: Float[Array, "m rows"],
    deviation: Float[Array, "m rows"],
) -> Float[Array, " rows"]:
    """No less than ``expected_hypervolume_improvement``, in a fraction of its time.

    To improve on a set of rows is to improve on each of them alone. So the least improvement on a single row
    is a bound, for which the rows are taken that dominate most by themselves.

    Args:
        costs: objective values, as for ``undominated_boxes``.
        valid: the same.
        reference: the same.
        mean: of each objective of each row to judge.
        deviation: the same; 0 for an objective that is known.
    """
    whole = expected_shortfall(*jnp.broadcast_arrays(reference[:, None], mean, deviation))
    bounds = [_beyond(anchor, whole, mean, deviation) for anchor in _anchors(costs, valid, reference)]
    return functools.reduce(jnp.minimum, bounds, jnp.prod(whole, axis=0))


def _anchors(
    costs: Float[Array, "n m"], valid: Bool[Array, " n"], reference: Float[Array, " m"]
) -> Float[Array, "anchors m"]:
    """The rows that dominate the largest volumes by themselves; the reference where there are too few."""
    points = jnp.where(valid[:, None], jnp.minimum(costs, reference), reference)
    volume = jnp.prod(reference - points, axis=1)
    return points[jax.lax.top_k(volume, min(NUM_ANCHORS, points.shape[0]))[1]]


def _beyond(
    point: Float[Array, " m"],
    whole: Float[Array, "m rows"],
    mean: Float[Array, "m rows"],
    deviation: Float[Array, "m rows"],
) -> Float[Array, " rows"]:
    """Expected improvement on one point, a box for each objective; ``whole`` falls short of the reference."""
    short = expected_shortfall(*jnp.broadcast_arrays(point[:, None], mean, deviation))
    total, before = jnp.zeros_like(mean[0]), jnp.ones_like(mean[0])
    for objective in range(mean.shape[0]):
        total = total + before * short[objective] * jnp.prod(whole[objective + 1 :], axis=0)
        before = before * (whole[objective] - short[objective])
    return total


def log_expected_hypervolume_improvement(
    boxes: Boxes, mean: Float[Array, "m rows"], deviation: Float[Array, "m rows"]
) -> Float[Array, " rows"]:
    """Logarithm of ``expected_hypervolume_improvement``, which orders rows whose improvement is too small for
    a number.

    Args:
        boxes: of the rows that were observed.
        mean: of each objective of each row.
        deviation: the same, positive.

    References:
        Ament, Daulton, Eriksson, Balandat, Bakshy, "Unexpected improvements to expected improvement for
        Bayesian optimization", 2023: why the logarithm, and that each factor has one.
    """

    def log_expected(objective: int, place: Int[Array, ""]) -> Float[Array, " rows"]:
        edge = boxes.edges[objective, place]
        return _log_expected_shortfall(edge, mean[objective], deviation[objective])

    def with_box(number: Int[Array, ""], total: Float[Array, " rows"]) -> Float[Array, " rows"]:
        gain = jnp.zeros_like(total)
        for objective in range(mean.shape[0]):
            upper = log_expected(objective, boxes.upper[objective, number])
            gain = gain + upper
            if objective != _endless(mean.shape[0]):
                below = log_expected(objective, boxes.lower[objective, number]) - upper
                gain = gain + _log_rest(below)
        return jnp.logaddexp(total, gain)

    none = jnp.full_like(mean[0], -jnp.inf)
    return jax.lax.fori_loop(0, boxes.number, with_box, none)


def log_hypervolume_improvement_bound(
    costs: Float[Array, "n m"],
    valid: Bool[Array, " n"],
    reference: Float[Array, " m"],
    mean: Float[Array, "m rows"],
    deviation: Float[Array, "m rows"],
) -> Float[Array, " rows"]:
    """Logarithm of ``hypervolume_improvement_bound``; deviations are positive."""
    whole = _log_expected_shortfall(reference[:, None], mean, deviation)
    bound = jnp.sum(whole, axis=0)
    for anchor in _anchors(costs, valid, reference):
        short = _log_expected_shortfall(anchor[:, None], mean, deviation)
        total, before = jnp.full_like(bound, -jnp.inf), jnp.zeros_like(bound)
        for objective in range(mean.shape[0]):
            beyond = before + short[objective] + jnp.sum(whole[objective + 1 :], axis=0)
            total = jnp.logaddexp(total, beyond)
            before = before + whole[objective] + _log_rest(short[objective] - whole[objective])
        bound = jnp.minimum(bound, total)
    return bound


def _log_rest(log_share: Float[Array, "*n"]) -> Float[Array, "*n"]:
    """Logarithm of one less a share."""
    return jnp.log(-jnp.expm1(jnp.minimum(log_share, 0)))


def _log_expected_shortfall(
    threshold: Float[Array, "*a"], mean: Float[Array, "*n"], deviation: Float[Array, "*n"]
) -> Float[Array, "*n"]:
    """Logarithm of ``expected_shortfall``; deviations are positive."""
    return jnp.log(deviation) + _log_standard_shortfall((threshold - mean) / deviation)


def _log_standard_shortfall(u: Float[Array, "*n"]) -> Float[Array, "*n"]:
    """Logarithm of ``_standard_shortfall``, in either tail; minus infinity far below."""
    x = jnp.minimum(jnp.abs(u), _FARTHEST)
    # Beyond the farthest place, the factor falls like the inverse square.
    factor = jnp.log(_tail_factor(x)) - 2 * jnp.log(jnp.maximum(jnp.abs(u), _FARTHEST) / _FARTHEST)
    tail = factor - 0.5 * u**2 - 0.5 * math.log(2 * math.pi)
    return jnp.where(u > 0, jnp.log(jnp.where(u > 0, u, 1) + jnp.exp(tail)), tail)


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
