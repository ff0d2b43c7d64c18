"""Trials of Optuna that decide whether they end: what one decision costs among many trials."""

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from mohb_jax.bench.row import REPEATS, Row, peer, seconds_of

MOST_MILLISECONDS = 5.0
"""In memory; storages on disk cost what they cost."""


def pruning(num_trials: int = 1000) -> Iterator[Row]:
    """``HalvingPruner.report`` at a rung that so many trials of two objectives have reached before, in three
    storages of Optuna: the write, the read of all others, and the decision."""
    optuna = peer("optuna")
    before = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    try:
        with tempfile.TemporaryDirectory() as folder:
            for name, storage in _storages(optuna, Path(folder)):
                each = 1e3 * _decision(optuna, storage, num_trials)
                bound = MOST_MILLISECONDS if name == "memory" else None
                hold, holds = ("", None) if bound is None else (f"<= {bound:g} ms", each <= bound)
                yield Row(f"prune-{num_trials}-{name}", each, "ms", "none", None, hold, holds)
    finally:
        optuna.logging.set_verbosity(before)


def _storages(optuna: Any, folder: Path) -> Iterator[tuple[str, Any]]:
    yield "memory", optuna.storages.InMemoryStorage()
    backend = optuna.storages.journal.JournalFileBackend(str(folder / "journal.log"))
    yield "journal", optuna.storages.JournalStorage(backend)
    yield "sqlite", f"sqlite:///{folder / 'study.db'}"


def _decision(optuna: Any, storage: Any, num_trials: int) -> float:
    """Seconds of a decision, after a first one that also reads what is not in memory yet."""
    from mohb_jax.optuna import HalvingPruner

    study = optuna.create_study(storage=storage, directions=["minimize", "minimize"])
    pruner, costs = HalvingPruner((1, 3)), np.random.default_rng(0).random((num_trials + REPEATS + 1, 2))
    study.add_trials(
        optuna.trial.create_trial(
            state=optuna.trial.TrialState.PRUNED,
            user_attrs={"mohb:rung:1": {"step": 1, "costs": costs[number].tolist()}},
        )
        for number in range(num_trials)
    )
    newcomers = [study.ask() for _ in range(REPEATS + 1)]
    following = iter(newcomers)

    def decide() -> bool:
        trial = next(following)
        return pruner.report(trial, costs[trial.number], step=1)

    return seconds_of(decide)
