"""Models that are fitted and asked: pure functions on arrays, single-lane unless they say otherwise.

A leaf: imports nothing of the other packages.
"""

import jax
import numpy as np

Array = jax.Array | np.ndarray
Key = jax.Array
"""A typed key made by ``jax.random.key``."""
