"""Rows among which Gaussian processes choose, and what is known of them between two proposals.

A shortlist has parts. When a row joins the models, their covariance with the whole list grows by a row of its
own; anew it is worked out only for the parts that are renewed. Of a table with more rows than the list has
places, a proposal puts fresh rows in the place of that part whose best row is the worst, so that good rows
stay for as long as they are that.
"""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Bool, Float, Int

from mohb_jax.searchers.lane_batches import most_of_lanes
from mohb_jax.searchers.random import Candidates, candidate_rows
from mohb_jax.searchers.seen_rows import Pool
from mohb_jax.surrogates import gaussian_process as gp
from mohb_jax.types import Array

PARTS, SIZE = 8, 64
"""Of a shortlist: how many parts, and how many rows in each."""
CAPACITY = 128
"""Rows that models remember."""
SIZES = (64, CAPACITY)
"""Sizes of the matrices that are worked with, multiples of 32; each takes seconds to compile."""
FRESH_PARTS = 4
"""Parts that are given fresh rows where all are worked out anyway."""


class Models(NamedTuple):
    """Gaussian processes on the same rows, one per model, as far as they do not depend on results."""

    row: Int[Array, " capacity"]
    """Rows that are observed or believed in, in the order in which they joined; -1 after the last."""
    hyperparameters: gp.Hyperparameters
    whitening: Float[Array, "models capacity capacity"]


class Shortlist(NamedTuple):
    """Rows to choose from."""

    row: Int[Array, "parts size"]
    """-1 where there is none."""
    features: Float[Array, "parts size columns"]
    """Of these rows, so that they need not be looked up for each row that joins."""
    cross: Float[Array, "models capacity parts size"]
    """Covariance of the rows of each model with these."""
    explained: Float[Array, "models parts size"]
    """By how much the models' rows lower the variance of these."""
    best: Float[Array, " parts"]
    """How good the best row of each part was for the last proposal, apart from the row that it took."""
    num_read: Int[Array, ""]
    """Fresh rows so far: the next ones of the lane's random order."""


def is_whole(candidates: Candidates) -> bool:
    """Whether a shortlist holds all rows of every task, so that none is ever fresh."""
    return candidates.most <= PARTS * SIZE


