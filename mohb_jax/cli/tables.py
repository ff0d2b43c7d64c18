"""Tables of the terminal: what a study would take, and what came out of one."""

import sys
from collections.abc import Sequence
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table as RichTable

from mohb_jax.benchmarks.credit import MEANINGS

FEWER = "fewer --seconds or --evaluations tell methods apart"


def print_plan(rows: Sequence[dict[str, Any]]) -> None:
    """What a study would take."""
    table = RichTable(box=box.SIMPLE_HEAD, padding=(0, 1), pad_edge=False)
    for name in rows[0]:
        table.add_column(name, justify="left" if name in ("benchmark", "method") else "right", no_wrap=True)
    for row in rows:
        table.add_row(
            *(
                f"{v:,.0f}" if isinstance(v, float) else f"{v:,}" if isinstance(v, int) else v
                for v in row.values()
            )
        )
    Console(width=None if sys.stdout.isatty() else 160).print(table)
    total = {
        name: sum(row[name] for row in rows) for name in ("units", "runs", "done", "seconds", "compiling")
    }
    print(f"{total['runs']:,} tuning runs in {total['units']:,} units, {total['done']:,} of them done")
    print(f"The largest unit takes about {max(row['MiB'] for row in rows):,.0f} MiB")
    print(
        f"What is left takes about {total['seconds'] / 60:,.1f} min on two processors, half or twice as "
        f"much is as likely, without the learning of priors.\nThe compiler takes up to "
        f"{total['compiling'] / 60:,.1f} min more, if no earlier run left the programs. Nothing was run."
    )


def _what_counts(first: Any, others: Sequence[Any]) -> str:
    """What the numbers are."""
    text = "hypervolume: mean over runs and tasks at the end, relative to the table's true front (1 is best)"
    return "\n".join([text, *(f"{credit}: {MEANINGS[credit]}" for credit in (first, *others))])


def print_results(rows: Sequence[dict[str, Any]], too_short: bool, notes: Sequence[str] = ()) -> None:
    """What every method reached, under each credit; whether that changes their order, and whether some runs
    ended too early to say."""
    first, *others = rows[0]["credits"]
    table = RichTable(box=box.SIMPLE_HEAD, padding=(0, 1), pad_edge=False)
    for name in ("benchmark", "method"):
        table.add_column(name, no_wrap=True)
    for name in (
        "runs",
        first if others else "hypervolume",
        "95 % interval",
        *others,
        "front found",
        "evaluations",
        "in full",
        "simulated s",
    ):
        table.add_column(name, justify="right", no_wrap=True)
    for row in rows:
        interval = "-" if row["low"] is None else f"{row['low']:.4f} {row['high']:.4f}"
        table.add_row(
            row["benchmark"],
            row["method"],
            f"{row['num_seeds']:,}",
            f"{row['hypervolume']:.4f}",
            interval,
            *(f"{row['credits'][credit]:.4f}" for credit in others),
            f"{row['front_found']:.1%}",
            f"{row['evaluations']:.0f}",
            f"{row['full_evaluations']:.0f}",
            f"{row['simulated_seconds']:,.0f}",
        )
    Console(width=None if sys.stdout.isatty() else 140).print(table)
    print(_what_counts(first, others))
    print("evaluations: mean per run at any fidelity; in full: those at the highest one")
    for note in notes:
        print(note)
    for row in rows:
        if row["front_found"] == 1:
            print(f"{row['method']} found all of the true front of {row['benchmark']} in every run: {FEWER}")
    if too_short:
        print("Some runs ended before their first full evaluation: give more --seconds or --evaluations")
