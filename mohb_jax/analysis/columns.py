"""What every column of every table of results holds: the one place that says so.

The CSV files of a report, the export and the frames of the Python face have these columns, in this order.
"""

from collections.abc import Iterable
from typing import Any, NamedTuple

import polars as pl

from mohb_jax.analysis.statistics import RANK
from mohb_jax.errors import InputError

TEXT, WHOLE, REAL = pl.String(), pl.Int64(), pl.Float64()


class Described(NamedTuple):
    """One column."""

    name: str
    """Capital letters stand for names that the study brings: ``objective:NAME``."""
    kind: pl.DataType
    meaning: str
    unit: str = ""
    """Empty: a plain number, or text."""
    optional: bool = False
    """Left out of tables to which it does not apply."""


_WHERE = (
    Described("benchmark", TEXT, "table that was tuned on"),
    Described("task", TEXT, "task of the benchmark"),
    Described("method", TEXT, "tuning method, by its name in the study"),
)
_CREDIT = Described("credit", TEXT, "what counts as a result: full, logged or passed")
_OVER = (
    _WHERE[0],
    Described("task", TEXT, "task of the benchmark; all: each run's mean over its tasks"),
    _WHERE[2],
    _CREDIT,
)
PRICES = Described(
    "prices", TEXT, "after re-pricing: at which prices this row is shown; decisions stay those made", "", True
)


def _spread(name: str, meaning: str) -> tuple[Described, ...]:
    """The four columns of an indicator at the end of the runs."""
    return (
        Described(f"{name}_mean", REAL, f"{meaning}: mean over runs"),
        Described(f"{name}_median", REAL, f"{meaning}: median over runs"),
        Described(f"{name}_low", REAL, f"{meaning}: low end of the mean's 95 % interval; empty: one run"),
        Described(f"{name}_high", REAL, f"{meaning}: high end of it"),
    )


SUMMARY = (
    *_OVER,
    Described("num_tasks", WHOLE, "tasks that the row is about"),
    Described("num_seeds", WHOLE, "tuning runs"),
    Described("horizon_seconds", REAL, "simulated time at which the comparison ends", "s"),
    *_spread("hypervolume", "final hypervolume relative to the true front's, 1 is best"),
    *_spread("front_found", "share of the true front's results found"),
    *_spread("igd_plus", "inverted generational distance plus to the true front, 0 is best"),
    *_spread("additive_epsilon", "additive epsilon indicator to the true front, 0 is best"),
    *_spread("anytime", "mean relative hypervolume over the logarithmic grid of times"),
    Described("evaluations", REAL, "evaluations at any fidelity, mean over runs"),
    Described("full_evaluations", REAL, "evaluations at the highest fidelity, mean over runs"),
    Described("simulated_seconds", REAL, "simulated time of the last result, mean over runs", "s"),
    Described("spent_usd", REAL, "money spent on all evaluations, mean over runs", "USD", True),
    Described(
        "rank",
        REAL,
        f"rank among the methods of the task or benchmark; empty: no common run. {RANK}",
    ),
    Described("difference_mean", REAL, "hypervolume minus the reference's, run by run: mean; empty: itself"),
    Described("difference_low", REAL, "low end of its 95 % interval"),
    Described("difference_high", REAL, "high end of it"),
)

FINALS = (
    *_WHERE,
    Described("base_method", TEXT, "the method itself, whatever its name in the study"),
    Described("setting_NAME", TEXT, "setting NAME where it differs between methods; empty: none", "", True),
    _CREDIT,
    Described("run", WHOLE, "tuning run, from 0; equal runs of different methods are paired"),
    Described("hypervolume", REAL, "final hypervolume relative to the true front's, 1 is best"),
    Described("front_found", REAL, "share of the true front's results found"),
    Described("igd_plus", REAL, "inverted generational distance plus to the true front, 0 is best"),
    Described("additive_epsilon", REAL, "additive epsilon indicator to the true front, 0 is best"),
    Described("anytime", REAL, "mean relative hypervolume over the logarithmic grid of times"),
    Described("evaluations", REAL, "evaluations at any fidelity"),
    Described("full_evaluations", REAL, "evaluations at the highest fidelity"),
    Described("simulated_seconds", REAL, "simulated time of the last result", "s"),
    Described("spent_usd", REAL, "money spent on all evaluations", "USD", True),
)

CURVES = (
    *_WHERE,
    _CREDIT,
    Described("simulated_seconds", REAL, "moment of simulated time, logarithmically spaced", "s"),
    Described("hypervolume_mean", REAL, "relative hypervolume reached by then, mean over runs"),
    Described("hypervolume_q25", REAL, "the same, lower quartile"),
    Described("hypervolume_median", REAL, "the same, median"),
    Described("hypervolume_q75", REAL, "the same, upper quartile"),
    Described("front_found_mean", REAL, "share of the true front's results found, mean over runs"),
)

