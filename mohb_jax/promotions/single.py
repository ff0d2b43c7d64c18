"""By the first objective alone."""

from mohb_jax.kernels.arrival import single_arrival
from mohb_jax.kernels.promotion import single
from mohb_jax.promotions.base import Promotion

SINGLE = Promotion(
    "single",
    "the first objective alone",
    lambda settings: single(0),
    lambda settings: single_arrival(0),
)
