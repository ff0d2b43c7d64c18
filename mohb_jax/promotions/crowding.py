"""By non-dominated sorting and NSGA-II's crowding distance (Deb et al. 2002)."""

from mohb_jax.kernels.promotion import crowding
from mohb_jax.promotions.base import Promotion

CROWDING = Promotion(
    "crowding",
    "non-dominated sorting, crowding distance within a front",
    lambda settings: crowding(),
)
