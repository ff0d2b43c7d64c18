"""Rows among which models choose."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mohb_jax.searchers import promising_rows as module
from mohb_jax.searchers.random import listed

NUM_FRESH, NUM_KEPT = 40, module.NUM_KEPT * module.NUM_TURNS
CANDIDATES = listed([np.arange(300), np.arange(100, 350, 2)])
SEEN = jnp.asarray([0b11, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0], jnp.uint32)  # rows 0 and 1


@jax.jit
def promising(task, kept, key):
    return module.promising(CANDIDATES, task, SEEN, kept, NUM_FRESH, key)


def chosen(task, kept, seed=0):
    """Rows that may be chosen, and which of the kept ones are among them."""
    row, valid = (np.asarray(part) for part in promising(jnp.int32(task), kept, jax.random.key(seed)))
    return row[valid].tolist(), valid[: kept.shape[0]].tolist()


def test_fresh_rows_and_kept_ones_each_of_them_once():
    kept = module.none_kept(CANDIDATES, NUM_FRESH).at[:5].set(jnp.int32([7, 1, 9, 7, 11]))
    found = set()
    for seed in range(3):
        rows, of_kept = chosen(0, kept, seed)
        assert of_kept == [True, False, True, False, True] + [False] * (NUM_KEPT - 5)
        assert len(set(rows)) == len(rows) >= NUM_FRESH - 2
        assert not {0, 1} & set(rows)
        found |= set(rows)
    assert len(found) > 90
    rows, _ = chosen(1, module.none_kept(CANDIDATES, NUM_FRESH))
    assert len(rows) == NUM_FRESH
    assert set(rows) <= set(range(100, 350, 2))


def test_a_small_table_is_looked_at_whole():
    small = listed([np.arange(104), np.arange(50)])
    kept = module.none_kept(small, NUM_FRESH)
    assert kept.shape == (0,)
    for task, num_rows in enumerate((104, 50)):
        row, valid = module.promising(small, jnp.int32(task), SEEN, kept, NUM_FRESH, jax.random.key(0))
        assert np.asarray(row)[np.asarray(valid)].tolist() == list(range(2, num_rows))
    taken, kept = module.best_of(row, jnp.where(valid, jnp.arange(104.0), -jnp.inf), 2, kept)
    assert taken.tolist() == [49, 48]
    assert kept.shape == (0,)


@pytest.mark.parametrize("num_taken", [1, 4])
def test_the_best_rows_that_were_not_taken_are_kept_for_four_proposals(num_taken):
    row = jnp.arange(100, 204, dtype=jnp.int32)
    gain = jnp.asarray(np.random.default_rng(0).permutation(104).astype(float))
    order = 100 + np.argsort(-np.asarray(gain))
    taken, kept = module.best_of(row, gain, num_taken, jnp.arange(64, dtype=jnp.int32))
    assert taken.tolist() == order[:num_taken].tolist()
    assert kept[:16].tolist() == order[num_taken : num_taken + 16].tolist()
    assert kept[16:].tolist() == list(range(48))
    few = jnp.where(gain >= 101 - num_taken, gain, -jnp.inf)
    newest = module.best_of(row, few, num_taken, kept)[1][:16].tolist()
    assert newest == [*order[num_taken : num_taken + 3].tolist(), *13 * [-1]]
