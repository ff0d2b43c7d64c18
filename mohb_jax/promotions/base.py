"""What a promotion rule is in both its forms, and the settings that rules read."""

import dataclasses
from collections.abc import Callable
from typing import Any

from mohb_jax.errors import InputError
from mohb_jax.kernels.arrival import ArrivalRule, sorted_arrival
from mohb_jax.kernels.epsilon_net import SCALES
from mohb_jax.kernels.promotion import PromotionRule
from mohb_jax.plugins import Loaded
from mohb_jax.settings import Settings, one_of, setting


@dataclasses.dataclass(frozen=True)
class NetSettings(Settings):
    """Of what orders rows by an epsilon-net.

    Attributes:
        scale: scale on which the epsilon-net measures distances.
        seed_objective: index of the objective whose best row opens each front of the epsilon-net.
    """

    scale: str = setting("minmax", "scale on which the epsilon-net measures distances", check=one_of(SCALES))
    seed_objective: int = setting(0, "objective whose best row opens each front of the epsilon-net")

    def check_for(self, num_objectives: int) -> None:
        """See ``Settings``."""
        super().check_for(num_objectives)
        if self.seed_objective not in range(num_objectives):
            raise InputError(
                f"seed_objective is {self.seed_objective}: accepted are 0 to {num_objectives - 1}"
            )


@dataclasses.dataclass(frozen=True)
class PromotionSettings(NetSettings):
    """Of every method that promotes: a rule in place of its own, and what rules read.

    Attributes:
        promotion: which results of a rung are good enough, in place of the method's own rule; a name of
            ``PROMOTIONS``, one that an installed distribution publishes, or ``my_module:my_rule``.
        weights: fixed weights of the scalarised rule; None to draw them anew for every bracket.
    """

    promotion: str | None = setting(None, "promotion rule in place of the method's own")
    weights: tuple[float | int, ...] | None = setting(
        None, "fixed weights of the rule scalar; by default drawn anew for every bracket"
    )

    def __post_init__(self) -> None:
        if self.weights is not None:
            object.__setattr__(self, "weights", tuple(float(weight) for weight in self.weights))
        super().__post_init__()

    def check_together(self) -> None:
        """See ``Settings``."""
        super().check_together()
        if self.weights is not None and (min(self.weights, default=-1) < 0 or sum(self.weights) <= 0):
            raise InputError(f"weights is {list(self.weights)}: one number >= 0 per objective, not all 0")

    def check_for(self, num_objectives: int) -> None:
        """See ``Settings``."""
        super().check_for(num_objectives)
        if self.weights is not None and len(self.weights) != num_objectives:
            raise InputError(
                f"weights has {len(self.weights)} values: {num_objectives} objectives need one each"
            )


@dataclasses.dataclass(frozen=True)
class Promotion:
    """A rule of promotion: of full rungs, and on arrival.

    Attributes:
        name: what users type.
        summary: one line.
        rule: the rule of full rungs, from the settings of the method that promotes. Equal settings give the
            same object, or every study compiles it anew.
        on_arrival: the same for results that are judged as they arrive, where there is a form that need not
            sort the rung; None serves any rule, exactly and slowly.
        max_objectives: the most that it takes; None for any number.
        origin: where it is from, if it does not come with the package.
    """

    name: str
    summary: str
    rule: Callable[[Any], PromotionRule]
    on_arrival: Callable[[Any], ArrivalRule] | None = None
    max_objectives: int | None = None
    origin: Loaded | None = None

    def arrival_rule(self, settings: Any) -> ArrivalRule:
        """The form for results that are judged as they arrive."""
        if self.on_arrival is None:
            return sorted_arrival(self.rule(settings))
        return self.on_arrival(settings)
