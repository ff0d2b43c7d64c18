"""Hypervolume: the volume that a set of rows dominates below a reference point.

Everything exact here rests on one step. Cut the space of some coordinates into cells at the rows' own values,
and keep for each cell the lowest value of one more coordinate, its height. A row lowers the heights of the
cells above and to the right of it; the volume lost between old and new heights is what the row adds to the
rows before it, its gain. Hypervolume in m dimensions is the sum of the gains in m - 1 dimensions, rows taken
by their last objective, each times the depth from there to the reference. All terms are sums of non-negative
numbers, so nothing cancels.

Rows that are padding, not finite, or not below the reference in every objective add nothing.
"""

import functools

import jax
import jax.numpy as jnp
from jaxtyping import Bool, Float, Int

from mohb_jax.errors import InputError
from mohb_jax.types import Array, Key

MAX_EXACT_OBJECTIVES = 4
CELLS_PER_BLOCK = 32
SAMPLES_PER_BATCH = 1024

Profile = tuple[list[jax.Array], list[jax.Array], Float[Array, "..."]]


@jax.jit
def hypervolume(
    costs: Float[Array, "n m"], reference: Float[Array, " m"], valid: Bool[Array, " n"] | None = None
) -> Float[Array, ""]:
    """Exact hypervolume for at most four objectives.

    Takes O(n log n) for one and two objectives, O(n^2) for three, and O(n^2 + k^3) for four, where k is the
    number of rows that are not dominated.

    Args:
        costs: objective values, minimised; dominated rows and duplicates are allowed.
        reference: the point beyond which nothing counts.
        valid: False marks padding; None means that all rows are real.

    Returns:
        The volume, in float64 when x64 is on; 0 for an empty set.

    Raises:
        InputError: for more than four objectives; ``hypervolume_monte_carlo`` estimates those.

    References:
        Zitzler and Thiele, "Multiobjective optimization using evolutionary algorithms: a comparative case
        study", 1998 (definition); Fonseca, Paquete and Lopez-Ibanez, "An improved dimension-sweep algorithm
        for the hypervolume indicator", 2006 (the sweep along the last objective).
    """
    _refuse_many_objectives(costs.shape[1])
    points, corner, _ = _clipped(costs, reference, valid)
    if costs.shape[1] == 1:
        return jnp.sum(_gains(points, corner))
    points = points[jnp.argsort(points[:, -1])]
    return jnp.sum(_gains(points[:, :-1], corner[:-1]) * (corner[-1] - points[:, -1]))


@jax.jit
def hypervolume_progress(
    costs: Float[Array, "n m"], reference: Float[Array, " m"], valid: Bool[Array, " n"]
) -> Float[Array, " n"]:
    """Hypervolume of the first i + 1 rows, for every i: how a run's hypervolume grows.

    Takes O(n log n), O(n^2) and O(n^2 + k^3) for one, two and three objectives, where k rows are not
    dominated when they arrive (few, in most runs); four objectives measure every prefix anew.

    Args:
        costs: objective values in the order of arrival.
        reference: the point beyond which nothing counts.
        valid: False marks padding, anywhere; the curve stays level there.

    Returns:
        The curve, which never falls, in float64 when x64 is on.

    Raises:
        InputError: for more than four objectives.
    """
    n, m = costs.shape
    _refuse_many_objectives(m)
    points, corner, _ = _clipped(costs, reference, valid)
    if m < MAX_EXACT_OBJECTIVES:
        return jnp.cumsum(_gains(points, corner))
    index = jnp.arange(n)
    prefixes = jax.lax.map(lambda last: hypervolume(points, corner, index <= last), index)
    return jax.lax.cummax(prefixes)


