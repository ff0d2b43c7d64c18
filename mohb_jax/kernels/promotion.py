"""Promotion rules: costs of a rung -> order of its rows, of which the first k survive.

A rule is a function ``rule(key, costs, valid, num_keep) -> order``. The rules of this package are more than
that, a ``RungRule``: one compiled program serves rungs of several sizes. The factories below return the same
rule for the same settings, so that compiled programs are reused.
"""

import dataclasses
import functools
import inspect
from collections.abc import Callable
from typing import Any, NamedTuple, ParamSpec, Protocol, runtime_checkable

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Bool, Float, Int

from mohb_jax.errors import InputError, UserCodeError, place_of
from mohb_jax.kernels.crowding import crowding_distance
from mohb_jax.kernels.dominance import pareto_rank
from mohb_jax.kernels.epsilon_net import epsilon_net_order, scale_costs
from mohb_jax.kernels.hypervolume import hypervolume_subset_order
from mohb_jax.types import Array, Key

REFERENCE = 1.1
"""Reference point of the hypervolume cut, in costs scaled to [0, 1] over the rung: extremes contribute
too."""


@runtime_checkable
class PromotionRule(Protocol):
    def __call__(
        self, key: Key, costs: Float[Array, "n m"], valid: Bool[Array, " n"], num_keep: int
    ) -> Int[Array, " num_keep"]:
        """Rows of a rung in the order in which they survive.

        Rows whose costs are not finite (failed evaluations) come after all others, in index order. Positions
        after the last valid row hold arbitrary indices below n.

        Args:
            key: one per bracket: every rung of a bracket gets the same; only random rules use it.
            costs: objective values at the rung's fidelity.
            valid: False marks padding.
            num_keep: static, at most n.
        """

    def __hash__(self) -> int: ...


Ordering = Callable[[Key, Array, Array, int], Array]
"""The part of a rule that deals with finite rows only; others are not valid and have cost 0."""


class Cut(NamedTuple):
    """How many rows a rung has, and how many of them survive: plain or traced numbers."""

    num_rows: Int[Array, ""] | int
    num_keep: Int[Array, ""] | int


CutOrdering = Callable[[tuple[Array, ...], Key, Array, Array, int, Cut], Array]
"""An ``Ordering`` of a rung in whose arrays there may be room for more rows, with the numbers of its settings
as arrays: ``ordering(numbers, key, costs, valid, room, cut)`` gives ``room`` places."""


@functools.partial(
    jax.tree_util.register_dataclass, data_fields=["numbers"], meta_fields=["ordering", "tags"]
)
@dataclasses.dataclass(frozen=True, eq=False)
class RungRule:
    """A promotion rule whose compiled programs serve rungs of several sizes; see ``PromotionRule``.

    Attributes:
        ordering: of the rows that did not fail.
        numbers: settings of which no program depends on.
        tags: as of ``failures_last``.
    """

    ordering: CutOrdering
    numbers: tuple[Array, ...] = ()
    tags: tuple[str, ...] = ()

    def __call__(self, key: Key, costs: Array, valid: Array, num_keep: int) -> Array:
        return self.within(key, costs, valid, num_keep, Cut(costs.shape[0], num_keep))

    def within(self, key: Key, costs: Array, valid: Array, room: int, cut: Cut) -> Array:
        """The order of a rung whose rows are the first of the arrays.

        Args:
            key: as of ``PromotionRule``.
            costs: of ``cut.num_rows`` rows and of places after them.
            valid: False marks padding, and all places after the rung's rows.
            room: static number of places in the order, at least ``cut.num_keep``.
            cut: size of the rung, and how many survive.

        Returns:
            Indices of shape [room]: the first ``cut.num_keep`` are those that the rule gives of the rung
            alone.
        """

        def order(costs: Array, finite: Array) -> Array:
            return self.ordering(self.numbers, key, costs, finite, room, cut)

        return _then_failed(order, costs, valid, room)


def _then_failed(order: Callable[[Array, Array], Array], costs: Array, valid: Array, room: int) -> Array:
    """An order of the rows that did not fail, given their costs and which they are, and then those that
    did."""
    finite = valid & jnp.all(jnp.isfinite(costs), axis=1)
    first = order(jnp.where(finite[:, None], costs, 0), finite)
    position = jnp.arange(room, dtype=jnp.int32)
    num_finite = jnp.sum(finite, dtype=jnp.int32)
    return jnp.where(position < num_finite, first, _select(valid & ~finite, position - num_finite))


Factory = ParamSpec("Factory")


