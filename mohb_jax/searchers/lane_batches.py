"""What a batch of lanes computes: few lanes at a time where each needs much memory, and nothing that none of
them wants."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax.custom_batching import custom_vmap
from jaxtyping import Bool

from mohb_jax.types import Array

NUMBERS_AT_A_TIME = 1 << 22
"""Numbers of the largest array of all lanes that are worked on together: 32 MB."""


def in_batches(numbers: int, function: Callable, *args: Any) -> Any:
    """``function`` of the arguments, such that ``vmap`` runs it on few lanes at a time.

    Args:
        numbers: how many numbers the largest array of one lane holds; static.
        function: of one lane; a pure function, so that no result depends on the size of a batch.
        args: its arguments, pytrees of arrays.
    """
    leaves, structure = jax.tree.flatten(args)

    @custom_vmap
    def lane(*leaves: Any) -> Any:
        return function(*jax.tree.unflatten(structure, leaves))

    @lane.def_vmap
    def _(axis_size: int, is_batched: Any, *leaves: Any) -> tuple:
        own = [leaf for leaf, batched in zip(leaves, is_batched, strict=True) if batched]

        def single(own: list) -> Any:
            left = iter(own)
            pairs = zip(leaves, is_batched, strict=True)
            every = [next(left) if batched else leaf for leaf, batched in pairs]
            return function(*jax.tree.unflatten(structure, every))

        num_batches = -(-axis_size // max(1, NUMBERS_AT_A_TIME // numbers))
        size = -(-axis_size // num_batches)
        # Batches of one shape are compiled once; the last one repeats the last lane.
        index = jnp.minimum(jnp.arange(num_batches * size), axis_size - 1).reshape(num_batches, size)
        parts = jax.lax.map(lambda index: jax.vmap(single)([leaf[index] for leaf in own]), index)
        result = jax.tree.map(lambda part: part.reshape(-1, *part.shape[2:])[:axis_size], parts)
        return result, jax.tree.map(lambda _: True, result)

    return lane(*leaves)


def if_any(
    condition: Bool[Array, ""], function: Callable[..., Any], arguments: tuple[Any, ...], otherwise: Any
) -> Any:
    """What a function gives where a condition holds, else something of the same structure.

    Unlike ``lax.cond``, which computes both sides in a batch of lanes, it skips the function where no lane of
    the batch wants it: a loop of one turn at most.
    """

    def once(carry: tuple[Any, Any]) -> tuple[Any, Any]:
        # The barrier ties the arguments to what the loop changes, or XLA would compute before the loop.
        _, own = jax.lax.optimization_barrier((carry[0], arguments))
        return jnp.bool_(False), function(*own)

    return jax.lax.while_loop(lambda carry: carry[0], once, (condition, otherwise))[1]


@custom_vmap
def most_of_lanes(value: Array) -> Array:
    """A number, and in a batch the largest of all its lanes: what branches on it stays a branch there, and
    leaves out what none of the lanes wants."""
    return value


@most_of_lanes.def_vmap
def _(axis_size: int, is_batched: list[bool], value: Array) -> tuple[Array, bool]:
    del axis_size
    return (jnp.max(value, axis=0) if is_batched[0] else value), False


def tree_where(condition: Bool[Array, ""], new: Any, old: Any) -> Any:
    """``new`` where a condition holds, else ``old``; pytrees of one structure."""
    return jax.tree.map(lambda new, old: jnp.where(condition, new, old), new, old)