@jax.jit
def hypervolume_contributions(
    costs: Float[Array, "n m"], reference: Float[Array, " m"], valid: Bool[Array, " n"] | None = None
) -> Float[Array, " n"]:
    """Exclusive contribution of each row: what the hypervolume loses when the row alone is taken out.

    A sweep along the last objective that keeps, for each cell of the others, its two lowest values and the
    row that holds the lowest: their difference belongs to that row alone. Takes O(n log n) for one and two
    objectives, O(n^2) for three and O(n^3) for four.

    Args:
        costs: objective values, minimised. Dominated rows count: they shrink the contribution of a row that
            alone dominates them. Leave them out through ``valid`` for contributions within a front.
        reference: the point beyond which nothing counts.
        valid: False marks padding; None means that all rows are real.

    Returns:
        Contributions; exactly 0 for dominated rows, for every copy of a duplicate and for padding.

    Raises:
        InputError: for more than four objectives.

    References:
        Emmerich and Fonseca, "Computing hypervolume contributions in low dimensions", 2011 (definition).
    """
    _refuse_many_objectives(costs.shape[1])
    points, corner, _ = _at_least_two_objectives(*_clipped(costs, reference, valid))
    if costs.shape[0] == 0:
        return jnp.zeros(0, points.dtype)
    by_depth = jnp.argsort(points[:, -1])
    points = points[by_depth]
    thickness = jnp.diff(points[:, -1], append=corner[-1])
    lefts, volumes = _cells(points[:, :-2], corner[:-2])

    def insert(carry: tuple, step: tuple) -> tuple:
        (lowest, owner, second), shares = carry
        point, row, thickness = step
        inside, height = _orthant(lefts, point[:-2]), point[-2]
        takes = inside & (height < lowest)
        second = jnp.where(takes, lowest, jnp.where(inside, jnp.minimum(second, height), second))
        lowest, owner = jnp.where(takes, height, lowest), jnp.where(takes, row, owner)
        shares = shares.at[owner].add(volumes * (second - lowest) * thickness)
        return ((lowest, owner, second), shares), None

    level = jnp.full(volumes.shape, corner[-2])
    start = ((level, jnp.zeros(volumes.shape, by_depth.dtype), level), jnp.zeros_like(thickness))
    return jax.lax.scan(insert, start, (points, by_depth, thickness))[0][1]


@functools.partial(jax.jit, static_argnames="num_select")
def hypervolume_subset_order(
    costs: Float[Array, "n m"], reference: Float[Array, " m"], valid: Bool[Array, " n"], num_select: int
) -> Int[Array, " num_select"]:
    """Greedy subset selection: repeatedly takes the row that adds the most hypervolume to those taken.

    What a row adds only shrinks as others are taken, so an outdated figure is an upper bound, and only the
    row with the largest bound is measured again until that bound is up to date.

    Where costs and reference are multiples of ``2**-k`` with ``m * k <= 50`` and lie within 1.4 of each
    other, all sums are exact, and every batch size, compiler and backend takes the same decisions.

    Args:
        costs: objective values, one row per item.
        reference: the point beyond which nothing counts.
        valid: False marks padding.
        num_select: static number of rows to take, at most n.

    Returns:
        Row indices in the order taken; ties go to the lowest index. Rows that add nothing come after those
        that do, then valid rows that are not finite, then padding, each in index order.

    Raises:
        InputError: if ``num_select`` exceeds n.

    References:
        Guerreiro, Fonseca and Paquete, "Greedy hypervolume subset selection in low dimensions", 2016 (the
        greedy rule and its guarantee); Minoux, "Accelerated greedy algorithms for maximizing submodular set
        functions", 1978 (the bounds).
    """
    n = costs.shape[0]
    if not 0 <= num_select <= n:
        raise InputError(f"num_select is {num_select}: accepted are 0 to {n}, the number of rows")
    if num_select == 0:
        return jnp.zeros(0, jnp.int32)
    points, corner, usable = _at_least_two_objectives(*_clipped(costs, reference, valid))
    alone = jnp.prod(corner[None] - points, axis=1)
    bounds = jnp.where(usable, alone, jnp.where(valid, -1.0, -2.0))

    def take(carry: tuple, slot: Int[Array, ""]) -> tuple:
        bounds, taken = carry
        profile = _profile(taken, corner)

        def outdated(state: tuple) -> Bool[Array, ""]:
            return ~state[1]

        def measure(state: tuple) -> tuple:
            bounds, _ = state
            row = jnp.argmax(bounds)
            gain = _gain_over(profile, points[row])
            return bounds.at[row].min(gain), gain >= bounds[row]

        bounds = jax.lax.while_loop(outdated, measure, (bounds, jnp.zeros((), bool)))[0]
        row = jnp.argmax(bounds)
        bounds = jnp.minimum(bounds.at[row].set(-3.0), _gain_bounds(points, points[row], corner))
        return (bounds, taken.at[slot].set(points[row])), row.astype(jnp.int32)

    nothing_taken = jnp.tile(corner[None], (num_select, 1))
    return jax.lax.scan(take, (bounds, nothing_taken), jnp.arange(num_select))[1]


