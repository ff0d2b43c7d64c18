"""As SMAC3 2.4 cuts a rung (wrongly, where a front has to be cut): all selected fronts by crowding distance.

Not among the rules that users choose by name: its right form is ``crowding``.
"""

from mohb_jax.kernels.promotion import crowding_of_all_fronts
from mohb_jax.promotions.base import Promotion

SMAC = Promotion(
    "smac",
    "whole fronts until there are enough rows, then all of them by crowding distance, as SMAC3 2.4 does",
    lambda settings: crowding_of_all_fronts(),
)