def _one_per_settings(factory: Callable[Factory, PromotionRule]) -> Callable[Factory, PromotionRule]:
    """Caches a factory by its settings, however they are written: in place, by name, or left to defaults."""
    signature, made = inspect.signature(factory), functools.cache(factory)

    @functools.wraps(factory)
    def find(*args: Factory.args, **kwargs: Factory.kwargs) -> PromotionRule:
        settings = signature.bind(*args, **kwargs)
        settings.apply_defaults()
        return made(*settings.args)

    return find


def failures_last(ordering: Ordering, *tags: str) -> PromotionRule:
    """A promotion rule from an ordering that knows only rows that succeeded: those that failed come after it.

    Args:
        ordering: is given finite costs and the mask of rows that are valid and did not fail.
        tags: what the rule does not promise (``mohb_jax.testing`` reads them): ``units`` if its order hangs
            on units, ``random`` if chance may keep any row, ``ties`` if rows that differ can be equal to it.

    Raises:
        WrongOrderError: while the rule is traced, if the ordering returns something of another shape.
    """

    @functools.wraps(ordering)
    def rule(key: Key, costs: Array, valid: Array, num_keep: int) -> Array:
        def order(costs: Array, finite: Array) -> Array:
            made = ordering(key, costs, finite, num_keep)
            require_order(ordering, made, num_keep)
            return made

        return _then_failed(order, costs, valid, num_keep)

    setattr(rule, "tags", tags)  # noqa: B010  (a function has no such attribute, says the type checker)
    return rule


class WrongOrderError(UserCodeError):
    """A promotion rule returned something else than ``num_keep`` whole numbers."""


def require_order(rule: Callable[..., object], order: object, num_keep: int) -> None:
    """``WrongOrderError``, with the rule's file and line, unless ``order`` is of the right shape and type."""
    returned = f"promotion rule{place_of(rule)} returned"
    needed = f"whole numbers of shape ({num_keep},) are needed"
    try:
        found = None if order is None else (jnp.shape(order), jnp.result_type(order))  # type: ignore[arg-type]
    except (TypeError, ValueError):
        found = None
    if found is None:
        raise WrongOrderError(f"{returned} a value of type {type(order).__name__} for indices: {needed}")
    shape, dtype = found
    if shape != (num_keep,) or not jnp.issubdtype(dtype, jnp.integer):
        raise WrongOrderError(f"{returned} indices of shape {shape} and type {dtype}: {needed}")


def _select(mask: Bool[Array, " n"], position: Int[Array, " k"]) -> Int[Array, " k"]:
    """Index of the position-th True of a mask; the last index where there is none."""
    before = jnp.cumsum(mask, dtype=jnp.int32)
    index = jnp.sum(before <= position[:, None], axis=1, dtype=jnp.int32)
    return jnp.minimum(index, mask.shape[0] - 1)


def _smallest(score: Float[Array, " n"], valid: Bool[Array, " n"], num_keep: int) -> Int[Array, " k"]:
    """Indices of the smallest scores, ties to the lowest index; rows that are not valid last."""
    return jax.lax.top_k(jnp.where(valid, -score, -jnp.inf), num_keep)[1].astype(jnp.int32)


@_one_per_settings
def epsilon_net(scale: str = "minmax", seed_objective: int = 0) -> PromotionRule:
    """Non-dominated sorting, each front as a greedy epsilon-net (Salinas et al. 2021): the rule of MO-HB."""

    def order(numbers: tuple, key: Key, costs: Array, valid: Array, room: int, cut: Cut) -> Array:
        del numbers, key
        rank = pareto_rank(costs, valid, cut.num_keep)
        return epsilon_net_order(scale_costs(costs, valid, scale), rank, valid, room, seed_objective)

    return RungRule(order, tags=("units",) if scale == "none" else ())


def _by_crowding(numbers: tuple, key: Key, costs: Array, valid: Array, room: int, cut: Cut) -> Array:
    del numbers, key
    rank = pareto_rank(costs, valid, cut.num_keep)
    distance = crowding_distance(costs, rank, valid)
    return jnp.lexsort((-distance, rank, ~valid))[:room].astype(jnp.int32)


@_one_per_settings
def crowding() -> PromotionRule:
    """Non-dominated sorting, each front by descending crowding distance (NSGA-II)."""
    return RungRule(_by_crowding, tags=("ties",))  # both ends of a front are infinitely far from others


def _as_smac(numbers: tuple, key: Key, costs: Array, valid: Array, room: int, cut: Cut) -> Array:
    del numbers, key
    rank = pareto_rank(costs, valid, cut.num_keep)
    by_front = jnp.lexsort((rank, ~valid))
    last = by_front[jnp.maximum(jnp.minimum(jnp.sum(valid), cut.num_keep), 1) - 1]
    selected = valid & (rank <= rank[last])
    distance = crowding_distance(costs, jnp.zeros_like(rank), selected)
    distance = jnp.where(jnp.sum(selected) > cut.num_keep, distance, 0)  # what fits is not sorted
    return jnp.lexsort((rank, -distance, ~selected))[:room].astype(jnp.int32)