@functools.partial(jax.jit, static_argnames="num_samples")
def hypervolume_monte_carlo(
    key: Key,
    costs: Float[Array, "n m"],
    reference: Float[Array, " m"],
    num_samples: int,
    valid: Bool[Array, " n"] | None = None,
) -> Float[Array, ""]:
    """Estimates the hypervolume, for any number of objectives, from uniform samples.

    Samples fall in the box between the best value of each objective and the reference. Where the box has
    volume V and the set truly covers the share p of it, the standard error is ``V * sqrt(p * (1 - p) /
    num_samples)``, never more than ``V / (2 * sqrt(num_samples))``; replace p by estimate / V.

    Args:
        key: consumed.
        costs: objective values, minimised.
        reference: the point beyond which nothing counts.
        num_samples: static, at least 1.
        valid: False marks padding; None means that all rows are real.

    Returns:
        An unbiased estimate, in float64 when x64 is on; 0 for an empty set.

    Raises:
        InputError: if ``num_samples`` is below 1.
    """
    if num_samples < 1:
        raise InputError(f"num_samples is {num_samples}: accepted is 1 or more")
    points, corner, _ = _clipped(costs, reference, valid)
    ideal = jnp.min(points, axis=0, initial=jnp.inf)
    ideal = jnp.minimum(ideal, corner)  # no rows: an empty box
    samples = jax.random.uniform(key, (num_samples, costs.shape[1]), corner.dtype)
    samples = ideal[None] + samples * (corner - ideal)[None]

    def is_dominated(sample: Float[Array, " m"]) -> Bool[Array, ""]:
        return jnp.any(jnp.all(points <= sample[None], axis=1))

    dominated = jax.lax.map(is_dominated, samples, batch_size=min(SAMPLES_PER_BATCH, num_samples))
    return jnp.prod(corner - ideal) * jnp.mean(dominated, dtype=corner.dtype)


def _refuse_many_objectives(num_objectives: int) -> None:
    if num_objectives > MAX_EXACT_OBJECTIVES:
        raise InputError(
            f"{num_objectives} objectives: exact hypervolume takes 1 to {MAX_EXACT_OBJECTIVES}; "
            "hypervolume_monte_carlo estimates more"
        )


def _clipped(
    costs: Float[Array, "n m"], reference: Float[Array, " m"], valid: Bool[Array, " n"] | None
) -> tuple[Float[Array, "n m"], Float[Array, " m"], Bool[Array, " n"]]:
    """Rows moved to the reference where beyond it or unusable; the reference; which rows are usable."""
    dtype = jnp.result_type(float)
    points, corner = jnp.asarray(costs, dtype), jnp.asarray(reference, dtype)
    usable = jnp.all(jnp.isfinite(points), axis=1)
    usable = usable if valid is None else usable & valid
    return jnp.where(usable[:, None], jnp.minimum(points, corner[None]), corner[None]), corner, usable


