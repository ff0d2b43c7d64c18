"""By non-dominated sorting, spread within a front as an epsilon-net (Salinas et al. 2021)."""

from typing import Any

from mohb_jax.kernels.arrival import ArrivalRule, defective_arrival, net_arrival
from mohb_jax.kernels.promotion import epsilon_net
from mohb_jax.promotions.base import Promotion


def _on_arrival(settings: Any) -> ArrivalRule:
    """What stops may stop as Syne Tune 0.16 does, wrongly."""
    if getattr(settings, "compat", None) is not None:
        return defective_arrival(settings.seed_objective)
    return net_arrival(settings.scale, settings.seed_objective)


NET = Promotion(
    "net",
    "non-dominated sorting, an epsilon-net within a front",
    lambda settings: epsilon_net(settings.scale, settings.seed_objective),
    _on_arrival,
)
