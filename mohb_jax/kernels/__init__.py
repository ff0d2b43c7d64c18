"""Single-lane kernels: pure, unjitted functions on arrays. Drivers and reports apply ``jit`` and ``vmap``."""
