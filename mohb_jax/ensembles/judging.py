"""What comes of many libraries: every way of selecting, its front on test examples, and what was chosen.

All ways choose on validation examples. A front is of the ensembles that none other of the same way dominates
in validation loss and cost; it is judged by their test losses.
"""

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Bool, Float, Int

from mohb_jax.benchmarks.sources.embedded_predictions import Predictions
from mohb_jax.ensembles import selection
from mohb_jax.ensembles.selection import GROUP, Ensembles, Library
from mohb_jax.kernels.hypervolume import hypervolume
from mohb_jax.precision import in_64_bits
from mohb_jax.threads import map_in_threads
from mohb_jax.types import Array, Key

WAYS = ("best", "singles", "top-k", "caruana", "gradient", "smobf", "nsga2")
"""Ways of selecting, in the order in which they are shown."""
NUM_STAIRS = 40
"""Budgets at which a front is read off for figures."""
LANES = 32
"""Libraries that are worked on together."""
SIZES = (16, 64, 128, 256)
"""Room for models in a library; each is a program."""


class Scale(NamedTuple):
    """What the libraries of a task share.

    Attributes:
        nothing: mean validation and test loss of the labels' frequencies in the validation part.
        corner: largest test loss and cost that count, the latter as a logarithm.
        stairs: costs at which fronts are read off.
    """

    nothing: tuple[float, float]
    corner: Float[np.ndarray, " two"]
    stairs: Float[np.ndarray, " stairs"]


class Outcome(NamedTuple):
    """Of one way on all libraries of a task, ``[libraries]``; losses are means in nats.

    Attributes:
        hypervolume: of test loss and the logarithm of cost, up to the scale's corner; not relative.
        validation_loss: of the chosen ensemble, the lowest.
        test_loss: of the same.
        best_test_loss: the lowest on the front: what choosing on validation examples loses is the difference.
        cost: of the chosen ensemble.
        weights: of the chosen ensemble.
        stairs: test loss of what would be chosen within each of the scale's costs.
        found: False where the library was empty.
    """

    hypervolume: Float[np.ndarray, " libraries"]
    validation_loss: Float[np.ndarray, " libraries"]
    test_loss: Float[np.ndarray, " libraries"]
    best_test_loss: Float[np.ndarray, " libraries"]
    cost: Float[np.ndarray, " libraries"]
    weights: Int[np.ndarray, "libraries configs"]
    stairs: Float[np.ndarray, "libraries stairs"]
    found: Bool[np.ndarray, " libraries"]

    @property
    def members(self) -> Int[np.ndarray, " libraries"]:
        """Distinct members of the chosen ensemble."""
        return np.asarray((self.weights > 0).sum(axis=1))


def scale_of(predictions: Predictions, least_cost: Float[np.ndarray, " configs"]) -> Scale:
    """From the table alone, never from what was selected.

    The corner is the loss of the labels' frequencies, and the ``MOST_MEMBERS`` dearest models together, each
    where it is cheapest.
    """
    labels, valid = predictions.labels, predictions.num_validation
    share = np.bincount(labels[:valid], minlength=predictions.probability.shape[2]) / valid
    losses = -np.log(share[labels])
    nothing = float(losses[:valid].mean()), float(losses[valid:].mean())
    most = float(np.sort(least_cost)[-selection.MOST_MEMBERS :].sum())
    stairs = np.geomspace(least_cost.min(), most, NUM_STAIRS)
    return Scale(nothing, np.array([nothing[1], np.log(most)]), stairs)


@in_64_bits
def judge(
    predictions: Predictions,
    scale: Scale,
    allowed: Bool[np.ndarray, "libraries configs"],
    cost: Float[np.ndarray, "libraries configs"],
    seed: int = 0,
    ways: tuple[str, ...] = WAYS,
) -> dict[str, Outcome]:
    """Every way on every library of a task.

    Args:
        predictions: of the task.
        scale: see ``scale_of``.
        allowed: the models of each library.
        cost: of each of them; what is not allowed may cost anything.
        seed: of ``nsga2``.
        ways: of selecting.
    """
    sizes = allowed.sum(axis=1)
    batches = [
        (room, own[first : first + LANES])
        for room, own in ((room, np.flatnonzero(_room(sizes) == room)) for room in SIZES)
        for first in range(0, own.size, LANES)
    ]
    key = jax.random.key(seed)
    parts = map_in_threads(
        lambda batch: _judge_batch(predictions, scale, allowed, cost, batch, key, ways), batches
    )
    order = np.argsort(np.concatenate([own for _, own in batches]))
    return {
        way: Outcome(
            *(np.concatenate(column)[order] for column in zip(*(p[way] for p in parts), strict=True))
        )
        for way in ways
    }


def _room(sizes: Int[np.ndarray, " libraries"]) -> Int[np.ndarray, " libraries"]:
    return np.asarray(SIZES)[np.searchsorted(SIZES, sizes)]


