"""Everything that a finished study shows, each table computed once."""

import functools
import itertools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import polars as pl

from mohb_jax.analysis.calibration import calibration_frame, calibration_rows
from mohb_jax.analysis.columns import framed
from mohb_jax.analysis.comparison import Comparison, comparison, rows
from mohb_jax.analysis.curves import Cell, cells_of
from mohb_jax.analysis.effects import METHOD, Effect, effects, mean_responses, swept, unit_settings
from mohb_jax.analysis.export import evaluation_frame
from mohb_jax.analysis.failures import Failures, failures
from mohb_jax.analysis.finals import finals_frame
from mohb_jax.analysis.kept_cells import kept_or_computed
from mohb_jax.analysis.kinds import Kinds, as_json, kind_rows, kinds
from mohb_jax.analysis.lanes import Lanes, collect
from mohb_jax.analysis.order import order_notes
from mohb_jax.analysis.outside import outside_rows
from mohb_jax.analysis.pairs import Pair, run_pairs, task_pairs
from mohb_jax.analysis.prices import marked, price_frame, prices_json
from mohb_jax.analysis.ranks import RankCurves, Ranking, rank_curves, ranking
from mohb_jax.analysis.results import FinishedStudy, not_whole
from mohb_jax.analysis.scaled import Scaled, scaled
from mohb_jax.analysis.statistics import Row, summary_rows
from mohb_jax.analysis.tables import (
    curve_frame,
    effect_row,
    front_frame,
    plain_json,
    rank_rows,
    scaled_rows,
    summary_row,
)
from mohb_jax.analysis.used_up import used_up_notes
from mohb_jax.analysis.worths import Worths, worths_over_runs
from mohb_jax.benchmarks.credit import Credit, effective
from mohb_jax.benchmarks.descriptors import stated
from mohb_jax.description import Description, describe, task_descriptors


class Analysis:
    """What a finished study shows. Everything is computed when it is first asked for, and then kept.

    The page, the terminal, ``summary.json``, the papers and ``mohb_jax.load_results`` all read it.
    """

    def __init__(
        self, study: FinishedStudy, known: dict[tuple[str, Credit], list[Cell]] | None = None
    ) -> None:
        """An analysis under the study's ``credit``; ``known`` holds cells by benchmark and what counts there,
        which analyses of one study share."""
        self.study = study
        self._known = {} if known is None else known

    @functools.cached_property
    def descriptions(self) -> dict[str, Description]:
        """What each table is like, of those that the folder keeps with all their fidelities."""
        return {name: describe(self.study.stored[name]) for name in self._whole}

    @property
    def _whole(self) -> list[str]:
        """Benchmarks whose table the folder keeps with all its fidelities."""
        study = self.study
        return [
            name
            for name, table in study.stored.items()
            if not not_whole({name: table}, [unit for unit in study.units if unit.spec["benchmark"] == name])
        ]

    @functools.cached_property
    def side_by_side(self) -> tuple["Analysis", ...]:
        """The study under each credit that is to be shown, this one first."""
        others = [credit for credit in self.study.credits if credit != self.study.credit]
        return (self, *(Analysis(self.study.under(credit), self._known) for credit in others))

    # What the tables are made from

    @functools.cached_property
    def cells(self) -> list[Cell]:
        """Curves and final indicators of every benchmark, task and method that has a finished run."""
        return [cell for name in self.study.tables for cell in self._benchmark(name)]

    def _benchmark(self, name: str) -> list[Cell]:
        """Cells of a benchmark, computed once for all credits that count the same there."""
        key = name, effective(self.study.stored[name], self.study.credit)
        if key not in self._known:
            self._known[key] = kept_or_computed(self.study, name, lambda: cells_of(self.study, name))
        return self._known[key]

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
    def worths(self) -> Worths:
        """How often methods beat each other over tasks, by mean final hypervolume."""
        return worths_over_runs(self.comparison)

    @functools.cached_property
    def scaled(self) -> Scaled | None:
        """Mean final hypervolume with random search at 0 and the best method at 1; None without that."""
        bases = {
            unit.spec["method"]: str(unit.spec.get("method_name", unit.spec["method"]))
            for unit in self.study.units
        }
        return scaled(self.comparison, bases)

    @functools.cached_property
    def failures(self) -> Failures:
        """Runs that ended without a result."""
        return failures(self.cells, self.study.methods)

    @functools.cached_property
    def kinds(self) -> Kinds:
        """Whether methods win on different kinds of tasks: the tree of worths."""
        tables = {name: self.study.stored[name] for name in self._whole}
        known = {name: task_descriptors(table) | stated(table) for name, table in tables.items()}
        return kinds(self.comparison, known, {name: table.tasks for name, table in tables.items()})

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
        """True if a sweep made methods."""
        return bool(self._variants()[0])

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
        """Places in ``comparison.methods`` of the methods that a sweep made, and their settings.

        They are named after their values (``mo-hb eta=2``). What a method was given by hand, under a name of
        its own, is part of what it is, and a method without the setting says nothing about it.
        """
        methods = self.comparison.methods
        names = swept(list(self.settings.values())).keys() - {METHOD}
        places = [
            place
            for place, method in enumerate(methods)
            if method in self.settings and any(f" {name}=" in method for name in names)
        ]
        return places, [self.settings[methods[place]] for place in places]

    # What is handed on

    @functools.cached_property
    def order_notes(self) -> dict[str, str]:
        """By benchmark a sentence on whether methods come in another order under another credit, and why."""
        return order_notes(self.study, {each.study.credit: each.cells for each in self.side_by_side})

    @functools.cached_property
    def outside(self) -> list[Row]:
        """What runs of optimisers from outside say of them, by benchmark and method."""
        return outside_rows(self.study)

    @functools.cached_property
    def used_up_notes(self) -> dict[str, str]:
        """By benchmark a sentence on the runs that used the table up, where there are any."""
        return used_up_notes(self.cells)

    @functools.cached_property
    def summary(self) -> dict[str, Any]:
        """What ``summary.json`` holds, see ``write_report``."""
        study = self.study
        return {
            "study": study.name,
            "command": study.command,
            "versions": study.versions,
            "reference_method": study.reference,
            "units": {"finished": len(study.units), "expected": study.num_units},
            "prices": prices_json(study.prices),
            "calibration": calibration_rows(study.calibration),
            "outside": self.outside,
            "credits": [each.study.credit for each in self.side_by_side],
            "order": self.order_notes,
            "used_up": self.used_up_notes,
            "rows": _beside(self, lambda each: each.rows),
            "comparison": self._across(),
            "comparisons": {each.study.credit: each._across() for each in self.side_by_side},
        }

    def _across(self) -> dict[str, Any] | None:
        """Comparisons across tasks; None without two methods on a task."""
        if not self.is_comparison:
            return None
        parts = {
            "ranking": rows([self.ranking])[0],
            "worths": rows([self.worths])[0],
            "scaled": None if self.scaled is None else rows([self.scaled])[0],
            "failures": rows([self.failures])[0],
            "kinds": as_json(self.kinds),
            "pairs": rows(self.task_pairs),
            "effects": rows(self.effects),
        }
        return dict(plain_json(parts))

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


