"""Results of all tasks on one scale: a plain method is 0 and the best one 1."""

import dataclasses
from collections.abc import Mapping

import numpy as np
from jaxtyping import Float

from mohb_jax.analysis.comparison import DECIMALS, Comparison

PLAIN = "random"
"""The method that is 0."""
LOWEST = -2.0
"""Values have no lower bound; beyond this they are counted and not shown."""


@dataclasses.dataclass(frozen=True)
class Scaled:
    """Scaled performance of methods.

    Attributes:
        methods: names.
        plain: name of the method that is 0.
        tasks: names of those on which some method is better than that one; on others there is no scale.
        num_tasks: with the others.
        values: by task, of each method.
        medians: over tasks, of each method; empty without a task.
        below: tasks on which a method is below ``LOWEST``.
    """

    methods: tuple[str, ...]
    plain: str
    tasks: tuple[str, ...]
    num_tasks: int
    values: tuple[tuple[float, ...], ...]
    medians: tuple[float, ...]
    below: tuple[int, ...]


def scaled(data: Comparison, bases: Mapping[str, str]) -> Scaled | None:
    """Scaled performance by mean final hypervolume; None where random search was not compared.

    Args:
        data: see ``comparison``.
        bases: by name in the study the method itself.

    References:
        Gijsbers et al., "AMLB: an AutoML benchmark", 2022, where a random forest is 0. Scaled values depend
        on which methods were compared.
    """
    plain = next((name for name in data.methods if bases.get(name, name) == PLAIN), None)
    if plain is None:
        return None
    values = scaled_values(data.means, data.methods.index(plain))
    known = np.flatnonzero(np.isfinite(values).all(axis=1))
    own = values[known]
    return Scaled(
        methods=data.methods,
        plain=plain,
        tasks=tuple(data.tasks[task] for task in known),
        num_tasks=len(data.tasks),
        values=tuple(map(tuple, own.tolist())),
        medians=tuple(np.median(own, axis=0).tolist()) if len(own) else (),
        below=tuple((own < LOWEST).sum(axis=0).tolist()),
    )


def scaled_values(
    means: Float[np.ndarray, "tasks methods"], plain: int
) -> Float[np.ndarray, "tasks methods"]:
    """``(mean - that of the plain method) / (best - that of the plain method)`` on each task.

    Args:
        means: larger is better.
        plain: which method is 0.

    Returns:
        NaN in tasks on which no method is better than the plain one.

    Examples:
        >>> scaled_values(np.array([[0.5, 0.7, 0.9], [0.8, 0.4, 0.8]]), 0).tolist()
        [[0.0, 0.5, 1.0], [nan, nan, nan]]
    """
    above = np.round(means - means[:, plain, None], DECIMALS)
    best = above.max(axis=1, keepdims=True)
    return np.asarray(np.where(best > 0, above / np.where(best > 0, best, 1), np.nan))
