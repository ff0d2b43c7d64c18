"""Lanes over all local devices: each device simulates its share of them, and none waits for another."""

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import jax
import jax.numpy as jnp
import numpy as np

from mohb_jax.threads import map_in_threads
from mohb_jax.types import Array

Tree = TypeVar("Tree")
Result = TypeVar("Result")
AXIS = "lanes"


def padded(lanes: Tree, multiple: int) -> Tree:
    """Arrays over lanes with the last lane repeated, so that every device gets as many."""
    length = len(jax.tree.leaves(lanes)[0])
    return _chosen(lanes, np.minimum(np.arange(-(-length // multiple) * multiple), length - 1))


@jax.jit
def _chosen(lanes: Tree, index: Array) -> Tree:
    """Some lanes, by number: one program, whatever a lane consists of."""
    return jax.tree.map(lambda field: jnp.asarray(field)[index], lanes)


def spread(lanes: Tree, shared: Any, devices: Sequence[jax.Device]) -> tuple[Tree, Any]:
    """Lanes cut evenly over the devices, and what all lanes share on each of them."""
    mesh = jax.sharding.Mesh(np.array(devices), (AXIS,))
    by_lane = jax.sharding.NamedSharding(mesh, jax.sharding.PartitionSpec(AXIS))
    everywhere = jax.sharding.NamedSharding(mesh, jax.sharding.PartitionSpec())
    return jax.device_put(padded(lanes, len(devices)), by_lane), jax.device_put(shared, everywhere)


def in_turns(
    function: Callable[[Any, Any], Result],
    shared: Any,
    lanes: Any,
    size: int,
    devices: Sequence[jax.Device],
) -> list[Result]:
    """``function`` of what all lanes share and of a batch of lanes, for all batches in order: they take turns
    on the devices, in as many threads as there are processors.

    The last batch is filled up with its last lane, so that every batch has the same shape.
    """
    length = len(jax.tree.leaves(lanes)[0])
    copies = [jax.device_put(shared, device) for device in devices]

    def run(number: int) -> Result:
        place, start = number % len(devices), number * size
        own = _chosen(lanes, np.minimum(np.arange(start, start + size), length - 1))
        return function(copies[place], jax.device_put(own, devices[place]))

    return map_in_threads(run, range(-(-length // size)))