def _beside(analysis: Analysis, make: Callable[[Analysis], Sequence[Row]]) -> list[Row]:
    """Rows under each credit, those of one thing below each other."""
    parts = [[row | {"credit": each.study.credit} for row in make(each)] for each in analysis.side_by_side]
    return [row for together in itertools.zip_longest(*parts) for row in together if row is not None]


def _summary(analysis: Analysis) -> pl.DataFrame:
    found = _beside(analysis, lambda each: [summary_row(row) for row in each.rows])
    return _priced(framed("summary", found), analysis)


def _finals(analysis: Analysis) -> pl.DataFrame:
    parts = [finals_frame(each.study, each.cells) for each in analysis.side_by_side]
    return _priced(pl.concat(parts), analysis)


def _curves(analysis: Analysis) -> pl.DataFrame:
    parts = [curve_frame(each.cells, each.study.credit) for each in analysis.side_by_side]
    return _priced(pl.concat(parts), analysis)


def _fronts(analysis: Analysis) -> pl.DataFrame:
    parts = [front_frame(each.study, each.cells) for each in analysis.side_by_side]
    return _priced(pl.concat(parts), analysis)


def _ranks(analysis: Analysis) -> pl.DataFrame:
    found = _beside(analysis, lambda each: rank_rows(each.ranking) if each.is_comparison else [])
    return _priced(framed("ranks", found), analysis)


def _scaled(analysis: Analysis) -> pl.DataFrame:
    found = _beside(
        analysis, lambda each: scaled_rows(each.scaled, each.failures) if each.is_comparison else []
    )
    return _priced(framed("scaled", found), analysis)


def _kinds(analysis: Analysis) -> pl.DataFrame:
    found = _beside(analysis, lambda each: kind_rows(each.kinds) if each.is_comparison else [])
    return _priced(framed("kinds", found), analysis)


def _pairs(analysis: Analysis) -> pl.DataFrame:
    found = _beside(analysis, lambda each: rows([*each.task_pairs, *each.run_pairs]))
    return _priced(framed("pairs", found), analysis)


def _effects(analysis: Analysis) -> pl.DataFrame:
    found = _beside(analysis, lambda each: [effect_row(effect) for effect in each.effects])
    return _priced(framed("effects", found), analysis)


def _calibration(analysis: Analysis) -> pl.DataFrame:
    return calibration_frame(analysis.study.calibration)


def _outside(analysis: Analysis) -> pl.DataFrame:
    return framed("outside", analysis.outside)


def _prices(analysis: Analysis) -> pl.DataFrame:
    return price_frame(analysis.study.prices)


def _evaluations(analysis: Analysis) -> pl.DataFrame:
    return evaluation_frame(analysis.study)


_MAKERS: dict[str, Callable[[Analysis], pl.DataFrame]] = {
    "summary": _summary,
    "finals": _finals,
    "curves": _curves,
    "fronts": _fronts,
    "ranks": _ranks,
    "scaled": _scaled,
    "kinds": _kinds,
    "pairs": _pairs,
    "effects": _effects,
    "calibration": _calibration,
    "prices": _prices,
    "outside": _outside,
    "evaluations": _evaluations,
}
