"""At random: the control."""

from mohb_jax.kernels.arrival import random_arrival
from mohb_jax.kernels.promotion import random_order
from mohb_jax.promotions.base import Promotion

RANDOM = Promotion(
    "random",
    "at random, whatever the results: the control",
    lambda settings: random_order(),
    lambda settings: random_arrival(),
)
