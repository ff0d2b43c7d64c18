"""What a run has launched: rows that are being evaluated, and results, in a memory of fixed size."""

from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Bool, Float, Int

from mohb_jax.types import Array

_EMPTY, _DOMINATED, _PENDING, _BEST = range(4)
"""Kinds of slots, in the order in which they give way to what is new."""
_AGES = 1 << 29
"""More than any run launches; a kind and an age fit into one number."""


class Launches(NamedTuple):
    """Slots in no order of meaning.

    When all slots are taken, results that others dominate give way, the oldest first, an eighth of the memory
    at a time; where there is none, a row that is being evaluated; a result that is not dominated only when
    there is nothing else.
    """

    row: Int[Array, " capacity"]
    costs: Float[Array, "capacity m"]
    """Finite where observed."""
    kind: Int[Array, " capacity"]
    number: Int[Array, " capacity"]
    """When the slot was taken."""
    num_stored: Int[Array, ""]

    @property
    def observed(self) -> Bool[Array, " capacity"]:
        """Slots that hold a result."""
        return (self.kind == _DOMINATED) | (self.kind == _BEST)

    @property
    def pending(self) -> Bool[Array, " capacity"]:
        """Slots whose row is being evaluated."""
        return self.kind == _PENDING


def no_launches(capacity: int, num_objectives: int, dtype: jnp.dtype) -> Launches:
    """A memory of so many slots that holds nothing."""
    none = jnp.zeros(capacity, jnp.int32)
    costs = jnp.full((capacity, num_objectives), jnp.inf, dtype)
    return Launches(none - 1, costs, none + _EMPTY, none, jnp.int32(0))


def launched(launches: Launches, row: Int[Array, ""], wanted: Bool[Array, ""]) -> Launches:
    """The memory with one more row that is being evaluated, if it is wanted."""
    launches = _with_room(launches)
    costs = jnp.full_like(launches.costs[0], jnp.inf)
    return _put(launches, _next_slot(launches), row, costs, jnp.int32(_PENDING), wanted)


def with_result(
    launches: Launches, row: Int[Array, ""], costs: Float[Array, " m"], valid: Bool[Array, ""]
) -> Launches:
    """The memory with the result of a row, which it need not know; a failed one leaves its slot empty."""
    known, fine = launches.row == row, jnp.all(jnp.isfinite(costs))
    slot = jnp.where(jnp.any(known), jnp.argmax(known), _next_slot(launches))
    valid = valid & (fine | jnp.any(known))
    observed = launches.observed
    falls = observed & _dominates(costs[None], launches.costs) & valid & fine
    is_dominated = jnp.any(observed & _dominates(launches.costs, costs[None]))
    kind = jnp.where(fine, jnp.where(is_dominated, _DOMINATED, _BEST), _EMPTY)
    launches = launches._replace(kind=jnp.where(falls, _DOMINATED, launches.kind))
    return _put(launches, slot, jnp.where(fine, row, -1), costs, kind, valid)


def _next_slot(launches: Launches) -> Int[Array, ""]:
    """The first empty slot, or the one that gives way."""
    age = jnp.where(launches.kind == _EMPTY, 0, launches.number)
    return jnp.argmin(launches.kind * _AGES + age)


def _with_room(launches: Launches) -> Launches:
    """The memory without its oldest dominated results, if it was full. Several go at once, since models take
    long to forget any."""
    dominated = launches.kind == _DOMINATED
    older = dominated[None, :] & (launches.number[None, :] < launches.number[:, None])
    most = max(1, launches.row.shape[0] // 8)
    goes = dominated & (jnp.sum(older, axis=1) < most) & jnp.all(launches.kind != _EMPTY)
    return launches._replace(
        row=jnp.where(goes, -1, launches.row),
        costs=jnp.where(goes[:, None], jnp.inf, launches.costs),
        kind=jnp.where(goes, _EMPTY, launches.kind),
    )


def _dominates(left: Float[Array, "_ m"], right: Float[Array, "_ m"]) -> Bool[Array, " n"]:
    return jnp.all(left <= right, axis=1) & jnp.any(left < right, axis=1)


def _put(
    launches: Launches,
    slot: Int[Array, ""],
    row: Int[Array, ""],
    costs: Float[Array, " m"],
    kind: Int[Array, ""],
    valid: Bool[Array, ""],
) -> Launches:
    """The memory with one slot replaced, if that is valid."""
    here = (jnp.arange(launches.row.shape[0]) == slot) & valid
    return Launches(
        row=jnp.where(here, row, launches.row).astype(launches.row.dtype),
        costs=jnp.where(here[:, None], costs[None], launches.costs),
        kind=jnp.where(here, kind, launches.kind).astype(launches.kind.dtype),
        number=jnp.where(here, launches.num_stored, launches.number),
        num_stored=launches.num_stored + valid,
    )
