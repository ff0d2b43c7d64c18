"""How fast ten trainings are with more processors and memory than their share, as published.

Facts of the simulator of Mohan, Phanishayee, Kulkarni, Chidambaram, "Looking beyond GPUs for DNN scheduling
on multi-tenant clusters", OSDI 2022 (Synergy): github.com/msr-fiddle/synergy, commit 1bb2bed6, MIT. A job
runs at speed 1 with the share of its GPU, or at its full ``speedup`` where it gets all that it demands.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float

RESOURCES = ("gpus", "cpus", "memory", "storage")
"""Axis of demands and capacities: GPUs, CPUs, GB of memory, MB/s of storage."""
SERVER = (8.0, 24.0, 500.0, 500.0)
"""Capacity of a server; a GPU's fair share is an eighth of each."""


class Model(NamedTuple):
    """A training on one GPU.

    Attributes:
        kind: image, language or speech.
        seconds: of an iteration at the fair share.
        cpus: that it demands.
        memory: GB that it demands, and as many MB/s of storage.
        speedup: with all that it demands, relative to the fair share.
    """

    kind: str
    seconds: float
    cpus: float
    memory: float
    speedup: float

    @property
    def demand(self) -> Float[np.ndarray, " resources"]:
        """In the order of ``RESOURCES``."""
        return np.array([1.0, self.cpus, self.memory, self.memory])


MODELS = {
    "alexnet": Model("image", 0.6, 12, 125, 2.94),
    "res18": Model("image", 0.64, 9, 62.5, 2.4),
    "res50": Model("image", 0.78, 4, 62.5, 1.15),
    "mobilenet": Model("image", 0.71, 6, 62.5, 1.55),
    "shufflenet": Model("image", 0.615, 12, 125, 2.89),
    "gnmt": Model("language", 0.12, 1, 20, 1),
    "transformer": Model("language", 0.67, 1, 20, 1),
    "lstm": Model("language", 0.011, 1, 20, 1),
    "m5": Model("speech", 0.6, 6, 187.5, 2.5),
    "deepspeech": Model("speech", 0.757, 3, 62.5, 1),
}
"""By name, in the order of the published zoo."""
