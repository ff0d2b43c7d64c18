"""Statistics across tasks in the report: sections of the page, CSV tables, a part of the summary."""

import dataclasses
import html
import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from mohb_jax.report.comparison import (
    METHOD,
    Effect,
    Pair,
    Ranking,
    comparison,
    effects,
    mean_responses,
    ranking,
    rows,
    run_pairs,
    swept,
    task_pairs,
    unit_settings,
)
from mohb_jax.report.curves import Cell
from mohb_jax.report.prices import DECISIONS
from mohb_jax.report.sections import Figure, Section, marks, table_html
from mohb_jax.report.study import Study

if TYPE_CHECKING:  # it needs plotting libraries, which the summary that ends a run does not
    from mohb_jax.report.comparison_figures import Drawn


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


def across_tasks(study: Study, cells: Sequence[Cell]) -> Across | None:
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


def comparison_frames(study: Study, across: Across | None) -> dict[str, pl.DataFrame]:
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


def comparison_sections(study: Study, across: Across | None, drawn: "Drawn") -> list[Section]:
    """Ranks across tasks, trade-offs that all runs attain, and what swept settings contribute."""
    if across is None:
        return []
    stems = {path.with_suffix("").name: f"figures/{path.with_suffix('').name}" for path in drawn.files}
    sections = [_ranks(study, across, stems)]
    attained = tuple(
        Figure(stem, "Reached by 25, 50 and 75 % of runs: the median, and the band between the others.")
        for name, stem in stems.items()
        if "-attained-" in name
    )
    if attained:
        sections.append(Section("attained", "What most runs attain", "", attained))
    if across.effects:
        sections.append(_contributions(study, across, stems))
    return sections


def _ranks(study: Study, across: Across, stems: dict[str, str]) -> Section:
    found = across.ranking
    captions = {
        "ranks": "Average ranks; a bar joins methods that the Nemenyi test does not tell apart.",
        "ranks-over-time": "Average rank at each share of the horizon.",
        "profiles": "Share of tasks on which a method is within a factor of the best.",
    }
    figures = tuple(Figure(stems[name], text) for name, text in captions.items() if name in stems)
    said = _verdict(found) + _unranked(found)
    text = f"<p>{html.escape(said)}</p>" + _rank_table(study, found) + _pair_table(study, across)
    return Section("ranks", "Ranks across tasks", text, figures)


def _verdict(found: Ranking) -> str:
    tasks = f"{found.num_tasks} tasks" + (
        f" ({found.num_left_out} left out, where a method has no result)" if found.num_left_out else ""
    )
    if found.friedman is None or found.friedman_p is None:
        return f"Average ranks over {tasks}, 1 is best. No test: {found.reason}."
    told = "The methods differ" if found.friedman_p < 0.05 else "The methods cannot be told apart"
    return (
        f"Average ranks over {tasks}, 1 is best. {told}: Friedman {found.friedman:.2f}, "
        f"p = {found.friedman_p:.2g}. "
        f"Average ranks that are {found.critical_difference:.2f} apart differ significantly (Nemenyi, 5 %)."
    )


def _unranked(found: Ranking) -> str:
    return (
        f" Not ranked, without results on every benchmark: {', '.join(found.without)}."
        if found.without
        else ""
    )


def _rank_table(study: Study, found: Ranking) -> str:
    order = np.argsort(found.average_ranks, kind="stable")
    table, attributes = [], []
    for place in order:
        interval = f"{found.ci95[place][0]:.2f} to {found.ci95[place][1]:.2f}" if found.ci95 else "-"
        table.append([html.escape(found.methods[place]), f"{found.average_ranks[place]:.2f}", interval])
        attributes.append(marks(study, method=found.methods[place]))
    heads = ["Method", "Average rank", "95 % interval (runs resampled)"]
    return table_html(study, "Average ranks", heads, table, "ranks.csv", None, attributes)


MOST_PAIRS = 200
"""Rows of the table of pairs; the CSV file has all."""


def _pair_table(study: Study, across: Across) -> str:
    shown = sorted(across.pairs, key=lambda pair: pair.p_holm)[:MOST_PAIRS]
    cells = [
        [
            html.escape(pair.first),
            html.escape(pair.second),
            f"{pair.difference:+.4f}",
            f"{pair.effect_size:+.2f}",
            f"{pair.p:.3g}",
            f"{pair.p_holm:.3g}",
        ]
        for pair in shown
    ]
    heads = ["Method", "against", "Difference of hypervolume", "Rank-biserial effect", "p", "p (Holm)"]
    caption = "Pairs: Wilcoxon's signed-rank test on task means (in pairs.csv also Mann-Whitney within tasks)"
    attributes = [marks(study, method=pair.first) for pair in shown]
    left = len(across.pairs) - len(shown)
    note = f" ({left:,} more in pairs.csv)" if left else ""
    return table_html(study, caption, heads, cells, "pairs.csv", None, attributes, note)


def _contributions(study: Study, across: Across, stems: dict[str, str]) -> Section:
    single = [effect for effect in across.effects if len(effect.settings) == 1]
    cells = [
        [
            html.escape(effect.settings[0]),
            html.escape(effect.levels[0]),
            f"{effect.mean:.4f}",
            f"{effect.effect:+.4f}",
            "-"
            if effect.effect_ci95 is None
            else f"{effect.effect_ci95[0]:+.4f} to {effect.effect_ci95[1]:+.4f}",
            f"{effect.num_blocks}",
        ]
        for effect in single
    ]
    heads = ["Setting", "Value", "Mean hypervolume", "Effect", "95 % interval", "Combinations of the others"]
    table = table_html(study, "Main effects of settings", heads, cells, "effects.csv")
    captions = {
        "main-effects": "Mean final hypervolume at each value, averaged over all combinations of the others.",
        "interactions": "The same by pairs: lines that are not parallel interact.",
    }
    figures = tuple(Figure(stems[name], text) for name, text in captions.items() if name in stems)
    text = (
        "<p>Mean final hypervolume over tasks and runs at each value of a setting, averaged over all "
        "combinations of the others; its effect is the difference to the mean over the values.</p>"
    )
    return Section("contributions", "What each setting contributes", text + table, figures)
