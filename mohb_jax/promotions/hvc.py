"""By non-dominated sorting and the greedy hypervolume cut."""

from mohb_jax.kernels.arrival import hypervolume_arrival
from mohb_jax.kernels.promotion import hypervolume_cut
from mohb_jax.promotions.base import Promotion

HVC = Promotion(
    "hvc",
    "non-dominated sorting, the greedy hypervolume cut within the last front",
    lambda settings: hypervolume_cut(),
    lambda settings: hypervolume_arrival(),
    max_objectives=4,
)
