"""By a weighted sum of the objectives."""

from mohb_jax.kernels.promotion import scalarised
from mohb_jax.promotions.base import Promotion

SCALAR = Promotion(
    "scalar",
    "a weighted sum of the objectives, random weights per bracket unless given",
    lambda settings: scalarised(settings.weights),
)
