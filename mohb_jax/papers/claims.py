"""A published number beside the measured reductions: verdicts and tables."""

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import polars as pl

from mohb_jax.papers.reductions import ALL_TASKS, STATISTICS, Row


class Claim(NamedTuple):
    """A published number and where it is looked for."""

    name: str
    title: str
    statement: str
    quantity: str
    benchmarks: tuple[str, ...]
    published: float


def verdict(interval: list[float | None] | None, published: float | int) -> str:
    """``holds``, ``does not hold`` or ``undecided``: where a 95 % interval lies.

    Args:
        interval: its ends, None for infinity; or None, of a single run.
        published: the published ratio.
    """
    low, high = (math.inf if end is None else end for end in interval or (0.0, None))
    return "holds" if low >= published else "does not hold" if high < published else "undecided"


def judged(claims: Sequence[Claim], row: Row) -> Row:
    """A row of ``reduction_rows`` with the claim that it is about, the published number and, over all tasks,
    a verdict for each statistic; a row that no claim is about has None there."""
    claim = next(
        (c for c in claims if row["benchmark"] in c.benchmarks and row["quantity"] == c.quantity), None
    )
    if claim is not None and row["task"] == ALL_TASKS:
        for name in STATISTICS:
            row[name]["verdict"] = verdict(row[name]["ci95"], claim.published)
    return {"claim": claim and claim.name, "published": claim and claim.published} | row


def under_first(rows: Sequence[Row]) -> list[Row]:
    """Rows under the first of their credits."""
    return [row for row in rows if row.get("credit") == rows[0].get("credit")]


def claims_frame(rows: list[Row]) -> pl.DataFrame:
    """``claims.json``'s rows with one plain column per number; an open end is empty."""
    return pl.DataFrame([_flat(row) for row in rows], infer_schema_length=None)


def _flat(row: Row) -> Row:
    flat = {key: value for key, value in row.items() if not isinstance(value, dict | list | None)}
    plain = (
        "claim",
        "published",
        "benchmark",
        "task",
        "method",
        "baseline",
        "credit",
        "definition",
        "quantity",
        "unit",
    )
    flat = {name: flat.get(name) for name in (*plain, "num_runs", "target")}
    flat["method_reached"], flat["baseline_reached"] = row["reached"] or (None, None)
    for name in STATISTICS:
        part = row[name]
        flat[f"{name}_ratio_at_least"], flat[f"{name}_ratio_at_most"] = part["ratio"]
        flat[f"{name}_low"], flat[f"{name}_high"] = part["ci95"] or (None, None)
        flat[f"{name}_verdict"] = part.get("verdict")
        least = part.get("least") or (None, None)
        flat[f"{name}_least_task_at_least"], flat[f"{name}_least_task_at_most"] = least
        ours, theirs = part.get("values") or ((None, None), (None, None))
        flat[f"{name}_method_at_least"], flat[f"{name}_baseline_at_least"] = ours[0], theirs[0]
    difference: dict[str, Any] = row["error_difference"] or {}
    flat["error_difference"], flat["error_difference_percent"] = (
        difference.get("mean"),
        difference.get("percent"),
    )
    for name, key in (("error_difference", "ci95"), ("error_difference_percent", "percent_ci95")):
        flat[f"{name}_low"], flat[f"{name}_high"] = difference.get(key) or (None, None)
    return flat
