"""``mohb list``: the known methods and benchmarks."""

import json
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table as RichTable

from mohb_jax.cli.app import app
from mohb_jax.errors import InputError

OWN = "mohb-jax"
"""Where the package's own methods are from."""


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
    shown = ["name", "summary", "needs"]
    shown += ["from"] if any(entry.get("from", OWN) != OWN for entry in entries) else []
    for column in shown:
        table.add_column(column, no_wrap=column == "name")
    for entry in entries:
        table.add_row(*(entry[column] for column in shown))
    Console().print(table)


def _entries(what: str) -> list[dict[str, Any]]:
    if what == "methods":
        from mohb_jax.methods import METHODS, published
        from mohb_jax.settings import describe

        own = [
            {
                "name": m.name,
                "summary": m.summary,
                "needs": m.needs,
                "settings": describe(m.settings),
                "from": OWN,
            }
            for m in METHODS.values()
        ]
        return own + [_published(name, point) for name, point in published(METHODS).items()]
    if what == "benchmarks":
        from mohb_jax import benchmarks

        return benchmarks.describe()
    raise InputError(f"list {what!r} is unknown: accepted are methods, benchmarks")


def _published(name: str, point: Any) -> dict[str, Any]:
    """A method that an installed distribution publishes: to say more it would have to be imported."""
    from mohb_jax.plugins import distribution_of

    summary = f"{point.value}, imported only by a study that runs it"
    return {"name": name, "summary": summary, "needs": "", "settings": [], "from": distribution_of(point)}