def _judge_batch(
    predictions: Predictions,
    scale: Scale,
    allowed: Bool[np.ndarray, "libraries configs"],
    cost: Float[np.ndarray, "libraries configs"],
    batch: tuple[int, Int[np.ndarray, " lanes"]],
    key: Key,
    ways: tuple[str, ...],
) -> dict[str, Outcome]:
    """Libraries of one size, their models moved to the front; lanes are filled up with empty libraries."""
    room, own = batch
    config = np.argsort(~allowed[own], axis=1, kind="stable")[:, :room]
    there = np.take_along_axis(allowed[own], config, axis=1)
    prices = np.where(there, np.take_along_axis(cost[own], config, axis=1), 1.0)
    filled = [np.pad(part, ((0, LANES - own.size), (0, 0))) for part in (config, there)]
    prices = np.pad(prices, ((0, LANES - own.size), (0, 0)), constant_values=1.0)
    valid = predictions.num_validation
    parts = padded(predictions.correct[:, :valid].T), padded(predictions.correct[:, valid:].T)
    counts = np.array([valid, predictions.labels.size - valid], float)
    lane = np.pad(own, (0, LANES - own.size))
    found = _judged(parts, counts, tuple(scale), *filled, prices, lane, key, ways)
    outcomes = {}
    for way, outcome in found.items():
        kept = {name: np.asarray(part)[: own.size] for name, part in outcome.items()}
        weights = np.zeros((own.size, allowed.shape[1]), np.int32)
        np.put_along_axis(weights, config, kept["weights"], axis=1)
        outcomes[way] = Outcome(**(kept | {"weights": weights}))
    return outcomes


def padded(correct: Float[np.ndarray, "examples configs"], least: int = 160) -> np.ndarray:
    """Examples filled up with ones of which every model is certain, so that all tasks share programs."""
    size = -(-max(len(correct), least) // GROUP) * GROUP
    return np.pad(correct, ((0, size - len(correct)), (0, 0)), constant_values=1.0)


@functools.partial(jax.jit, static_argnames="ways")
def _judged(
    parts: tuple[Array, Array],
    counts: Float[Array, " two"],
    scale: tuple,
    config: Int[Array, "lanes room"],
    there: Bool[Array, "lanes room"],
    cost: Float[Array, "lanes room"],
    lane: Int[Array, " lanes"],
    key: Key,
    ways: tuple[str, ...],
) -> dict[str, dict[str, Array]]:
    """Every way on libraries of one size: the fields of each outcome."""
    gathered = [jnp.moveaxis(jnp.asarray(part)[:, config], 1, 0) for part in parts]
    libraries = Library(gathered[0], gathered[1], cost, there)
    nothing = jnp.full(lane.shape, scale[0][0] * counts[0])
    found = {way: _select(way, libraries, nothing, lane, key) for way in ways}
    summary = jax.vmap(lambda own: outcome_of(own, counts, *scale))
    return {way: summary(own) for way, own in found.items()}


def _select(
    way: str, libraries: Library, nothing: Float[Array, " lanes"], lane: Int[Array, " lanes"], key: Key
) -> Ensembles:
    """One way on all lanes."""
    if way == "smobf":
        budgets = jax.vmap(selection.budget_grid)(libraries.cost, libraries.allowed)
        return selection.smobf(libraries, budgets, nothing)
    if way == "nsga2":
        keys = jax.vmap(lambda own: jax.random.fold_in(key, own))(lane)
        return jax.vmap(selection.nsga2)(libraries, keys)
    alone = {
        "best": selection.best,
        "singles": selection.singles,
        "top-k": selection.top_k,
        "caruana": selection.caruana,
        "gradient": selection.gradient,
    }
    return jax.vmap(alone[way])(libraries)


def outcome_of(
    found: Ensembles,
    counts: Float[Array, " two"],
    nothing: tuple,
    corner: Float[Array, " two"],
    stairs: Float[Array, " stairs"],
) -> dict[str, Array]:
    """What comes of the ensembles of one library: fields of an ``Outcome`` without their first axis."""
    loss, test_loss = found.loss / counts[0], found.test_loss / counts[1]
    on_front = front_mask(loss, found.cost, found.valid)
    points = jnp.stack([test_loss, jnp.log(found.cost)], axis=1)
    ranked = jnp.where(found.valid, loss, jnp.inf)
    best = jnp.argmin(ranked)
    within = jnp.where(found.cost[None] <= stairs[:, None] * (1 + 1e-9), ranked[None], jnp.inf)
    at = jnp.argmin(within, axis=1)
    read_off = jnp.where(jnp.isfinite(within.min(axis=1)), test_loss[at], nothing[1])
    any_found = jnp.any(found.valid)
    lowest = jnp.min(jnp.where(on_front, test_loss, jnp.inf))
    return {
        "hypervolume": hypervolume(points, corner, on_front),
        "validation_loss": jnp.where(any_found, loss[best], nothing[0]),
        "test_loss": jnp.where(any_found, test_loss[best], nothing[1]),
        "best_test_loss": jnp.where(any_found, lowest, nothing[1]),
        "cost": jnp.where(any_found, found.cost[best], 0.0),
        "weights": jnp.where(any_found, found.weights[best], 0),
        "stairs": read_off,
        "found": any_found,
    }


def front_mask(
    loss: Float[Array, " k"], cost: Float[Array, " k"], valid: Bool[Array, " k"]
) -> Bool[Array, " k"]:
    """True for ensembles that no other dominates; of equal ones the first."""
    order = jnp.lexsort((loss, cost, ~valid))
    least = jax.lax.cummin(jnp.where(valid, loss, jnp.inf)[order])
    before = jnp.concatenate([jnp.full(1, jnp.inf), least[:-1]])
    return jnp.zeros(valid.shape, bool).at[order].set(loss[order] < before) & valid
