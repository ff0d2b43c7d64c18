"""Models that are fitted and asked: pure functions on arrays, single-lane unless they say otherwise.

A leaf: imports nothing of the other packages.
"""

import jax
import numpy as np

Array = jax.Array | np.ndarray
Key = jax.Array
"""A typed key made by ``jax.random.key``."""

PORTABLE = {"xla_cpu_experimental_ynn_fusion_type": ""}
"""Compiler options of programs that train: XLA makes the code of matrix products itself, the same for all
processors with AVX2, where a library would pick kernels by processor. What differs in the last bit after one
step differs in the second digit after three thousand (docs/machines.md). It costs no time."""