def new_shortlist(
    candidates: Candidates, task: Int[Array, ""], features: Float[Array, "rows columns"], models: Models
) -> Shortlist:
    """A shortlist of which nothing is worked out: all rows, or none where the table has too many."""
    size = min(SIZE, candidates.most)
    parts = min(PARTS, -(-candidates.most // size))
    row = jnp.full((parts, size), -1, jnp.int32)
    if is_whole(candidates):
        place = jnp.arange(parts * size, dtype=jnp.int32)
        inside = jnp.minimum(place, candidates.most - 1)
        own = inside if candidates.rows is None else candidates.rows[task, inside]
        row = jnp.where(place < candidates.num_rows[task], own, -1).reshape(parts, size)
    num_models, capacity, _ = models.whitening.shape
    dtype = models.whitening.dtype
    return Shortlist(
        row,
        features[jnp.maximum(row, 0)],
        jnp.zeros((num_models, capacity, parts, size), dtype),
        jnp.zeros((num_models, parts, size), dtype),
        jnp.full(parts, -jnp.inf, dtype),
        jnp.int32(0),
    )


def with_row(
    features: Float[Array, "rows columns"], models: Models, shortlist: Shortlist, place: Int[Array, ""]
) -> Shortlist:
    """The shortlist after a row joined the models at some place; a place beyond all changes nothing."""
    listed = shortlist.features.reshape(shortlist.row.size, -1)
    own = features[models.row[place]][None]

    def covariance(hyperparameters: gp.Hyperparameters) -> Array:
        return gp.covariance(hyperparameters, own, jnp.ones(1, bool), listed)[0]

    new = jax.vmap(covariance)(models.hyperparameters).reshape(-1, *shortlist.row.shape)
    cross = jnp.asarray(shortlist.cross).at[:, place].set(new, mode="drop")
    joined = models.whitening[:, jnp.minimum(place, models.row.shape[0] - 1)]
    more = (
        jax.vmap(gp.product)(joined[:, None], cross.reshape(*cross.shape[:2], shortlist.row.size)).reshape(
            new.shape
        )
        ** 2
    )
    more = jnp.where(place < models.row.shape[0], more, 0)
    return shortlist._replace(cross=cross, explained=shortlist.explained + more)


def renewed(
    candidates: Candidates,
    task: Int[Array, ""],
    pool: Pool,
    features: Float[Array, "rows columns"],
    models: Models,
    shortlist: Shortlist,
    anew: Bool[Array, ""],
    wanted: Bool[Array, ""],
    most: Any,
) -> Shortlist:
    """The shortlist for the next proposal: all parts worked out anew, or one; some of them of fresh rows.

    Args:
        candidates: of all tasks.
        task: a position in them.
        pool: whose random order fresh rows come from.
        features: of all rows of the table.
        models: that choose.
        shortlist: so far.
        anew: whether all must be worked out.
        wanted: whether the lane chooses at all; if not, nothing changes.
        most: ``num_due`` of that lane of a batch which has most.
    """
    parts, size = shortlist.row.shape
    count = num_due(candidates, shortlist, anew, wanted)
    num_fresh = jnp.where(shortlist.num_read > 0, jnp.where(anew, FRESH_PARTS, 1), parts)
    num_fresh = jnp.int32(0) if is_whole(candidates) else jnp.minimum(num_fresh, count)
    order = jnp.argsort(shortlist.best)

    def turn(number: Int[Array, ""], shortlist: Shortlist) -> Shortlist:
        part = jnp.where(number < count, order[number], parts)
        position = pool.random.num_taken + shortlist.num_read + jnp.arange(size, dtype=jnp.int32)
        fresh = candidate_rows(candidates, task, pool.random.round_keys, position % candidates.num_rows[task])
        is_fresh = number < num_fresh
        row = jnp.where(is_fresh, fresh, shortlist.row[jnp.minimum(part, parts - 1)])
        listed = features[jnp.maximum(row, 0)]

        cross, explained = _worked_out(features, models, listed)
        return shortlist._replace(
            row=jnp.asarray(shortlist.row).at[part].set(row, mode="drop"),
            features=jnp.asarray(shortlist.features).at[part].set(listed, mode="drop"),
            cross=jnp.asarray(shortlist.cross).at[:, :, part].set(cross, mode="drop"),
            explained=jnp.asarray(shortlist.explained).at[:, part].set(explained, mode="drop"),
            num_read=shortlist.num_read + jnp.where(is_fresh, size, 0),
        )

    return jax.lax.fori_loop(0, most, turn, shortlist)


def _worked_out(
    features: Float[Array, "rows columns"], models: Models, listed: Float[Array, "some columns"]
) -> tuple[Float[Array, "models capacity some"], Float[Array, "models some"]]:
    """Covariance of the models' rows with others, and what these explain."""

    def with_size(size: int) -> tuple[Array, Array]:
        row = models.row[:size]

        def each(hyperparameters: gp.Hyperparameters, whitening: Array) -> tuple[Array, Array]:
            cross = gp.covariance(hyperparameters, features[row], row >= 0, listed)
            return cross, gp.explained(whitening, cross)

        cross, explained = jax.vmap(each)(models.hyperparameters, models.whitening[:, :size, :size])
        return jnp.pad(cross, ((0, 0), (0, models.row.shape[0] - size), (0, 0))), explained

    return in_least_size(jnp.sum(models.row >= 0), with_size)


def in_least_size(count: Int[Array, ""], function: Callable[[int], Any]) -> Any:
    """What a function of a size gives for the least of ``SIZES`` that so many rows of each lane fit in."""
    number = jnp.searchsorted(jnp.asarray(SIZES), most_of_lanes(count))
    return jax.lax.switch(number, [functools.partial(function, size) for size in SIZES])


def num_due(
    candidates: Candidates, shortlist: Shortlist, anew: Bool[Array, ""], wanted: Bool[Array, ""]
) -> Int[Array, ""]:
    """How many parts are worked out for the next proposal."""
    parts = shortlist.row.shape[0]
    return jnp.where(wanted, jnp.where(anew, parts, 0 if is_whole(candidates) else 1), 0)


def chosen_from(
    shortlist: Shortlist, gain: Float[Array, "parts size"]
) -> tuple[Int[Array, ""], Float[Array, " parts"]]:
    """The row of greatest gain, and the best of each part without it."""
    best = jnp.argmax(gain)
    rest = jnp.where(jnp.arange(gain.size) == best, -jnp.inf, gain.reshape(-1))
    return shortlist.row.reshape(-1)[best], jnp.max(rest.reshape(gain.shape), axis=1)