def _at_least_two_objectives(
    points: Float[Array, "n m"], corner: Float[Array, " m"], usable: Bool[Array, " n"]
) -> tuple[Float[Array, "n m2"], Float[Array, " m2"], Bool[Array, " n"]]:
    """One objective becomes two, the first a side of length 1, so that one code serves both."""
    if corner.shape[0] > 1:
        return points, corner, usable
    side = jnp.zeros_like(points)
    return jnp.concatenate([side, points], 1), jnp.concatenate([jnp.ones_like(corner), corner]), usable


def _cells(
    points: Float[Array, "n d"], corner: Float[Array, " d"]
) -> tuple[tuple[jax.Array, ...], Float[Array, "..."]]:
    """Cells between sorted coordinates: left edges along each axis, and volumes of shape (n,) * d."""
    num_axes = corner.shape[0]
    lefts, volumes = [], jnp.ones((), corner.dtype)
    for axis in range(num_axes):
        left = jnp.sort(points[:, axis])
        along = [1] * num_axes
        along[axis] = left.shape[0]
        lefts.append(left.reshape(along))
        width = jnp.diff(left, append=corner[axis]).reshape(along)
        volumes = volumes.reshape(volumes.shape or [1] * num_axes) * width
    return tuple(lefts), volumes


def _orthant(lefts: tuple[jax.Array, ...], point: Float[Array, " d"]) -> Bool[Array, "..."]:
    """The cells in which every coordinate is at least the point's."""
    inside = jnp.ones([1] * len(lefts), bool)
    for axis, left in enumerate(lefts):
        inside = inside & (left >= point[axis])
    return inside


def _gains(points: Float[Array, "n m"], corner: Float[Array, " m"]) -> Float[Array, " n"]:
    """Volume that each row adds to the rows before it, for one to three objectives."""
    if points.shape[0] == 0:
        return jnp.zeros(0, points.dtype)
    if points.shape[1] == 1:
        best = jax.lax.cummin(jnp.concatenate([corner, points[:, 0]]))
        return best[:-1] - best[1:]
    if points.shape[1] == 2:
        return _lowering(points, *_cells(points[:, :-1], corner[:-1]), corner[-1], points.shape[0])
    return _blocked_gains(points, corner)


def _lowering(
    points: Float[Array, "n m"],
    lefts: tuple[jax.Array, ...],
    volumes: Float[Array, "..."],
    level: Float[Array, ""],
    num_points: Int[Array, ""] | int,
) -> Float[Array, " n"]:
    """Volume by which each of the first ``num_points`` rows lowers heights that begin at ``level``."""

    def lower(row: Int[Array, ""], carry: tuple) -> tuple:
        heights, gains = carry
        inside = _orthant(lefts, points[row, :-1])
        lowered = jnp.where(inside, jnp.minimum(heights, points[row, -1]), heights)
        return lowered, gains.at[row].set(jnp.sum(volumes * (heights - lowered)))

    start = jnp.full(volumes.shape, level), jnp.zeros_like(points[:, 0])
    return jax.lax.fori_loop(0, num_points, lower, start)[1]


def _blocked_gains(points: Float[Array, "n 3"], corner: Float[Array, " 3"]) -> Float[Array, " n"]:
    """Gains for three objectives, over square blocks of cells and only as many as there are rows that gain.

    Rows that gain go first, so that the loops end after them; the blocks keep what the loops carry small,
    which matters because a batch of lanes copies it at every step.
    """
    n = points.shape[0]
    gaining = _not_yet_dominated(points, corner)
    order = jnp.argsort(~gaining, stable=True)
    points = jnp.where(gaining[order][:, None], points[order], corner[None])
    num_gaining = jnp.sum(gaining)
    size = min(CELLS_PER_BLOCK, n)
    (left_x, width_x), (left_y, width_y) = (_edge_blocks(points[:, d], corner[d], size) for d in range(2))
    num_blocks = (num_gaining + size - 1) // size

    def add_block(block: Int[Array, ""], gains: Float[Array, " n"]) -> Float[Array, " n"]:
        i, j = block // jnp.maximum(num_blocks, 1), block % jnp.maximum(num_blocks, 1)
        lefts = left_x[i][:, None], left_y[j][None]
        volumes = width_x[i][:, None] * width_y[j][None]
        return gains + _lowering(points, lefts, volumes, corner[-1], num_gaining)

    gains = jax.lax.fori_loop(0, num_blocks**2, add_block, jnp.zeros(n, points.dtype))
    return jnp.zeros_like(gains).at[order].set(gains)


