"""The results of a study in Python: frames, figures and the page.

    results = mohb_jax.load_results("runs/study")
    results.summary()                     # a polars frame; .to_pandas() is polars' own
    results.plot_curves(benchmark="embedded").savefig("curves.pdf")

Nothing is computed before it is asked for, and nothing twice. ``mohb_jax.run_study`` ends with
``load_results`` of its folder.
"""

import html
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl

from mohb_jax.analysis.analysis import Analysis
from mohb_jax.analysis.columns import column_frame, framed
from mohb_jax.analysis.results import load_study
from mohb_jax.analysis.statistics import ALL_TASKS
from mohb_jax.analysis.tables import TRUE_FRONT
from mohb_jax.analysis.versus import versus
from mohb_jax.benchmarks.columns import require_choice
from mohb_jax.benchmarks.credit import CREDITS
from mohb_jax.errors import InputError

if TYPE_CHECKING:  # frames need no plotting libraries
    from matplotlib.figure import Figure

Names = str | Sequence[str] | None
"""A filter: one name, several, or None for all."""
MOST_ROWS = 40
"""Rows that a notebook shows of a study."""


class Results:
    """What a finished study, or a part of one, shows.

    Methods that give frames take the filters ``benchmark``, ``task``, ``method`` and ``credit``: a name or
    several. ``columns(TABLE)`` says what the columns mean. Figures are matplotlib's, neither shown nor saved;
    they show one ``credit``, the first of ``credits`` unless another is named.
    """

    def __init__(self, analysis: Analysis, folder: Path) -> None:
        self.analysis = analysis
        self.folder = folder

    @property
    def benchmarks(self) -> tuple[str, ...]:
        """Names of the benchmarks that have a finished run."""
        return tuple(self.analysis.study.tables)

    @property
    def tasks(self) -> dict[str, tuple[str, ...]]:
        """Tasks with a finished run, by benchmark."""
        cells = self.analysis.cells
        return {
            name: tuple(dict.fromkeys(cell.task for cell in cells if cell.benchmark == name))
            for name in self.benchmarks
        }

    @property
    def methods(self) -> tuple[str, ...]:
        """Display names in the study's order."""
        return self.analysis.study.methods

    @property
    def credits(self) -> tuple[str, ...]:
        """What counts as a result: each is shown; the first in detail."""
        return tuple(each.study.credit for each in self.analysis.side_by_side)

    @property
    def order_notes(self) -> dict[str, str]:
        """By benchmark a sentence on whether methods come in another order under another credit, and why."""
        return self.analysis.order_notes

    # Frames

    def summary(
        self, *, benchmark: Names = None, task: Names = None, method: Names = None, credit: Names = None
    ) -> pl.DataFrame:
        """Final indicators by benchmark, task, method and credit; task ``all`` is the mean over the tasks."""
        return self._filtered("summary", benchmark, task, method, credit, (ALL_TASKS,))

    def finals(
        self, *, benchmark: Names = None, task: Names = None, method: Names = None, credit: Names = None
    ) -> pl.DataFrame:
        """Final indicators of every run, one a row: ``base_method`` and the settings that differ stand in
        columns of their own."""
        return self._filtered("finals", benchmark, task, method, credit)

    def curves(
        self,
        indicator: str = "hypervolume",
        *,
        benchmark: Names = None,
        task: Names = None,
        method: Names = None,
        credit: Names = None,
    ) -> pl.DataFrame:
        """What had been reached at each moment of simulated time: ``hypervolume`` or ``front_found``."""
        frame = self._filtered("curves", benchmark, task, method, credit)
        require_choice("indicator", indicator, _INDICATORS)
        others = tuple(f"{other}_" for other in _INDICATORS if other != indicator)
        return frame.select(name for name in frame.columns if not name.startswith(others))

    def fronts(
        self, *, benchmark: Names = None, task: Names = None, method: Names = None, credit: Names = None
    ) -> pl.DataFrame:
        """True fronts and the front of each method's median run, with configurations.

        The true front of a table bears the method ``true front``, and stays whatever method is chosen.
        """
        frame = self._filtered("fronts", benchmark, task, None, credit)
        chosen = self._chosen("method", method, (*self.methods, TRUE_FRONT))
        return frame if chosen is None else frame.filter(pl.col("method").is_in([*chosen, TRUE_FRONT]))

    def evaluations(
        self, *, benchmark: Names = None, task: Names = None, method: Names = None, credit: Names = None
    ) -> pl.DataFrame:
        """Every result that counts, one a row, as ``mohb export`` writes them: ``credit`` is the strictest
        under which a row counts, so ``credit=("full", "logged")`` gives every evaluation."""
        frame = self.analysis.table("evaluations")
        return self._chosen_rows(frame, benchmark, task, method, credit, CREDITS)

    def compare(
        self,
        first: str,
        second: str,
        *,
        benchmark: Names = None,
        task: Names = None,
        credit: Names = None,
    ) -> pl.DataFrame:
        """Two methods: difference of the final hypervolume, run by run, its interval and a test.

        Raises:
            InputError: a name is unknown, or no task has runs of both.
        """
        for name in (first, second):
            require_choice("method", name, self.methods)
        if first == second:
            raise InputError(f"compare takes two methods, and {first!r} came twice")
        rows = [
            row | {"credit": name}
            for name in self._chosen("credit", credit, self.credits) or self.credits
            for row in versus(self._narrowed(benchmark, task, None, name).cells, first, second)
        ]
        frame = framed("compare", rows)
        if not frame.height:
            raise InputError(f"methods {first!r} and {second!r} share no run of a task")
        return frame

    def ranks(self, *, method: Names = None, credit: Names = None) -> pl.DataFrame:
        """Ranks over all tasks that all methods finished, with intervals; empty without two methods."""
        return self._filtered("ranks", method=method, credit=credit)

    def pairs(self, *, credit: Names = None) -> pl.DataFrame:
        """Each method against the study's reference: tests over tasks, and within each."""
        return self._filtered("pairs", credit=credit)

    def effects(self, *, credit: Names = None) -> pl.DataFrame:
        """Main effects of swept settings and their interactions; empty where nothing was swept."""
        return self._filtered("effects", credit=credit)

    def calibration(self) -> pl.DataFrame:
        """How well fitted models knew how far off they were; empty without models."""
        return self.analysis.table("calibration")

    def columns(self, table: str | None = None) -> pl.DataFrame:
        """What the columns of a table (``summary``, ``curves``, ``fronts``, ...) mean, or those of all."""
        return column_frame(table)

    # Figures

    def plot_curves(
        self,
        indicator: str = "hypervolume",
        *,
        benchmark: str | None = None,
        task: Names = None,
        method: Names = None,
        credit: str | None = None,
    ) -> "Figure":
        """Curves against simulated time on one benchmark, a panel per task."""
        from mohb_jax.report.figures.panels import styled
        from mohb_jax.report.figures.progress import curve_figure

        require_choice("indicator", indicator, _INDICATORS)
        analysis = self._narrowed(benchmark, task, method, credit)
        return styled(lambda: curve_figure(analysis, _only_benchmark(analysis), indicator))

    def plot_fronts(
        self,
        *,
        benchmark: str | None = None,
        task: Names = None,
        method: Names = None,
        x: str | None = None,
        y: str | None = None,
        credit: str | None = None,
    ) -> "Figure":
        """Attained fronts of two objectives on one benchmark, a panel per task.

        Args:
            benchmark: may be left out where there is one, or the task says it.
            task: some tasks.
            method: some methods.
            x: objective across; by default the second, or the first where ``y`` is the second.
            y: objective upwards; by default the first.
            credit: what counts.
        """
        from mohb_jax.report.figures.fronts import front_figure
        from mohb_jax.report.figures.panels import styled

        analysis = self._narrowed(benchmark, task, method, credit)
        name = _only_benchmark(analysis)
        across, upwards = _two_objectives([o.name for o in analysis.study.tables[name].objectives], x, y)
        return styled(lambda: front_figure(analysis, name, across, upwards))

    def plot_ranks(
        self, *, benchmark: Names = None, method: Names = None, credit: str | None = None
    ) -> "Figure":
        """Average ranks, with bars that join methods that Nemenyi's test does not tell apart."""
        from mohb_jax.report.figures.panels import styled
        from mohb_jax.report.figures.ranks import draw

        found = dict(styled(lambda: list(draw(self._narrowed(benchmark, None, method, credit)))))["ranks"]
        if isinstance(found, str):
            raise InputError(f"there is no figure of ranks: {found}")
        return found

    # The page

    def report(
        self, out: str | os.PathLike[str] | None = None, prices: str | os.PathLike[str] | None = None
    ) -> Path:
        """Writes page, figures, CSV tables and ``summary.json``; returns the path of the page.

        Args:
            out: the folder to fill; by default as ``mohb report`` does it.
            prices: a price file, to show the study at other prices without running it again.
        """
        from mohb_jax.report import report_folder, write_analysis, write_report

        target = report_folder(self.folder, prices) if out is None else Path(out)
        if prices is None:
            write_analysis(self.analysis, target)
        else:
            write_report(self.folder, target, prices)
        return target / "index.html"

    # What it says of itself

    def __repr__(self) -> str:
        study = self.analysis.study
        names = ", ".join(self.benchmarks)
        return (
            f"<Results of study {study.name!r}: {len(self.methods)} methods on {names}; "
            f"{len(study.units):,} of {study.num_units:,} work units, in {str(self.folder)!r}>"
        )

    def _repr_html_(self) -> str:
        """What a notebook shows: the means over the tasks of each benchmark."""
        columns = [
            self.summary(task=ALL_TASKS, credit=credit).head(MOST_ROWS).to_dicts() for credit in self.credits
        ]
        body = "".join(
            f"<tr><td>{html.escape(rows[0]['benchmark'])}</td><td>{html.escape(rows[0]['method'])}</td>"
            f"<td>{rows[0]['num_seeds']:,}</td>{''.join(map(_hypervolume, rows))}</tr>"
            for rows in zip(*columns, strict=True)
        )
        each = [(f"hypervolume, {credit}", "95 % interval") for credit in self.credits]
        heads = ("benchmark", "method", "seeds", *(name for pair in each for name in pair))
        head = "".join(f"<th>{name}</th>" for name in heads)
        title = " ".join([repr(self)[1:-1], *self.order_notes.values()])
        return (
            f"<p>{html.escape(title)}</p><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
        )

    # Filters

    def _filtered(
        self,
        table: str,
        benchmark: Names = None,
        task: Names = None,
        method: Names = None,
        credit: Names = None,
        more_tasks: tuple[str, ...] = (),
    ) -> pl.DataFrame:
        frame = self.analysis.table(table)
        return self._chosen_rows(frame, benchmark, task, method, credit, self.credits, more_tasks)

    def _chosen_rows(
        self,
        frame: pl.DataFrame,
        benchmark: Names,
        task: Names,
        method: Names,
        credit: Names,
        known_credits: Sequence[str],
        more_tasks: tuple[str, ...] = (),
    ) -> pl.DataFrame:
        """The rows that fit all filters."""
        accepted = {"benchmark": self.benchmarks, "task": (*more_tasks, *self._task_names(benchmark))}
        accepted |= {"method": self.methods, "credit": tuple(known_credits)}
        filters = {"benchmark": benchmark, "task": task, "method": method, "credit": credit}
        for column, names in filters.items():
            chosen = self._chosen(column, names, accepted[column])
            frame = frame if chosen is None else frame.filter(pl.col(column).is_in(chosen))
        return frame

    def _task_names(self, benchmark: Names) -> list[str]:
        """Tasks of the benchmarks that are chosen, which must be there."""
        chosen = self._chosen("benchmark", benchmark, self.benchmarks) or self.benchmarks
        return list(dict.fromkeys(task for name in chosen for task in self.tasks[name]))

    @staticmethod
    def _chosen(what: str, names: Names, accepted: Sequence[str]) -> list[str] | None:
        if names is None:
            return None
        chosen = [names] if isinstance(names, str) else list(names)
        for name in chosen:
            require_choice(what, name, accepted)
        return chosen

    def _narrowed(self, benchmark: Names, task: Names, method: Names, credit: str | None = None) -> Analysis:
        """An analysis of some results alone; every number of a single method stays the same."""
        if credit is not None:
            require_choice("credit", credit, self.credits)
        whole = next(each for each in self.analysis.side_by_side if credit in (None, each.study.credit))
        benchmarks = self._chosen("benchmark", benchmark, self.benchmarks)
        tasks = self._chosen("task", task, self._task_names(benchmark))
        methods = self._chosen("method", method, self.methods)
        if benchmarks is tasks is methods is None:
            return whole
        narrowed = Analysis(whole.study)
        narrowed.cells = [
            cell
            for cell in whole.cells
            if (benchmarks is None or cell.benchmark in benchmarks)
            and (tasks is None or cell.task in tasks)
            and (methods is None or cell.method in methods)
        ]
        if not narrowed.cells:
            raise InputError("no run is of the benchmark, task and method asked for: name fewer of them")
        return narrowed


