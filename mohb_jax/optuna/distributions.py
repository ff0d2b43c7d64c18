"""Distributions of Optuna as a space of rows, and rows as parameters."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import optuna
from jaxtyping import Float
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)

from mohb_jax.benchmarks.columns import Column
from mohb_jax.errors import InputError
from mohb_jax.tuner.space import Domain, Space, choice, integer, log, ordered, uniform

MOST_STEPS = 1000
"""Values of a parameter with steps."""


class Parameters:
    """What a sampler may propose.

    Args:
        distributions: by parameter name.
        candidates: rows, before equal ones are left out.
        seed: of their design.

    Raises:
        InputError: naming the parameter at fault.
    """

    def __init__(self, distributions: Mapping[str, Any], candidates: int, seed: int) -> None:
        self.distributions = dict(distributions)
        self._values = {name: _values(name, part) for name, part in self.distributions.items()}
        domains = {name: self._domain(name) for name in self.distributions}
        self.space = Space.sample(domains, candidates, seed=seed)
        self._rows = {tuple(config): row for row, config in enumerate(self.space.configs.tolist())}
        self._scaled = np.stack(
            [self._on_scale(c, self.space.configs[:, i]) for i, c in enumerate(self.space.columns)], axis=1
        )

    def of_row(self, row: int) -> dict[str, Any]:
        """Parameters as a trial gets them."""
        config = self.space.config(row)
        return {name: self._value(name, config[name]) for name in self.distributions}

    def row_of(self, parameters: Mapping[str, Any]) -> int | None:
        """The row of a trial's parameters, or the nearest one; None where some are missing."""
        if not parameters.keys() >= self.distributions.keys():
            return None
        config = [self._code(column, parameters[column.name]) for column in self.space.columns]
        if tuple(config) in self._rows:
            return self._rows[tuple(config)]
        at = [self._on_scale(c, np.array([v]))[0] for c, v in zip(self.space.columns, config, strict=True)]
        apart = self._scaled - np.array(at)
        for index, column in enumerate(self.space.columns):
            if column.kind == "categorical":
                apart[:, index] = apart[:, index] != 0
        return int(np.argmin((apart**2).sum(axis=1)))

    def _domain(self, name: str) -> Domain:
        part, values = self.distributions[name], self._values[name]
        if isinstance(part, CategoricalDistribution):
            return choice(range(len(part.choices)))  # by position: a level may be anything
        if values is not None:
            return ordered(values)
        assert isinstance(part, FloatDistribution | IntDistribution)
        if isinstance(part, IntDistribution):
            return integer(part.low, part.high, log=part.log)
        return log(part.low, part.high) if part.log else uniform(part.low, part.high)

    def _value(self, name: str, level: Any) -> Any:
        part = self.distributions[name]
        if isinstance(part, CategoricalDistribution):
            return part.choices[int(level)]
        return int(level) if isinstance(part, IntDistribution) else float(level)

    def _code(self, column: Column, value: Any) -> float:
        """A parameter as ``Space.configs`` has it."""
        part = self.distributions[column.name]
        if isinstance(part, CategoricalDistribution):
            return float(part.to_internal_repr(value))
        values = self._values[column.name]
        return float(value) if values is None else float(np.abs(np.array(values) - value).argmin())

    def _on_scale(self, column: Column, values: Float[np.ndarray, " n"]) -> Float[np.ndarray, " n"]:
        """Coordinates from 0 to 1, and levels of categorical columns."""
        if column.kind == "categorical":
            return values
        if column.kind == "ordinal":
            return values / max(len(column.levels) - 1, 1)
        part = self.distributions[column.name]
        assert isinstance(part, FloatDistribution | IntDistribution)
        low, high, at = float(part.low), float(part.high), np.clip(values, part.low, part.high)
        if column.kind == "log":
            low, high, at = np.log(low), np.log(high), np.log(at)
        return (at - low) / (high - low)


def _values(name: str, part: Any) -> list[float | int] | None:
    """Values of a parameter that has steps, or only one value; None of any other."""
    if isinstance(part, CategoricalDistribution):
        return None
    if not isinstance(part, FloatDistribution | IntDistribution):
        raise InputError(
            f"parameter {name!r} has a {type(part).__name__}: accepted are FloatDistribution, "
            "IntDistribution and CategoricalDistribution"
        )
    if part.single():
        return [part.low]
    step = part.step
    if step is None or (isinstance(part, IntDistribution) and step == 1):
        return None
    count = round((part.high - part.low) / step) + 1
    if count > MOST_STEPS:
        raise InputError(f"parameter {name!r} has {count:,} steps: at most {MOST_STEPS:,} are accepted")
    return [part.low + index * step for index in range(count)]


def differs(asked: BaseDistribution, declared: BaseDistribution) -> bool:
    """Whether a trial asks for another range than the sampler was told of."""
    return optuna.distributions.distribution_to_json(asked) != optuna.distributions.distribution_to_json(
        declared
    )
