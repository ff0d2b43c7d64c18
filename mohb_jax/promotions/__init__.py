"""Promotion rules: which results of a rung are good enough to go on. One file each, in both forms."""

from pathlib import Path

from mohb_jax import plugins
from mohb_jax.errors import InputError, did_you_mean
from mohb_jax.promotions.base import NetSettings, Promotion, PromotionSettings
from mohb_jax.promotions.crowding import CROWDING
from mohb_jax.promotions.hvc import HVC
from mohb_jax.promotions.net import NET
from mohb_jax.promotions.outside import GROUP, outside
from mohb_jax.promotions.random import RANDOM
from mohb_jax.promotions.scalar import SCALAR
from mohb_jax.promotions.single import SINGLE

__all__ = ["PROMOTIONS", "NetSettings", "Promotion", "PromotionSettings", "promotion_named"]

PROMOTIONS = {rule.name: rule for rule in (SINGLE, NET, CROWDING, HVC, SCALAR, RANDOM)}
"""The rules that come with the package."""


def promotion_named(name: str, folder: Path | None = None) -> Promotion:
    """The rule of that name: one of the package, published by an installed distribution, or an object that
    ``my_module:my_rule`` names.

    Args:
        name: what users type.
        folder: where modules are looked for first, before the working directory and what is installed.

    Raises:
        InputError: with the accepted names, if there is none; or it cannot be had.
    """
    found = PROMOTIONS.get(name) or outside(name, folder)
    if found is None:
        known = [*PROMOTIONS, *plugins.entry_points(GROUP)]
        near = did_you_mean(name, known)
        raise InputError(
            f"promotion is {name!r}{near}: accepted are {', '.join(known)} and my_module:my_rule"
        )
    return found