_INDICATORS = ("hypervolume", "front_found")


def load_results(folder: str | os.PathLike[str], credit: str | Sequence[str] | None = None) -> Results:
    """The results in a study folder; units that are not finished are left out.

    Args:
        folder: the study folder.
        credit: what counts as a result: ``full``, ``logged``, ``passed`` or several; as the study says if
            None, which is full and passed side by side unless its file says otherwise.

    Raises:
        InputError: the folder is missing, is no study, is damaged, or holds no finished work; there is no
            such credit, or the folder was written before it could be chosen.
    """
    return Results(Analysis(load_study(Path(folder), credit)), Path(folder))


def _only_benchmark(analysis: Analysis) -> str:
    names = list(dict.fromkeys(cell.benchmark for cell in analysis.cells))
    if len(names) > 1:
        raise InputError(f"a figure shows one benchmark: give benchmark=, one of {', '.join(names)}")
    return names[0]


def _two_objectives(names: Sequence[str], x: str | None, y: str | None) -> tuple[int, int]:
    """Indices of the objectives across and upwards."""
    if len(names) < 2:
        raise InputError(f"fronts need two objectives; the table has {names[0]} alone")
    for name in (x, y):
        if name is not None:
            require_choice("objective", name, names)
    upwards = next(n for n in names if n != x) if y is None else y
    across = next(n for n in (*names[1:], names[0]) if n != upwards) if x is None else x
    if across == upwards:
        raise InputError(f"x and y are both {across!r}: give two of {', '.join(names)}")
    return list(names).index(across), list(names).index(upwards)


def _hypervolume(row: dict[str, Any]) -> str:
    """Two cells of a table of hypervolumes."""
    interval = _interval(row["hypervolume_low"], row["hypervolume_high"])
    return f"<td>{row['hypervolume_mean']:.4f}</td><td>{interval}</td>"


def _interval(low: float | None, high: float | None) -> str:
    return "" if low is None or high is None else f"{low:.4f} to {high:.4f}"
