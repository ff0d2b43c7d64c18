"""Promotion rules: which results of a rung are good enough to go on. One file each, in both forms."""

from mohb_jax.errors import InputError
from mohb_jax.promotions.base import NetSettings, Promotion, PromotionSettings
from mohb_jax.promotions.crowding import CROWDING
from mohb_jax.promotions.hvc import HVC
from mohb_jax.promotions.net import NET
from mohb_jax.promotions.random import RANDOM
from mohb_jax.promotions.scalar import SCALAR
from mohb_jax.promotions.single import SINGLE

__all__ = ["PROMOTIONS", "NetSettings", "Promotion", "PromotionSettings", "promotion_named"]

PROMOTIONS = {rule.name: rule for rule in (SINGLE, NET, CROWDING, HVC, SCALAR, RANDOM)}
"""The rules that come with the package."""


def promotion_named(name: str) -> Promotion:
    """The rule of that name.

    Raises:
        InputError: with the accepted names, if there is none.
    """
    if name not in PROMOTIONS:
        raise InputError(f"promotion is {name!r}: accepted are {', '.join(PROMOTIONS)}")
    return PROMOTIONS[name]
