"""All that is said across tasks, together: ranking, pairs and effects, with their tables."""

import dataclasses
import json
from collections.abc import Sequence
from typing import Any

import numpy as np
import polars as pl

from mohb_jax.analysis.comparison import comparison, rows
from mohb_jax.analysis.curves import Cell
from mohb_jax.analysis.effects import METHOD, Effect, effects, mean_responses, swept, unit_settings
from mohb_jax.analysis.pairs import Pair, run_pairs, task_pairs
from mohb_jax.analysis.prices import DECISIONS
from mohb_jax.analysis.ranks import Ranking, ranking
from mohb_jax.analysis.results import FinishedStudy


@dataclasses.dataclass(frozen=True)
class Across:
    """What the tests across tasks say of a study."""

    ranking: Ranking
    pairs: list[Pair]
    """Each method against the study's reference, or all pairs where it has none."""
    run_pairs: list[Pair]
    """The same within each task, over its runs."""
    effects: list[Effect]
    """Main effects of swept settings, then their interactions; empty where nothing was swept."""

    def as_json(self) -> dict[str, Any]:
        """The part ``comparison`` of ``summary.json``."""
        found = {"ranking": rows([self.ranking])[0], "pairs": rows(self.pairs), "effects": rows(self.effects)}
        return dict(json.loads(json.dumps(found)))  # lists for tuples, as in the file


def across_tasks(study: FinishedStudy, cells: Sequence[Cell]) -> Across | None:
    """None where there are no two methods with results on a common task."""
    data = comparison(cells, study.methods)
    if len(data.methods) < 2 or not data.tasks:
        return None
    settings = unit_settings(study.units)
    known = [place for place, method in enumerate(data.methods) if method in settings]
    variants = [settings[data.methods[place]] for place in known]
    found: list[Effect] = []
    if swept(variants).keys() - {METHOD}:
        responses = mean_responses(data)[np.array(known)]
        found = [*effects(variants, responses, 1), *effects(variants, responses, 2)]
    within = [pair for task in data.tasks for pair in run_pairs(data, task, study.reference)]
    return Across(ranking(data), task_pairs(data, study.reference), within, found)


def comparison_frames(study: FinishedStudy, across: Across | None) -> dict[str, pl.DataFrame]:
    """CSV tables by file name; after re-pricing with a column that says so, as in ``marked``."""
    if across is None:
        return {}
    found = across.ranking
    low, high = zip(*found.ci95, strict=True) if found.ci95 else ((None,) * len(found.methods),) * 2
    frames = {
        "ranks.csv": pl.DataFrame(
            {"method": found.methods, "average_rank": found.average_ranks, "low": low, "high": high}
        ),
        "pairs.csv": pl.DataFrame(rows([*across.pairs, *across.run_pairs])),
    }
    if across.effects:
        frames["effects.csv"] = pl.DataFrame([_effect_row(effect) for effect in across.effects])
    if study.prices is not None:
        says = pl.lit(f"{study.prices.source}; {DECISIONS}").alias("prices")
        frames = {name: frame.with_columns(says) for name, frame in frames.items()}
    return frames


def _effect_row(effect: Effect) -> dict[str, Any]:
    low, high = effect.ci95 or (None, None)
    effect_low, effect_high = effect.effect_ci95 or (None, None)
    return {
        "settings": " x ".join(effect.settings),
        "levels": " x ".join(effect.levels),
        "mean": effect.mean,
        "low": low,
        "high": high,
        "effect": effect.effect,
        "effect_low": effect_low,
        "effect_high": effect_high,
        "num_blocks": effect.num_blocks,
    }
