"""``mohb list``: the known methods and benchmarks."""

import json
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table as RichTable

from mohb_jax.cli.app import app
from mohb_jax.errors import InputError


@app.command("list")
def list_entries(
    what: Annotated[str, typer.Argument(metavar="methods|benchmarks")],
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """List the known methods or benchmarks, and what each needs."""
    entries = _entries(what)
    if as_json:
        print(json.dumps(entries, indent=2))
        return
    table = RichTable()
    for column in ("name", "summary", "needs"):
        table.add_column(column, no_wrap=column == "name")
    for entry in entries:
        table.add_row(*(entry[column] for column in ("name", "summary", "needs")))
    Console().print(table)


def _entries(what: str) -> list[dict[str, Any]]:
    if what == "methods":
        from mohb_jax.methods import METHODS
        from mohb_jax.settings import describe

        return [
            {"name": m.name, "summary": m.summary, "needs": m.needs, "settings": describe(m.settings)}
            for m in METHODS.values()
        ]
    if what == "benchmarks":
        from mohb_jax import benchmarks

        return benchmarks.describe()
    raise InputError(f"list {what!r} is unknown: accepted are methods, benchmarks")
