"""``mohb report`` and ``mohb export``: what is made of a finished study."""

import time
from pathlib import Path
from typing import Annotated, Any

import typer

from mohb_jax.cli.app import app

CreditOption = Annotated[
    list[str] | None,
    typer.Option(
        metavar="CREDIT",
        help="What counts as a result: full (evaluations at the highest fidelity), logged (each one at its "
        "own) or passed (also the fidelities that it went through); repeatable, shown side by side; default: "
        "the study's, which is full and passed.",
        show_default=False,
    ),
]


@app.command()
def report(
    directory: Annotated[Path, typer.Argument(metavar="DIR", help="Study folder.")],
    out: Annotated[
        Path | None,
        typer.Option(help="Where to write; default: DIR/report, or DIR/report-NAME for prices in NAME.yaml."),
    ] = None,
    prices: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Show the study at other prices, without running it again: a YAML file (INSTANCE TYPE: USD "
            "per hour) or a CSV file (a header; instance type, USD per hour). Types left out keep theirs.",
        ),
    ] = None,
    credit: CreditOption = None,
) -> None:
    """Write the page, figures (PDF and PNG), CSV tables and summary.json of a study."""
    from mohb_jax.report import report_folder, write_report

    began = time.perf_counter()
    summary = write_report(directory, out, prices, credit)
    units, target = summary["units"], out or report_folder(directory, prices)
    print(f"Report in {time.perf_counter() - began:.1f} s: open {target / 'index.html'}")
    print(f"Figures and tables: {target}")
    if units["finished"] < units["expected"]:
        print(f"{units['finished']} of {units['expected']} work units are finished: mohb run goes on")
    if summary["prices"]:
        print(_price_outcome(summary["prices"]))


def _price_outcome(prices: dict[str, Any]) -> str:
    """What re-pricing changed, in a line."""
    text = f"Re-priced: {', '.join(prices['repriced'])}; {prices['decisions']}"
    return text + (f". Not re-priced: {', '.join(prices['not_repriced'])}" if prices["not_repriced"] else "")


@app.command()
def export(
    directory: Annotated[Path, typer.Argument(metavar="DIR", help="Study folder.")],
    out: Annotated[Path, typer.Option(metavar="FILE", help="Table to write; ends in .parquet or .csv.")],
    credit: CreditOption = None,
    finals: Annotated[
        bool, typer.Option("--finals", help="A row for the end of each tuning run, not for each evaluation.")
    ] = False,
) -> None:
    """Write all finished evaluations of a study as one table, and what its columns mean.

    Where passed fidelities count, each that an evaluation went through is a row, too; --credit logged leaves
    them out. With --finals, a row is the end of a run.
    """
    if finals:
        from mohb_jax.analysis.final import export_finals

        print(f"{export_finals(directory, out, credit):,} rows -> {out}")
        return
    from mohb_jax.analysis.export import export_runs

    num_rows = export_runs(directory, out, credit)
    print(f"{num_rows:,} rows -> {out}\nWhat its columns mean: {out.with_suffix('.columns.csv')}")
