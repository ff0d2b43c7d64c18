"""Selecting ensembles from a library of models under a cost, one lane per library.

An ensemble predicts the mean of its members' probabilities. Its negative log-likelihood therefore needs
nothing of a member but its probabilities of the correct classes: ``[examples, models]``. Examples may be
padding, for which every model says 1.

All is chosen on validation examples; how an ensemble does on test examples is carried along and decides
nothing.
"""

import functools
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Bool, Float, Int

from mohb_jax.kernels.crowding import crowded_order
from mohb_jax.kernels.dominance import peel_rank
from mohb_jax.types import Array, Key

NUM_STEPS = 50
"""Members, with repetitions, of the largest ensemble that ``caruana``, ``gradient`` and ``top_k`` try."""
NUM_BEST = 50
"""Models that ``caruana`` chooses from: the best singles."""
MOST_MEMBERS = 20
"""Of an ensemble by ``smobf``."""
NUM_BUDGETS = 32
POPULATION = 64
GENERATIONS = 100
GROUP = 32
"""Probabilities that are multiplied before a logarithm is taken. Recorded ones are at least 2**-24, so that
products stay within float64."""

_SLACK = 1e-9

Loss = Callable[[Array, Array, Array], Array]
"""Losses ``[k]`` of sums of predictions ``[examples, k]``, onto each of which one more sum ``[examples, 1]``
is added, all divided by ``[k]`` counts: added up over examples."""


class Library(NamedTuple):
    """Models of one tuning run.

    Attributes:
        validation: probability of each example's correct class, or another prediction for another loss.
        test: the same on examples that decide nothing.
        cost: of each model, positive.
        allowed: False marks padding, and models that may not be used.
    """

    validation: Float[Array, "examples models"]
    test: Float[Array, "tested models"]
    cost: Float[Array, " models"]
    allowed: Bool[Array, " models"]


class Ensembles(NamedTuple):
    """What a way of selecting came by.

    Attributes:
        weights: how often each model is a member.
        loss: on validation examples, added up over examples.
        test_loss: on test examples, added up.
        cost: of the distinct members.
        valid: False marks padding.
    """

    weights: Int[Array, "*k models"]
    loss: Float[Array, "*k"]
    test_loss: Float[Array, "*k"]
    cost: Float[Array, "*k"]
    valid: Bool[Array, "*k"]