def _not_yet_dominated(points: Float[Array, "n m"], corner: Float[Array, " m"]) -> Bool[Array, " n"]:
    """Rows inside the reference that no earlier row equals or dominates."""
    n, m = points.shape
    no_worse = jnp.tri(n, k=-1, dtype=bool)  # [row, earlier row]
    for d in range(m):
        no_worse = no_worse & (points[None, :, d] <= points[:, None, d])
    return ~jnp.any(no_worse, axis=1) & jnp.all(points < corner[None], axis=1)


def _edge_blocks(
    values: Float[Array, " n"], corner: Float[Array, ""], size: int
) -> tuple[Float[Array, "blocks size"], Float[Array, "blocks size"]]:
    """Left edges and widths of the cells along one axis, in blocks; empty cells fill up the last."""
    fill = jnp.full(-values.shape[0] % size, corner)
    left = jnp.sort(jnp.concatenate([values, fill]))
    width = jnp.diff(left, append=corner)
    return left.reshape(-1, size), width.reshape(-1, size)


def _gain_bounds(
    points: Float[Array, "n m"], taken: Float[Array, " m"], corner: Float[Array, " m"]
) -> Float[Array, " n"]:
    """Upper bounds on what rows add to a set with the row ``taken``; exactly 0 for rows that it dominates."""
    alone = jnp.prod(corner[None] - points, axis=1)
    shared = jnp.prod(corner[None] - jnp.maximum(points, taken[None]), axis=1)
    slack = 8 * jnp.finfo(corner.dtype).eps * alone  # the difference may be rounded down
    return jnp.where(jnp.all(taken[None] <= points, axis=1), 0, alone - shared + slack)


def _profile(taken: Float[Array, "s m"], corner: Float[Array, " m"]) -> Profile:
    """Left and right edges along the first m - 1 axes, and the height that ``taken`` leaves in each cell."""
    num_taken, m = taken.shape
    order = jnp.argsort(taken[:, :-1], axis=0)
    edges = [taken[order[:, d], d] for d in range(m - 1)]
    lefts = [jnp.concatenate([jnp.full(1, -jnp.inf, edge.dtype), edge]) for edge in edges]
    rights = [jnp.concatenate([edge, corner[d : d + 1]]) for d, edge in enumerate(edges)]
    cell = tuple(jnp.argsort(order[:, d]) + 1 for d in range(m - 1))
    heights = jnp.full((num_taken + 1,) * (m - 1), corner[-1]).at[cell].min(taken[:, -1])
    for axis in range(m - 1):
        heights = jax.lax.cummin(heights, axis=axis)
    return lefts, rights, heights


def _gain_over(profile: Profile, point: Float[Array, " m"]) -> Float[Array, ""]:
    """Volume that a point adds to the rows of a profile; exactly 0 where one of them is nowhere worse."""
    lefts, rights, heights = profile
    volumes = jnp.maximum(heights - point[-1], 0)
    for axis, (left, right) in enumerate(zip(lefts, rights, strict=True)):
        along = [1] * len(lefts)
        along[axis] = left.shape[0]
        volumes = volumes * jnp.maximum(right - jnp.maximum(left, point[axis]), 0).reshape(along)
    return jnp.sum(volumes)
