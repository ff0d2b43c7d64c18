"""Lanes over all local devices: each device simulates its share of them, and none waits for another."""

from collections.abc import Sequence
from typing import Any, TypeVar

import jax
import numpy as np

Tree = TypeVar("Tree")
AXIS = "lanes"


def padded(lanes: Tree, multiple: int) -> Tree:
    """Arrays over lanes with the last lane repeated, so that every device gets as many."""
    length = len(jax.tree.leaves(lanes)[0])
    index = np.minimum(np.arange(-(-length // multiple) * multiple), length - 1)
    return jax.tree.map(lambda field: field[index], lanes)


def spread(lanes: Tree, shared: Any, devices: Sequence[jax.Device]) -> tuple[Tree, Any]:
    """Lanes cut evenly over the devices, and what all lanes share on each of them."""
    mesh = jax.sharding.Mesh(np.array(devices), (AXIS,))
    by_lane = jax.sharding.NamedSharding(mesh, jax.sharding.PartitionSpec(AXIS))
    everywhere = jax.sharding.NamedSharding(mesh, jax.sharding.PartitionSpec())
    return jax.device_put(padded(lanes, len(devices)), by_lane), jax.device_put(shared, everywhere)
