"""Everything that a finished study shows, each table computed once."""

import functools
from collections.abc import Callable
from typing import Any

import numpy as np
import polars as pl

from mohb_jax.analysis.calibration import calibration_frame, calibration_rows
from mohb_jax.analysis.columns import framed
from mohb_jax.analysis.comparison import Comparison, comparison, rows
from mohb_jax.analysis.curves import Cell, study_cells
from mohb_jax.analysis.effects import METHOD, Effect, effects, mean_responses, swept, unit_settings
from mohb_jax.analysis.export import evaluation_frame
from mohb_jax.analysis.lanes import Lanes, collect
from mohb_jax.analysis.pairs import Pair, run_pairs, task_pairs
from mohb_jax.analysis.prices import marked, price_frame, prices_json
from mohb_jax.analysis.ranks import RankCurves, Ranking, rank_curves, ranking
from mohb_jax.analysis.results import FinishedStudy
from mohb_jax.analysis.statistics import Row, summary_rows
from mohb_jax.analysis.tables import curve_frame, effect_row, front_frame, plain_json, rank_rows, summary_row


class Analysis:
    """What a finished study shows. Everything is computed when it is first asked for, and then kept.

    The page, the terminal, ``summary.json``, the papers and ``mohb_jax.load_results`` all read it.
    """

    def __init__(self, study: FinishedStudy) -> None:
        self.study = study

    # What the tables are made from

    @functools.cached_property
    def cells(self) -> list[Cell]:
        """Curves and final indicators of every benchmark, task and method that has a finished run."""
        return study_cells(self.study)

    def cells_of(self, benchmark: str) -> list[Cell]:
        """Those of one benchmark."""
        return [cell for cell in self.cells if cell.benchmark == benchmark]

    def lanes(self, benchmark: str) -> Lanes:
        """All runs of one benchmark with what they found; not kept, for they are large."""
        units = [unit for unit in self.study.units if unit.spec["benchmark"] == benchmark]
        return collect(self.study.tables[benchmark], units, self.study.methods)

    @functools.cached_property
    def rows(self) -> list[Row]:
        """The rows of ``summary.json``."""
        return summary_rows(self.cells, self.study.reference)

    @functools.cached_property
    def comparison(self) -> Comparison:
        """Methods on the tasks that all of them finished."""
        return comparison(self.cells, self.study.methods)

    @property
    def is_comparison(self) -> bool:
        """True if there are two methods with results on a common task."""
        return len(self.comparison.methods) > 1 and bool(self.comparison.tasks)

    @functools.cached_property
    def ranking(self) -> Ranking:
        """Average ranks across tasks and their tests."""
        return ranking(self.comparison)

    @functools.cached_property
    def rank_curves(self) -> RankCurves:
        """Average ranks against time; ``InputError`` if no task has a run that all methods finished."""
        return rank_curves(self.cells, self.comparison.methods)

    @functools.cached_property
    def task_pairs(self) -> list[Pair]:
        """Each method against the study's reference over tasks, or all pairs where it has none."""
        return task_pairs(self.comparison, self.study.reference) if self.is_comparison else []

    @functools.cached_property
    def run_pairs(self) -> list[Pair]:
        """The same within each task, over its runs."""
        data = self.comparison
        found = [run_pairs(data, task, self.study.reference) for task in data.tasks if self.is_comparison]
        return [pair for pairs in found for pair in pairs]

    @functools.cached_property
    def settings(self) -> dict[str, dict[str, Any]]:
        """Settings by method, with the base method as one more; methods left out enter no effect."""
        return unit_settings(self.study.units)

    @property
    def is_sweep(self) -> bool:
        """True if some setting differs between the methods."""
        return bool(swept(self._variants()[1]).keys() - {METHOD})

    @functools.cached_property
    def effects(self) -> list[Effect]:
        """Main effects of swept settings, then their interactions; empty where nothing was swept."""
        data = self.comparison
        if not (self.is_comparison and self.is_sweep):
            return []
        places, variants = self._variants()
        responses = mean_responses(data)[np.array(places)]
        return [*effects(variants, responses, 1), *effects(variants, responses, 2)]

    def _variants(self) -> tuple[list[int], list[dict[str, Any]]]:
        """Places in ``comparison.methods`` of the methods with known settings, and these settings."""
        methods = self.comparison.methods
        places = [place for place, method in enumerate(methods) if method in self.settings]
        return places, [self.settings[methods[place]] for place in places]

    # What is handed on

    @functools.cached_property
    def summary(self) -> dict[str, Any]:
        """What ``summary.json`` holds, see ``write_report``."""
        study = self.study
        across = {
            "ranking": rows([self.ranking])[0],
            "pairs": rows(self.task_pairs),
            "effects": rows(self.effects),
        }
        return {
            "study": study.name,
            "command": study.command,
            "versions": study.versions,
            "reference_method": study.reference,
            "units": {"finished": len(study.units), "expected": study.num_units},
            "prices": prices_json(study.prices),
            "calibration": calibration_rows(study.calibration),
            "rows": self.rows,
            "comparison": plain_json(across) if self.is_comparison else None,
        }

    @functools.cached_property
    def _tables(self) -> dict[str, pl.DataFrame]:
        return {}

    def table(self, name: str) -> pl.DataFrame:
        """A table by its name in ``columns.TABLES``, with the columns documented there; empty where the study
        has nothing of the kind. After re-pricing a last column says at which prices a row is shown."""
        if name not in self._tables:
            self._tables[name] = _MAKERS[name](self)
        return self._tables[name]


def _priced(frame: pl.DataFrame, analysis: Analysis) -> pl.DataFrame:
    return marked(frame, analysis.study.prices)


def _summary(analysis: Analysis) -> pl.DataFrame:
    return _priced(framed("summary", [summary_row(row) for row in analysis.rows]), analysis)


def _curves(analysis: Analysis) -> pl.DataFrame:
    return _priced(curve_frame(analysis.cells), analysis)


def _fronts(analysis: Analysis) -> pl.DataFrame:
    return _priced(front_frame(analysis.study, analysis.cells), analysis)


def _ranks(analysis: Analysis) -> pl.DataFrame:
    return _priced(framed("ranks", rank_rows(analysis.ranking) if analysis.is_comparison else []), analysis)


def _pairs(analysis: Analysis) -> pl.DataFrame:
    return _priced(framed("pairs", rows([*analysis.task_pairs, *analysis.run_pairs])), analysis)


def _effects(analysis: Analysis) -> pl.DataFrame:
    return _priced(framed("effects", [effect_row(effect) for effect in analysis.effects]), analysis)


def _calibration(analysis: Analysis) -> pl.DataFrame:
    return calibration_frame(analysis.study.calibration)


def _prices(analysis: Analysis) -> pl.DataFrame:
    return price_frame(analysis.study.prices)


def _evaluations(analysis: Analysis) -> pl.DataFrame:
    return evaluation_frame(analysis.study)


_MAKERS: dict[str, Callable[[Analysis], pl.DataFrame]] = {
    "summary": _summary,
    "curves": _curves,
    "fronts": _fronts,
    "ranks": _ranks,
    "pairs": _pairs,
    "effects": _effects,
    "calibration": _calibration,
    "prices": _prices,
    "evaluations": _evaluations,
}
