"""Ax's client (facebook/Ax), which chooses BoTorch's model and acquisition; mostly in a Python of its own.

With several objectives that is the logarithm of a noisy expected improvement of the hypervolume (Ament et al.
2023). Failed evaluations are told as such. While it lets no more trials run at a time, a worker waits.
"""

import logging
import random
import warnings
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from ax.api.client import Client
from ax.api.configs import ChoiceParameterConfig, RangeParameterConfig
from ax.exceptions.core import DataRequiredError
from ax.exceptions.generation_strategy import MaxParallelismReachedException
from ax.utils.common.logger import set_stderr_log_level

set_stderr_log_level(logging.ERROR)
warnings.filterwarnings("ignore")


class Ax:
    """One experiment, with the strategy that Ax takes by itself."""

    def __init__(self, problem: Any, seed: int, settings: Mapping[str, Any]) -> None:
        random.seed(seed)
        np.random.seed(seed)  # noqa: NPY002 - the library's own
        torch.manual_seed(seed)
        self._columns = problem.columns
        self._names = [f"objective_{place}" for place in range(len(problem.objectives))]
        self._client = Client(random_seed=seed)
        chosen = [_parameter(name, column) for name, column in self._named() if not _fixed(column)]
        self._client.configure_experiment(parameters=chosen)
        self._client.configure_optimization(objective=", ".join(f"-{name}" for name in self._names))
        self._client.configure_generation_strategy(initialization_random_seed=seed)

    def ask(self) -> dict[str, Any] | None:
        """A new trial at the highest fidelity, unless results have to come first."""
        try:
            trials = self._client.get_next_trials(max_trials=1)
        except (DataRequiredError, MaxParallelismReachedException):
            return None
        for trial, values in trials.items():
            config = {column.name: _value(column, values.get(name)) for name, column in self._named()}
            return {"config": config, "handle": trial}
        return None

    def tell(self, handle: int, costs: list[float] | None, seconds: float) -> None:
        """Its result."""
        if costs is None:
            self._client.mark_trial_failed(handle)
        else:
            self._client.complete_trial(handle, dict(zip(self._names, costs, strict=True)))

    def _named(self) -> list[tuple[str, Any]]:
        """Columns by their places: Ax takes names of its own form alone."""
        return [(f"column_{place}", column) for place, column in enumerate(self._columns)]


def _fixed(column: Any) -> bool:
    """One value only, which is no parameter to Ax."""
    return len(column.levels) == 1 if column.levels else column.low == column.high


def _parameter(name: str, column: Any) -> RangeParameterConfig | ChoiceParameterConfig:
    if column.levels:
        places, ordered = list(range(len(column.levels))), column.kind == "ordinal"
        return ChoiceParameterConfig(name, places, "int", is_ordered=ordered)
    scaling = "log" if column.kind == "log" else "linear"
    return RangeParameterConfig(name, (column.low, column.high), "float", scaling=scaling)


def _value(column: Any, value: Any) -> Any:
    if value is None:
        return column.levels[0] if column.levels else column.low
    return column.levels[int(value)] if column.levels else min(max(float(value), column.low), column.high)
