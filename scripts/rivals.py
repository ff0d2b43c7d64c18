"""Tables of docs/rivals.md from the folder of ``studies/external.yaml``: ``python -m scripts.rivals DIR``."""

import sys
from pathlib import Path

import polars as pl

from mohb_jax.analysis.analysis import Analysis
from mohb_jax.analysis.results import load_study


def rank_table(analysis: Analysis) -> list[str]:
    """Average ranks of the methods that finished everything, under each credit; best in the first on top."""
    frame = analysis.table("ranks")
    kinds = frame["credit"].unique(maintain_order=True).to_list()
    by_credit = {credit: _texts(frame.filter(pl.col("credit") == credit)) for credit in kinds}
    order = frame.filter(pl.col("credit") == kinds[0]).sort("average_rank")["method"]
    rows = [[f"`{name}`", *(by_credit[credit].get(name, "") for credit in kinds)] for name in order]
    return table(["method", *(f"rank, {credit} [95 %]" for credit in kinds)], rows)


def _texts(frame: pl.DataFrame) -> dict[str, str]:
    return {
        row["method"]: f"{row['average_rank']:.1f} [{row['low']:.1f}, {row['high']:.1f}]"
        for row in frame.iter_rows(named=True)
    }


def level_table(analysis: Analysis) -> list[str]:
    """Mean relative hypervolume by benchmark, over its tasks and runs, in the first credit."""
    rows = [row for row in analysis.rows if row["task"] == "all" or _alone(analysis, row)]
    names = list(dict.fromkeys(row["benchmark"] for row in rows))
    found = {(row["benchmark"], row["method"]): f"{row['hypervolume']['mean']:.3f}" for row in rows}
    methods = [name for name in analysis.study.methods if any((one, name) in found for one in names)]
    cells = [[f"`{method}`", *(found.get((name, method), "") for name in names)] for method in methods]
    return table(["method", *names], cells)


def _alone(analysis: Analysis, row: dict) -> bool:
    tasks = {cell.task for cell in analysis.cells_of(row["benchmark"])}
    return tasks == {row["task"]}


def outside_table(analysis: Analysis) -> list[str]:
    """Processor time and what became of proposals."""
    rows = [
        [
            f"`{row['method']}`",
            row["benchmark"],
            f"{row['proposals']:.0f}",
            f"{row['cpu_milliseconds_per_proposal']:.1f}",
            f"{100 * row['displaced']:.0f} %",
            f"{row['distance']:.2f}",
        ]
        for row in sorted(analysis.outside, key=lambda row: row["method"])
    ]
    return table(["method", "benchmark", "proposals", "ms of CPU each", "displaced", "distance"], rows)


def table(heads: list[str], rows: list[list[str]]) -> list[str]:
    """Lines of Markdown."""
    lines = [heads, ["---"] * len(heads), *rows]
    return [f"| {' | '.join(line)} |" for line in lines]


def main(folder: str) -> None:
    """Prints the tables."""
    analysis = Analysis(load_study(Path(folder)))
    for made in (rank_table, level_table, outside_table):
        print("\n".join(made(analysis)), end="\n\n")


if __name__ == "__main__":
    main(sys.argv[1])