FRONTS = (
    *_WHERE[:2],
    Described("method", TEXT, "tuning method, or 'true front': the best that the whole table holds"),
    _CREDIT,
    Described("run", WHOLE, "the run with the median final hypervolume; empty for the true front"),
    Described("row", WHOLE, "row of the table"),
    Described("fidelity", REAL, "fidelity at which it was a result", "that of the benchmark"),
    Described("objective:NAME", REAL, "objective as published", "that of the objective", True),
    Described("configuration", TEXT, "the configuration, as a JSON object"),
)

RANKS = (
    _WHERE[2],
    _CREDIT,
    Described(
        "average_rank",
        REAL,
        f"rank over the tasks of all benchmarks. {RANK}",
    ),
    Described("low", REAL, "low end of its 95 % interval, runs drawn again; empty: one run"),
    Described("high", REAL, "high end of it"),
)

SCALED = (
    Described("task", TEXT, "BENCHMARK/TASK"),
    _WHERE[2],
    _CREDIT,
    Described(
        "scaled",
        REAL,
        "mean final hypervolume, with random search at 0 and the best method of the task at 1; empty: random "
        "search is best, or was not compared",
    ),
    Described("failed", WHOLE, "runs that ended without a result; they have hypervolume 0"),
    Described("runs", WHOLE, "runs"),
)

KINDS = (
    Described("node", TEXT, "what holds for the tasks of the node; all tasks: the root"),
    Described("num_tasks", WHOLE, "tasks of the node"),
    _CREDIT,
    Described("descriptor", TEXT, "descriptor of tasks, see docs/studies.md"),
    Described("instability", REAL, "how unstable worths are along it (supLM); empty: it cannot be cut"),
    Described("p", REAL, "p-value by permutation, times the number of descriptors, at most 1"),
    Described("splits", pl.Boolean(), "whether the node is divided by it"),
)

PAIRS = (
    Described("task", TEXT, "BENCHMARK/TASK, over whose runs was tested; all: over the means of all tasks"),
    Described("first", TEXT, "method"),
    Described("second", TEXT, "method that it is compared with"),
    _CREDIT,
    Described("test", TEXT, "wilcoxon (signed ranks, paired by task) or mann-whitney; both two-sided"),
    Described("num_values", WHOLE, "tasks, or runs of each method"),
    Described("difference", REAL, "mean hypervolume of the first minus that of the second"),
    Described("effect", TEXT, "rank-biserial (-1 to 1, 0: none) or vargha-delaney (0 to 1, 0.5: none)"),
    Described("effect_size", REAL, "size of that effect"),
    Described("p", REAL, "p-value"),
    Described("p_holm", REAL, "p-value after Holm's correction for the pairs tested together"),
)

COMPARE = (
    *_OVER[:2],
    Described("first", TEXT, "method"),
    Described("second", TEXT, "method that it is compared with"),
    _CREDIT,
    Described("num_seeds", WHOLE, "tuning runs of the method that has fewer"),
    Described("first_hypervolume", REAL, "final relative hypervolume of the first, mean over runs"),
    Described("second_hypervolume", REAL, "the same of the second"),
    Described("difference", REAL, "first minus second, run by run, mean over the runs that both have"),
    Described("low", REAL, "low end of its 95 % interval; empty: one run"),
    Described("high", REAL, "high end of it"),
    Described("test", TEXT, "mann-whitney over runs, of a task; wilcoxon over five or more tasks, of all"),
    Described("effect", TEXT, "vargha-delaney (0 to 1, 0.5: none) or rank-biserial (-1 to 1, 0: none)"),
    Described("effect_size", REAL, "size of that effect; empty: no test"),
    Described("p", REAL, "p-value; empty: no test"),
)

EFFECTS = (
    Described("settings", TEXT, "one swept setting, or two: A x B"),
    Described("levels", TEXT, "a value of each"),
    _CREDIT,
    Described("mean", REAL, "mean final hypervolume over the combinations of the other settings"),
    Described("low", REAL, "low end of its 95 % interval; empty: one run"),
    Described("high", REAL, "high end of it"),
    Described("effect", REAL, "difference to the mean over the values; of two settings, their interaction"),
    Described("effect_low", REAL, "low end of its 95 % interval"),
    Described("effect_high", REAL, "high end of it"),
    Described("num_blocks", WHOLE, "combinations of the other settings"),
)