def log_loss(total: Float[Array, "v 1"], parts: Float[Array, "v k"], count: Float[Array, "..."]) -> Array:
    """Negative log-likelihood, in nats, of means of probabilities; see ``Loss``.

    Args:
        total: of members so far; ``v`` is a multiple of ``GROUP``.
        parts: what is added.
        count: members together.
    """
    num_examples, num_parts = parts.shape
    groups = (total + parts).reshape(GROUP, num_examples // GROUP, num_parts)
    product = groups[0]
    for place in range(1, GROUP):  # one pass, no array of logarithms: products are exact enough
        product = product * groups[place]
    return num_examples * jnp.log(count) - jnp.log(product).sum(axis=0)


class _Growing(NamedTuple):
    """An ensemble, and the sums of its predictions."""

    total: Float[Array, "v 1"]
    test_total: Float[Array, "u 1"]
    weights: Int[Array, " models"]
    loss: Float[Array, ""]
    cost: Float[Array, ""]
    alive: Bool[Array, ""]


def _nobody(library: Library, loss: float | Array = jnp.inf) -> _Growing:
    return _Growing(
        total=jnp.zeros((library.validation.shape[0], 1)),
        test_total=jnp.zeros((library.test.shape[0], 1)),
        weights=jnp.zeros(library.cost.shape[0], jnp.int32),
        loss=jnp.asarray(loss, float),
        cost=jnp.asarray(0.0),
        alive=jnp.any(library.allowed),
    )


def _count(own: _Growing) -> Float[Array, ""]:
    return own.weights.sum() + 1.0


def _joined(library: Library, own: _Growing, model: Int[Array, ""], loss: Float[Array, ""]) -> _Growing:
    """With one more member."""
    new = own.weights[model] == 0
    return own._replace(
        total=own.total + library.validation[:, model, None],
        test_total=own.test_total + library.test[:, model, None],
        weights=jnp.asarray(own.weights).at[model].add(1),
        loss=loss,
        cost=own.cost + jnp.where(new, library.cost[model], 0),
    )


def _kept(library: Library, own: _Growing, loss: Loss) -> Ensembles:
    """An ensemble as it is reported."""
    return Ensembles(own.weights, *_told(library, own, loss))


def _told(library: Library, own: _Growing, loss: Loss) -> tuple[Array, Array, Array, Array]:
    """What is reported of an ensemble beside its weights."""
    nothing = jnp.zeros((library.test.shape[0], 1))
    count = jnp.maximum(own.weights.sum(), 1).astype(float)
    return own.loss, loss(nothing, own.test_total, count)[0], own.cost, own.alive


def singles(library: Library, loss: Loss = log_loss) -> Ensembles:
    """Every model alone."""
    number = library.cost.shape[0]

    def alone(parts: Float[Array, "v models"]) -> Float[Array, " models"]:
        return loss(jnp.zeros((parts.shape[0], 1)), parts, jnp.ones(number))

    losses = alone(library.validation), alone(library.test)
    return Ensembles(jnp.eye(number, dtype=jnp.int32), *losses, library.cost, library.allowed)


def best(library: Library, loss: Loss = log_loss) -> Ensembles:
    """The model that is best alone; ties go to the lowest."""
    every = singles(library, loss)
    place = jnp.argmin(jnp.where(every.valid, every.loss, jnp.inf))
    return jax.tree.map(lambda part: part[place][None], every)


def top_k(library: Library, loss: Loss = log_loss, num_steps: int = NUM_STEPS) -> Ensembles:
    """The k models that are best alone with equal weights, for every k up to ``num_steps``."""
    order = _best_first(library, loss)

    def step(own: _Growing, place: Int[Array, ""]) -> tuple[_Growing, Ensembles]:
        model = order[jnp.minimum(place, order.shape[0] - 1)]
        found = loss(own.total, library.validation[:, model, None], _count(own))[0]
        is_left = (place < order.shape[0]) & library.allowed[model]
        own = _joined(library, own, model, found)._replace(alive=is_left)
        return own, _kept(library, own, loss)

    return jax.lax.scan(step, _nobody(library), jnp.arange(num_steps))[1]


def _best_first(library: Library, loss: Loss) -> Int[Array, " models"]:
    alone = singles(library, loss)
    return jnp.argsort(jnp.where(alone.valid, alone.loss, jnp.inf), stable=True)


def caruana(library: Library, loss: Loss = log_loss, num_steps: int = NUM_STEPS) -> Ensembles:
    """Greedy forward selection with replacement: each step adds the model that lowers the loss most, or
    raises it least.

    From nothing, among the ``NUM_BEST`` best singles, without an early stop. Ties go to the lowest model,
    where auto-sklearn decides them at random. All prefixes are returned; the reference keeps the last one.

    Returns:
        ``num_steps`` ensembles. A member that was added twice costs once.

    References:
        Caruana et al., "Ensemble selection from libraries of models", 2004.
    """
    among = _best_first(library, loss)[:NUM_BEST]
    candidate = jnp.zeros_like(library.allowed).at[among].set(True) & library.allowed

    def step(own: _Growing, _: None) -> tuple[_Growing, Ensembles]:
        losses = jnp.where(candidate, loss(own.total, library.validation, _count(own)), jnp.inf)
        model = jnp.argmin(losses)
        own = _joined(library, own, model, losses[model])
        return own, _kept(library, own, loss)

    return jax.lax.scan(step, _nobody(library), None, length=num_steps)[1]


def gradient(library: Library, loss: Loss = log_loss, num_steps: int = NUM_STEPS) -> Ensembles:
    """From the best single on, each step adds the model towards which the loss falls fastest to first order;
    it ends where the loss rises.

    One backward pass instead of a forward pass for every model.

    References:
        github.com/PierrickPochelu/EnsembleSelectionJax (its start "linear"; its loss is the squared error).
    """

    def of_weights(weights: Float[Array, " models"]) -> Float[Array, ""]:
        total = library.validation @ weights[:, None]
        return loss(total, jnp.zeros_like(total), weights.sum())[0]

    def step(own: _Growing, place: Int[Array, ""]) -> tuple[_Growing, Ensembles]:
        slope = jax.grad(of_weights)(own.weights.astype(float))
        model = jnp.where(place == 0, order[0], jnp.argmin(jnp.where(library.allowed, slope, jnp.inf)))
        found = loss(own.total, library.validation[:, model, None], _count(own))[0]
        alive = own.alive & (found <= own.loss)
        own = _joined(library, own, model, found)._replace(alive=alive)
        return own, _kept(library, own, loss)

    order = _best_first(library, loss)
    # No slope is taken at nobody's weights: all members are there for the first step, which knows its model.
    return jax.lax.scan(step, _nobody(library), jnp.arange(num_steps))[1]


class _Walk(NamedTuple):
    """One library and one way of ``smobf``: budgets are taken one after the other, the largest first."""

    own: _Growing
    budget: Int[Array, ""]
    """Which is being spent; -1 at the end."""
    place: Int[Array, ""]
    members: Int[Array, "budgets members"]
    told: tuple[Array, Array, Array, Array]


def smobf(
    libraries: Library,
    budgets: Float[Array, "lanes budgets"],
    nothing: Float[Array, " lanes"],
    loss: Loss = log_loss,
) -> Ensembles:
    """Budgeted forward selection without replacement, with equal weights; ours after the name and the idea of
    the paper, whose code is not public.

    Within a budget the model joins that lowers the loss most, or, as a second way, most for its cost; it ends
    where none lowers it. All prefixes under all budgets and both ways are returned. A budget that a larger
    one did not use up gives what the larger one gave, so it is left out.

    All lanes advance together, one candidate each per step, until the last one is through.

    Args:
        libraries: of runs, a lane each.
        budgets: ascending largest costs of an ensemble, see ``budget_grid``.
        nothing: loss without any member, added up over examples: that of the labels' frequencies.
        loss: see ``Loss``.

    Returns:
        For each lane 2 x budgets x ``MOST_MEMBERS`` ensembles in the order of way, budget and members, valid
        where there is one.

    References:
        Pochelu, Petiton and Conche, "A deep neural networks ensemble workflow from hyperparameter search to
        inference leveraging GPU clusters", 2022 (abstract).
    """
    own = [
        _all_budgets(libraries, budgets, nothing, loss, jnp.full(nothing.shape, by_ratio))
        for by_ratio in (False, True)
    ]
    return jax.tree.map(lambda *parts: jnp.concatenate(parts, axis=1), *own)


def _all_budgets(
    libraries: Library,
    budgets: Float[Array, "lanes budgets"],
    nothing: Float[Array, " lanes"],
    loss: Loss,
    by_ratio: Bool[Array, " lanes"],
) -> Ensembles:
    """One way of ``smobf``. The loop stands outside of ``vmap``, which would copy all that lanes hold."""
    step = jax.vmap(lambda *lane: _spent(loss, *lane))
    start = jax.vmap(lambda *lane: _start(loss, *lane))(libraries, budgets, nothing)
    walk = jax.lax.while_loop(
        lambda walk: jnp.any(walk.budget >= 0),
        lambda walk: step(walk, libraries, budgets, nothing, by_ratio),
        start,
    )
    number = libraries.cost.shape[1]
    weights = jnp.cumsum(walk.members[..., None] == jnp.arange(number), axis=2, dtype=jnp.int32)
    found = Ensembles(weights, *walk.told)
    return jax.tree.map(lambda part: part.reshape(part.shape[0], -1, *part.shape[3:]), found)


def _start(
    loss: Loss, library: Library, budgets: Float[Array, " budgets"], nothing: Float[Array, ""]
) -> _Walk:
    number, last = library.cost.shape[0], budgets.shape[0] - 1
    shape = budgets.shape[0], min(MOST_MEMBERS, number)
    told = tuple(jnp.zeros(shape, part.dtype) for part in _told(library, _nobody(library), loss))
    own = _nobody(library, nothing)
    budget = jnp.where(own.alive, last, -1)
    return _Walk(own, budget, jnp.int32(0), jnp.full(shape, number), (told[0], told[1], told[2], told[3]))


def _spent(
    loss: Loss,
    walk: _Walk,
    library: Library,
    budgets: Float[Array, " budgets"],
    nothing: Float[Array, ""],
    by_ratio: Bool[Array, ""],
) -> _Walk:
    """One more member, or on to the next budget."""
    own, most = walk.own, walk.members.shape[1]
    losses = loss(own.total, library.validation, _count(own))
    room = budgets[walk.budget] * (1 + _SLACK) - own.cost
    fits = library.allowed & (own.weights == 0) & (library.cost <= room)
    gain = jnp.where(fits & (losses < own.loss), own.loss - losses, -jnp.inf)
    model = jnp.argmax(jnp.where(by_ratio, gain / library.cost, gain))
    joins = (gain[model] > 0) & (walk.place < most) & (walk.budget >= 0)
    grown = _joined(library, own, model, losses[model])
    at = walk.budget, jnp.where(joins, walk.place, most)  # beyond: dropped
    told = _told(library, grown, loss)
    kept = jax.tree.map(lambda all_, new: all_.at[at].set(new, mode="drop"), walk.told, told)
    following = jnp.sum(budgets * (1 + _SLACK) < own.cost, dtype=jnp.int32) - 1
    begun = _nobody(library, nothing)
    return _Walk(
        jax.tree.map(lambda new, old: jnp.where(joins, new, old), grown, begun),
        jnp.where(joins, walk.budget, jnp.minimum(following, walk.budget - 1)),
        jnp.where(joins, walk.place + 1, 0),
        jnp.asarray(walk.members).at[at].set(model, mode="drop"),
        kept,
    )


def budget_grid(
    cost: Float[Array, " models"], allowed: Bool[Array, " models"], num_budgets: int = NUM_BUDGETS
) -> Float[Array, " budgets"]:
    """Budgets, evenly in the logarithm, from the cheapest model to the ``MOST_MEMBERS`` dearest together."""
    least = jnp.min(jnp.where(allowed, cost, jnp.inf), initial=jnp.inf)
    least = jnp.where(jnp.isfinite(least), least, 1.0)
    most = jnp.sort(jnp.where(allowed, cost, 0.0))[-MOST_MEMBERS:].sum()
    share = jnp.linspace(0, 1, num_budgets)
    return least * (jnp.maximum(most, least) / least) ** share


@functools.partial(jax.jit, static_argnames=("loss", "generations"))
def nsga2(library: Library, key: Key, loss: Loss = log_loss, generations: int = GENERATIONS) -> Ensembles:
    """NSGA-II on sets of models, with loss and cost as objectives: the members of the last generation.

    ``POPULATION`` sets, each of which begins with a density of its own. Parents win binary tournaments; pairs
    exchange models uniformly, then each model joins or leaves with probability 1 / models. An empty set is
    mended: it gets the best single. Sets are compared by sums of predictions in 32 bits, which takes a third
    of the time; reported losses have 64.

    References:
        Deb et al., "A fast and elitist multiobjective genetic algorithm: NSGA-II", 2002.
    """
    number, best_alone = library.cost.shape[0], _best_first(library, loss)[0]
    halved = library.validation.astype(jnp.float32)
    change = 1 / jnp.maximum(library.allowed.sum(), 1)

    def mended(sets: Bool[Array, "k models"]) -> Bool[Array, "k models"]:
        sets = jnp.asarray(sets & library.allowed)
        return sets.at[:, best_alone].set(sets[:, best_alone] | ~sets.any(axis=1))

    def objectives(sets: Bool[Array, "k models"]) -> Float[Array, "k 2"]:
        return jnp.stack([_of_sets(halved, sets, loss), sets @ library.cost], axis=1)

    def generation(carry: tuple, own_key: Key) -> tuple:
        sets, costs = carry
        tournament, each = jax.random.split(own_key)
        drawn = jax.random.randint(tournament, (2, POPULATION, 2), 0, POPULATION).min(axis=-1)  # best first
        # A bit for the exchange, the rest for the flip.
        chance = jax.random.bits(each, sets.shape, jnp.uint16)
        crossed = jnp.where(chance & 1 == 0, sets[drawn[0]], sets[drawn[1]])
        child = mended(crossed ^ ((chance >> 1) < change * 2.0**15))
        all_sets = jnp.concatenate([sets, child])
        all_costs = jnp.concatenate([costs, objectives(child)])
        valid = jnp.ones(2 * POPULATION, bool)
        rank = peel_rank(all_costs, valid, POPULATION)  # half of the sets in few fronts: quicker than a sweep
        order = crowded_order(all_costs, rank, valid)[:POPULATION]
        return (all_sets[order], all_costs[order]), None

    density_key, start, rest = jax.random.split(key, 3)
    density = jax.random.uniform(density_key, (POPULATION, 1))
    begun = mended(jax.random.bernoulli(start, density, (POPULATION, number)))
    keys = jax.random.split(rest, generations)
    sets, costs = jax.lax.scan(generation, (begun, objectives(begun)), keys)[0]
    valid = jnp.broadcast_to(library.allowed.any(), (POPULATION,))
    found, tested = (_of_sets(parts, sets, loss) for parts in (library.validation, library.test))
    return Ensembles(sets.astype(jnp.int32), found, tested, costs[:, 1], valid)


def _of_sets(
    parts: Float[Array, "v models"], sets: Bool[Array, "k models"], loss: Loss
) -> Float[Array, " k"]:
    """Losses of ensembles with equal weights."""
    total = (parts @ sets.T.astype(parts.dtype)).astype(float)
    return loss(jnp.zeros((parts.shape[0], 1)), total, sets.sum(axis=1).astype(float))