@_one_per_settings
def crowding_of_all_fronts() -> PromotionRule:
    """Whole fronts until there are enough rows; then *all* of these by descending crowding distance, as SMAC3
    2.4 cuts a rung: dominated rows stay and rows of the first front go. ``crowding`` cuts the last front
    alone."""
    return RungRule(_as_smac, tags=("ties",))


def _by_hypervolume(numbers: tuple, key: Key, costs: Array, valid: Array, room: int, cut: Cut) -> Array:
    del numbers, key
    return _hypervolume_order(costs, valid, room, jnp.int32(cut.num_keep))


@_one_per_settings
def hypervolume_cut() -> PromotionRule:
    """Whole fronts while they fit; of the front that is cut, the greedy hypervolume subset (Guerrero-Viu et
    al. 2021)."""
    return RungRule(_by_hypervolume)


def hypervolume_cut_at(place: Int[Array, ""]) -> PromotionRule:
    """``hypervolume_cut`` of the front that holds the row at a traced place, in an order of any length."""

    def order(key: Key, costs: Array, valid: Array, num_keep: int) -> Array:
        del key
        return _hypervolume_order(costs, valid, num_keep, place)

    return failures_last(order)


def _hypervolume_order(costs: Array, valid: Array, num_ordered: int, cut: Array) -> Array:
    rank = pareto_rank(costs, valid, num_ordered)
    # On a grid on which volumes are exact, ties are ties in every batch and on every backend.
    step = 2.0 ** -(50 // costs.shape[1])
    scaled = jnp.round(scale_costs(costs, valid, "minmax") / step) * step
    reference = jnp.full(costs.shape[1], round(REFERENCE / step) * step, scaled.dtype)
    in_rank_order = jnp.lexsort((rank, ~valid)).astype(jnp.int32)[:num_ordered]
    last_rank = rank[in_rank_order[jnp.minimum(jnp.sum(valid), cut) - 1]]
    num_before = jnp.sum(valid & (rank < last_rank), dtype=jnp.int32)
    chosen = hypervolume_subset_order(scaled, reference, valid & (rank == last_rank), num_ordered)
    position = jnp.arange(num_ordered, dtype=jnp.int32)
    return jnp.where(position < num_before, in_rank_order, chosen[position - num_before])


def _by_weights(numbers: tuple, key: Key, costs: Array, valid: Array, room: int, cut: Cut) -> Array:
    del key, cut
    (weight,) = numbers
    if weight.shape != costs.shape[1:]:
        raise InputError(f"weights has {weight.size} values: {costs.shape[1]} objectives need one each")
    return _smallest(scale_costs(costs, valid, "minmax") @ jnp.asarray(weight, costs.dtype), valid, room)


def _by_random_weights(numbers: tuple, key: Key, costs: Array, valid: Array, room: int, cut: Cut) -> Array:
    del numbers
    weight = weights_on_simplex(key, costs.shape[1], costs.dtype)
    return _by_weights((weight,), key, costs, valid, room, cut)


def weights_on_simplex(key: Key, num_objectives: int, dtype: Any = float) -> Float[Array, " m"]:
    """Uniform weights that add up to 1: Dirichlet(1), without a sampler of gammas to compile. The key is
    consumed."""
    shares = jax.random.exponential(key, (num_objectives,), dtype)
    return shares / jnp.sum(shares)


@_one_per_settings
def scalarised(weights: tuple[float, ...] | None = None) -> PromotionRule:
    """Weighted sum of the objectives, each scaled to [0, 1] over the rung.

    Args:
        weights: one non-negative weight per objective, or None to draw them anew for every bracket, uniformly
            from the simplex.
    """
    if weights is None:
        return RungRule(_by_random_weights)
    return RungRule(_by_weights, (np.asarray(weights, float),))


def _at_random(numbers: tuple, key: Key, costs: Array, valid: Array, room: int, cut: Cut) -> Array:
    del numbers
    rung_key = jax.random.fold_in(key, cut.num_rows)  # sizes differ between the rungs of a bracket
    # The first of these numbers are the same, however many there are.
    return _smallest(jax.random.uniform(rung_key, costs.shape[:1], costs.dtype), valid, room)


@_one_per_settings
def random_order() -> PromotionRule:
    """Survivors drawn at random: the control."""
    return RungRule(_at_random, tags=("random",))


@_one_per_settings
def single(objective: int = 0) -> PromotionRule:
    """One objective only: Hyperband as published."""

    def order(numbers: tuple, key: Key, costs: Array, valid: Array, room: int, cut: Cut) -> Array:
        del numbers, key, cut
        return _smallest(costs[:, objective], valid, room)

    return RungRule(order)
