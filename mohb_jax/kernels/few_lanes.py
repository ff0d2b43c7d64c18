"""What only few lanes of a batch need at a time: one of these after the other, and nothing for the rest."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax.custom_batching import custom_vmap
from jaxtyping import Bool

from mohb_jax.types import Array


def one_by_one(
    condition: Bool[Array, ""], function: Callable[..., Any], arguments: tuple[Any, ...], otherwise: Any
) -> Any:
    """What a function gives where a condition holds, else something of the same structure.

    In a batch, loops of a lane run as long as this lane needs, where ``vmap`` runs them in all lanes until
    the last has ended, and branches are taken or not, where ``vmap`` takes both.

    Args:
        condition: whether this lane needs it.
        function: of one lane; pure, of its arguments alone.
        arguments: pytrees of arrays.
        otherwise: what the other lanes get.
    """

    @custom_vmap
    def lane(condition: Any, arguments: Any, otherwise: Any) -> Any:
        return jax.lax.cond(condition, lambda: function(*arguments), lambda: otherwise)

    @lane.def_vmap
    def _(axis_size: int, is_batched: Any, condition: Any, arguments: Any, otherwise: Any) -> tuple:
        def every(tree: Any, batched: Any) -> Any:
            return jax.tree.map(
                lambda leaf, own: leaf if own else jnp.broadcast_to(leaf, (axis_size, *leaf.shape)),
                tree,
                batched,
            )

        def turn(carry: tuple[Any, Any]) -> tuple[Any, Any]:
            left, results = carry
            number = jnp.argmax(left)
            own = jax.tree.map(
                lambda leaf, batched: leaf[number] if batched else leaf, arguments, is_batched[1]
            )
            found = function(*own)
            return left.at[number].set(False), jax.tree.map(
                lambda every, new: every.at[number].set(new), results, found
            )

        start = every(condition, is_batched[0]), every(otherwise, is_batched[2])
        results = jax.lax.while_loop(lambda carry: jnp.any(carry[0]), turn, start)[1]
        return results, jax.tree.map(lambda _: True, results)

    return lane(condition, arguments, otherwise)