CALIBRATION = (
    _WHERE[0],
    Described("task", TEXT, "task held out: the model never saw its values"),
    Described("objective", TEXT, "objective that was predicted"),
    Described("model", TEXT, "prior network, gaussian process, single network or transfer prior"),
    Described("coverage_0.5", REAL, "share of the values within the central 50 % interval"),
    Described("coverage_0.8", REAL, "the same for 80 %"),
    Described("coverage_0.95", REAL, "the same for 95 %"),
    Described("negative_log_likelihood", REAL, "mean over the values, lower is better", "nats"),
    Described("num_values", WHOLE, "values held out"),
)

CHANGED_PRICES = (
    _WHERE[0],
    Described("instance_type", TEXT, "type of machine"),
    Described("old_usd_per_hour", REAL, "price when the runs decided; empty: not known", "USD/h"),
    Described("new_usd_per_hour", REAL, "price now", "USD/h"),
)

EVALUATIONS = (
    Described("study", TEXT, "name of the study"),
    *_WHERE,
    Described("setting_NAME", TEXT, "setting NAME; empty: none", "", True),
    Described("run", WHOLE, "tuning run, from 0; equal runs of different methods are paired"),
    Described("slot", WHOLE, "place of the evaluation in its run, in order of launch, from 0"),
    Described("hardware", TEXT, "type of machine, from the configuration", "", True),
    Described("config_NAME", TEXT, "value of the configuration: text or number", "", True),
    Described(
        "credit",
        TEXT,
        "under which credits the row counts: full (all), logged (logged and passed), passed (that alone: the "
        "evaluation went through this fidelity on the way to its own); empty: it failed",
    ),
    Described("fidelity_index", WHOLE, "index of the fidelity, from 0"),
    Described("fidelity", REAL, "fidelity itself; empty: not known", "that of the benchmark"),
    Described("objective_NAME", REAL, "objective; empty: the evaluation failed", "that of it", True),
    Described("start", REAL, "simulated time of the evaluation's start", "s"),
    Described("end", REAL, "simulated time from which on the result is there", "s"),
    Described("worker", WHOLE, "which of the workers, from 0"),
)

OUTSIDE = (
    _WHERE[0],
    _WHERE[2],
    Described("libraries", TEXT, "what decides, with versions; empty: a user's own"),
    Described("runs", WHOLE, "tuning runs"),
    Described("proposals", REAL, "proposals, mean over runs"),
    Described("displaced", REAL, "share of proposals whose nearest row had been evaluated before"),
    Described("distance", REAL, "mean distance from a proposal to its row, 1: the whole range of a column"),
    Described("cpu_seconds", REAL, "processor time of the optimiser, mean over runs", "s"),
    Described("cpu_milliseconds_per_proposal", REAL, "the same per proposal", "ms"),
)

TABLES: dict[str, tuple[Described, ...]] = {
    "summary": SUMMARY,
    "finals": FINALS,
    "curves": CURVES,
    "fronts": FRONTS,
    "ranks": RANKS,
    "scaled": SCALED,
    "kinds": KINDS,
    "pairs": PAIRS,
    "compare": COMPARE,
    "effects": EFFECTS,
    "calibration": CALIBRATION,
    "prices": CHANGED_PRICES,
    "outside": OUTSIDE,
    "evaluations": EVALUATIONS,
}
"""Columns by table."""


def described(table: str, name: str) -> Described:
    """The column of that name."""
    return next(column for column in TABLES[table] if column.name == name)


def framed(table: str, rows: Iterable[dict[str, Any]]) -> pl.DataFrame:
    """Rows as a frame with the documented columns in their order; ``KeyError`` for a column not documented.

    Optional columns that no row has are left out; elsewhere a value that a row lacks is null.
    """
    rows = list(rows)
    present = dict.fromkeys(name for row in rows for name in row)
    known = {
        column.name: column.kind for column in TABLES[table] if not column.optional or column.name in present
    }
    strange = [name for name in present if name not in known]
    if strange:
        raise KeyError(f"column {strange[0]!r} of table {table!r} is not documented")
    return pl.DataFrame(rows, schema=known)


def column_frame(table: str | None = None) -> pl.DataFrame:
    """What columns mean, of one table or of all: ``table``, ``column``, ``type``, ``unit``, ``meaning``.

    Raises:
        InputError: there is no such table.
    """
    if table is not None and table not in TABLES:
        raise InputError(f"table {table!r} is unknown: accepted are {', '.join(TABLES)}")
    rows = [
        (name, column.name, str(column.kind), column.unit, column.meaning)
        for name, columns in TABLES.items()
        for column in (*columns, PRICES)
        if table in (None, name)
    ]
    return pl.DataFrame(rows, schema=["table", "column", "type", "unit", "meaning"], orient="row")
