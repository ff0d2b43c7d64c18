"""Pytrees of arrays compared leaf by leaf, with the name of the first leaf that differs."""

from typing import Any

import jax
import numpy as np


def different_leaf(first: Any, second: Any) -> str | None:
    """The first leaf of two trees that is not equal bit by bit (NaN equals NaN), by name; None if all are."""
    if _structure(first) != _structure(second):
        return "the structure"
    pairs = zip(_leaves(first), jax.tree.leaves(second), strict=True)
    return next((name for (name, one), two in pairs if not _equal(one, two)), None)


def changed_shape(before: Any, after: Any) -> str | None:
    """The first leaf whose shape or dtype differs, and how; None if all agree. Trees of shapes will do."""
    if _structure(before) != _structure(after):
        return f"the structure was {_structure(before)} and becomes {_structure(after)}"
    for (name, one), two in zip(_leaves(before), jax.tree.leaves(after), strict=True):
        if (one.shape, one.dtype) != (two.shape, two.dtype):
            return f"{name} was {one.dtype}{list(one.shape)} and becomes {two.dtype}{list(two.shape)}"
    return None


def _structure(tree: Any) -> Any:
    return jax.tree.structure(tree)


def _leaves(tree: Any) -> list[tuple[str, Any]]:
    leaves = jax.tree_util.tree_flatten_with_path(tree)[0]
    return [(f"leaf {jax.tree_util.keystr(path)}", leaf) for path, leaf in leaves]


def _equal(one: Any, two: Any) -> bool:
    one, two = (_plain(leaf) for leaf in (one, two))
    return one.dtype == two.dtype and np.array_equal(one, two, equal_nan=one.dtype.kind == "f")


def _plain(leaf: Any) -> np.ndarray:
    if isinstance(leaf, jax.Array) and jax.dtypes.issubdtype(leaf.dtype, jax.dtypes.prng_key):
        return np.asarray(jax.random.key_data(leaf))
    return np.asarray(leaf)
