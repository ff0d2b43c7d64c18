"""Laws of promotion rules: which rows of a rung survive."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Bool, Float, Int

from mohb_jax.kernels.promotion import PromotionRule
from mohb_jax.testing.case import Case, broken
from mohb_jax.testing.laws import law
from mohb_jax.testing.parts import tags_of
from mohb_jax.types import Array, Key

NUM_ROWS = 12
NUM_KEPT = 4
NUM_RUNGS = 12


def _no_rule(case: Case) -> str | None:
    return "it has a policy and no promotion rule" if case.parts.rule is None else None


def _unless(*tags: str) -> functools.partial:
    return functools.partial(_not_concerned, tags)


def _not_concerned(tags: tuple[str, ...], case: Case) -> str | None:
    own = tags_of(case.parts.rule) & set(tags)
    return _no_rule(case) or (f"its promotion rule is tagged {', '.join(sorted(own))}" if own else None)


@functools.partial(jax.jit, static_argnums=(0, 4))
def _orders(rule: PromotionRule, key: Key, costs: Array, valid: Array, num_keep: int) -> Array:
    return jax.vmap(lambda costs, valid: rule(key, costs, valid, num_keep))(costs, valid)


def _kept(
    case: Case,
    costs: Float[np.ndarray, "rungs n m"],
    valid: Bool[np.ndarray, "rungs n"],
    num_keep: int = NUM_KEPT,
) -> Int[np.ndarray, "rungs k"]:
    rule = case.parts.rule
    assert rule is not None
    orders = np.asarray(_orders(rule, jax.random.key(0), jnp.asarray(costs), jnp.asarray(valid), num_keep))
    if orders.shape != (len(costs), num_keep) or orders.dtype.kind != "i":
        broken(
            f"For num_keep = {num_keep} it gave {orders.dtype}{list(orders.shape[1:])}: "
            f"return whole numbers of the shape [{num_keep}]"
        )
    return orders


def _rungs(with_failures: bool) -> tuple[Float[np.ndarray, "rungs n m"], Bool[np.ndarray, "rungs n"]]:
    """Whole costs with ties, and, if wanted, failures and padding anywhere; among them only failures, and
    nothing at all."""
    rng = np.random.default_rng(0)
    costs = rng.integers(6, size=(NUM_RUNGS, NUM_ROWS, 2)).astype(float)
    valid = np.ones((NUM_RUNGS, NUM_ROWS), bool)
    if with_failures:
        costs[rng.random(valid.shape) < 0.25] = np.inf
        valid = rng.random(valid.shape) < 0.8
        costs[0], valid[1] = np.inf, False
    return costs, valid


def _distinct_rungs() -> tuple[Float[np.ndarray, "rungs n m"], Bool[np.ndarray, "rungs n"]]:
    """Costs without ties."""
    rng = np.random.default_rng(1)
    costs = np.stack([rng.permutation(97)[:NUM_ROWS] for _ in range(2 * NUM_RUNGS)]).astype(float)
    costs = costs.reshape(NUM_RUNGS, 2, NUM_ROWS).swapaxes(1, 2)
    return costs, np.ones(costs.shape[:2], bool)


@law("promotion-basic", "A rule gives distinct valid rows, and failures last in index order", _no_rule)
def promotion_basic(case: Case) -> None:
    """k distinct indices of valid rows; failures last in index order; padding never; ``num_keep = n``."""
    costs, valid = _rungs(with_failures=True)
    for num_keep in (NUM_KEPT, NUM_ROWS):
        orders = _kept(case, costs, valid, num_keep)
        for rung in range(NUM_RUNGS):
            _judge_order(orders[rung, : valid[rung].sum()].tolist(), costs[rung], valid[rung])


def _judge_order(order: list[int], costs: Float[np.ndarray, "n m"], valid: Bool[np.ndarray, " n"]) -> None:
    finite = valid & np.isfinite(costs).all(axis=1)
    if len(set(order)) < len(order):
        broken(f"It gave {order}: name each row once")
    if not set(order) <= set(np.flatnonzero(valid).tolist()):
        broken(f"It gave {order} where rows {np.flatnonzero(~valid).tolist()} are padding: leave them out")
    num_finite = int(finite.sum())
    failed = np.flatnonzero(valid & ~finite).tolist()
    if order[num_finite:] != failed[: max(len(order) - num_finite, 0)]:
        broken(f"It gave {order} where rows {failed} failed: wrap the rule in failures_last")


@law("promotion-units", "The order does not depend on units", _unless("units"))
def promotion_units(case: Case) -> None:
    """Multiplying an objective by 2 and adding 8 keeps the order."""
    costs, valid = _rungs(with_failures=False)
    before = _kept(case, costs, valid)
    for objective in range(costs.shape[2]):
        changed = costs.copy()
        changed[..., objective] = 2 * changed[..., objective] + 8
        after = _kept(case, changed, valid)
        wrong = np.flatnonzero((before != after).any(axis=1))
        if wrong.size:
            rung = int(wrong[0])
            broken(
                f"With objective {objective} times 2 plus 8, {before[rung].tolist()} became "
                f"{after[rung].tolist()}: scale each objective over the rung, or tag the rule 'units'"
            )


@law(
    "promotion-permutation",
    "Without ties the kept set does not depend on the order of rows",
    _unless("random", "ties"),
)
def promotion_permutation(case: Case) -> None:
    """Rows in another order: the same rows are kept."""
    costs, valid = _distinct_rungs()
    order = np.random.default_rng(2).permutation(NUM_ROWS)
    before, after = _kept(case, costs, valid), _kept(case, costs[:, order], valid)
    for rung in range(NUM_RUNGS):
        kept, moved = sorted(before[rung].tolist()), sorted(order[after[rung]].tolist())
        if kept != moved:
            broken(
                f"It kept rows {kept}, and {moved} after a shuffle: decide by costs, not by index; if the "
                "rule can hold different rows for equal, tag it 'ties'"
            )


@law("promotion-dominance", "A row that is best in every objective is kept", _unless("random"))
def promotion_dominance(case: Case) -> None:
    """A row below all others in every objective, at any place."""
    costs, valid = _distinct_rungs()
    for rung in range(NUM_RUNGS):
        costs[rung, rung] = -1.0
    kept = _kept(case, costs, valid)
    lost = [rung for rung in range(NUM_RUNGS) if rung not in kept[rung]]
    if lost:
        row = lost[0]
        broken(f"Row {row} dominates all others and {kept[row].tolist()} were kept: smaller costs are better")


CHECKS = (promotion_basic, promotion_units, promotion_permutation, promotion_dominance)
