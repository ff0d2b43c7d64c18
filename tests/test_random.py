"""Random search without replacement: a permutation, and as fair as a shuffle.

Statistical tests use fixed seeds. Each of the 16 chi-square tests is at level 1e-4, so that other seeds would
give a false alarm once in about 600 runs of this module.
"""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats

from mohb_jax.searchers.base import Seen
from mohb_jax.searchers.random import Candidates, RandomState, listed, num_rounds, permuted, random_search
from tests import reference

ALARM = 1e-4
SEARCHER = random_search()


@functools.cache
def compiled(num_rows):
    """Elements of the permutation at given positions."""
    return jax.jit(lambda keys, position: permuted(keys, position, num_rows, num_rows))


def candidates(num_rows):
    count = jnp.full(1, num_rows, jnp.int32)
    return Candidates(None, count, count, num_rows)


def initial_state(seed, num_rows):
    return SEARCHER.init(candidates(num_rows), jnp.int32(0), jax.random.key(seed))


@functools.cache
def compiled_suggest(num_rows, num_suggestions):
    return jax.jit(lambda state: SEARCHER.suggest(candidates(num_rows), jnp.int32(0), state, num_suggestions))


def round_keys(seed, num_rows):
    return initial_state(seed, num_rows).round_keys


@pytest.mark.parametrize("num_rows", [1, 2, 3, 7, 12, 63, 64, 70, 288, 9472])
def test_kernel_equals_python_integers_and_is_a_permutation(num_rows):
    for seed in range(3):
        keys = round_keys(seed, num_rows)
        rows = np.asarray(compiled(num_rows)(keys, jnp.arange(num_rows, dtype=jnp.int32))).tolist()
        assert sorted(rows) == list(range(num_rows))
        assert rows == reference.permutation(np.asarray(keys).tolist(), num_rows)


def test_every_small_size_gives_permutations():
    """The kernel's definition, for all sizes: compiling the kernel for each would take half a minute."""
    rng = np.random.default_rng(0)
    for num_rows in range(1, 71):
        for _ in range(3):
            keys = rng.integers(2**32, size=num_rounds(num_rows)).tolist()
            assert sorted(reference.permutation(keys, num_rows)) == list(range(num_rows)), f"{num_rows=}"


def test_variants_agree(variant):
    keys, position = round_keys(5, 30), jnp.arange(30, dtype=jnp.int32)
    rows = variant(lambda keys, position: permuted(keys, position, 30, 30))(keys, position)
    assert np.asarray(rows).tolist() == reference.permutation(np.asarray(keys).tolist(), 30)


@pytest.mark.parametrize("num_rows", [2, 3, 5, 12, 30, 63, 64, 100])
def test_first_rows_and_pairs_are_uniform(num_rows):
    num_keys, first_two = 60_000, jnp.arange(2, dtype=jnp.int32)
    keys = jax.random.bits(jax.random.key(num_rows), (num_keys, num_rounds(num_rows)), jnp.uint32)
    lanes = jax.jit(jax.vmap(lambda keys: permuted(keys, first_two, num_rows, num_rows)))
    first, second = np.asarray(lanes(keys)).T
    assert scipy.stats.chisquare(np.bincount(first, minlength=num_rows)).pvalue > ALARM
    counts = np.bincount(first * num_rows + second, minlength=num_rows**2).reshape(num_rows, num_rows)
    assert not np.diag(counts).any()
    pairs = counts[~np.eye(num_rows, dtype=bool)]
    assert scipy.stats.chisquare(pairs).pvalue > ALARM


def suggest_in_batches(seed, num_rows, sizes):
    """All suggestions of one lane, and which of them are valid."""
    state, rows, valid = initial_state(seed, num_rows), [], []
    for size in sizes:
        state, some_rows, some_valid = compiled_suggest(num_rows, size)(state)
        rows += some_rows.tolist()
        valid += some_valid.tolist()
    assert isinstance(state, RandomState)
    return np.array(rows), np.array(valid)


def test_suggestions_do_not_depend_on_batches_and_never_repeat():
    whole, all_valid = suggest_in_batches(0, 50, [50])
    assert sorted(whole) == list(range(50))
    assert all_valid.all()
    for sizes in ([9, 5, 3, 9, 5, 3, 9, 5], [3, 9, 9, 5, 9, 9]):
        rows, valid = suggest_in_batches(0, 50, sizes)
        np.testing.assert_array_equal(rows, whole[: sum(sizes)])
        assert valid.all()


def test_an_exhausted_table_gives_suggestions_that_are_not_valid():
    rows, valid = suggest_in_batches(1, 20, [9, 9, 9, 9])
    np.testing.assert_array_equal(valid, np.arange(36) < 20)
    assert sorted(rows[:20]) == list(range(20))
    assert ((rows >= 0) & (rows < 20)).all()  # even then safe to look up


def test_observing_changes_nothing():
    state = initial_state(2, 20)
    seen = Seen(jnp.arange(3), jnp.int32(0), jnp.zeros((3, 2)), jnp.ones(3, bool), jnp.bool_(True))
    jax.tree.map(np.testing.assert_array_equal, SEARCHER.observe(state, seen), state)


def test_different_keys_give_different_orders():
    orders = {tuple(suggest_in_batches(seed, 20, [20])[0].tolist()) for seed in range(200)}
    assert len(orders) == 200


def test_each_task_gives_its_own_rows():
    own = [np.array([3, 8, 9]), np.arange(20, 40), np.array([5])]
    context = listed(own)
    for task, rows in enumerate(own):
        state = SEARCHER.init(context, jnp.int32(task), jax.random.key(task))
        _, row, valid = SEARCHER.suggest(context, jnp.int32(task), state, 24)
        assert sorted(np.asarray(row)[np.asarray(valid)]) == rows.tolist()
        assert np.asarray(valid).sum() == len(rows)


def test_rows_after_the_shuffled_ones_keep_their_order():
    context = listed([np.arange(100, 130)], num_shuffled=[10])
    state = SEARCHER.init(context, jnp.int32(0), jax.random.key(0))
    row = np.asarray(SEARCHER.suggest(context, jnp.int32(0), state, 30)[1])
    assert sorted(row[:10]) == list(range(100, 110))
    assert row[:10].tolist() != list(range(100, 110))
    assert row[10:].tolist() == list(range(110, 130))
