"""``mohb list``: the known methods, benchmarks, reproduced papers and systems around the tuner."""

import json
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table as RichTable

from mohb_jax.cli.app import app
from mohb_jax.errors import InputError

OWN = "mohb-jax"
"""Where the package's own methods are from."""


@app.command("list")
def list_entries(
    what: Annotated[str, typer.Argument(metavar="methods|benchmarks|papers|systems")],
    name: Annotated[
        str | None, typer.Argument(metavar="[METHOD]", help="A method of which to show the settings.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """List the known methods, benchmarks, reproduced papers or systems around the tuner (ways of selecting
    ensembles and of placing them, Zeus, Synergy) and what each needs, or the settings of one method."""
    if name is not None and what != "methods":
        raise InputError(f"list {what} {name}: a name is accepted after methods alone")
    if name is not None:
        _print_method(name, as_json)
        return
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
        table.add_row(*(escape(entry[column]) for column in shown))
    Console().print(table)
    if what == "methods":
        print("Around the tuner (ensembles, Zeus, Synergy): mohb list systems")


def _print_method(name: str, as_json: bool) -> None:
    """A method's settings, with defaults and what each is for."""
    from mohb_jax.methods import method_named

    entry = _described(method_named(name)) | ({"from": name} if ":" in name else {})
    if as_json:
        print(json.dumps(entry, indent=2))
        return
    print(f"{entry['name']}: {entry['summary']}\nneeds {entry['needs']}")
    table = RichTable()
    for column in ("setting", "default", "what it is for"):
        table.add_column(column, no_wrap=column == "setting")
    for field in entry["settings"]:
        table.add_row(field["name"], json.dumps(field["default"]), field["help"])
    Console().print(table if entry["settings"] else "It has no settings of its own.")


def _described(method: Any) -> dict[str, Any]:
    from mohb_jax.settings import describe

    return {
        "name": method.name,
        "summary": method.summary,
        "needs": method.needs,
        "settings": describe(method.settings),
        "from": OWN,
    }


def _entries(what: str) -> list[dict[str, Any]]:
    if what == "methods":
        from mohb_jax.methods import SHIPPED, published

        own = [_described(method) for method in SHIPPED.values()]
        return own + [_published(name, point) for name, point in published(SHIPPED).items()]
    if what == "benchmarks":
        from mohb_jax import benchmarks

        return benchmarks.describe()
    if what == "papers":
        from mohb_jax.papers import PAPERS

        return [_paper(paper) for paper in PAPERS.values()]
    if what == "systems":
        from mohb_jax.cli.systems import systems

        return systems()
    raise InputError(f"list {what!r} is unknown: accepted are methods, benchmarks, papers, systems")


def _paper(paper: Any) -> dict[str, Any]:
    """A paper that can be reproduced, with the command that does."""
    needs = f"benchmarks {', '.join(paper.benchmarks)}" if paper.benchmarks else paper.needs
    return {"name": f"mohb reproduce {paper.name}", "summary": paper.title, "needs": needs, "from": OWN}


def _published(name: str, point: Any) -> dict[str, Any]:
    """A method that an installed distribution publishes: to say more it would have to be imported."""
    from mohb_jax.plugins import distribution_of

    summary = f"{point.value}, imported only by a study that runs it"
    return {"name": name, "summary": summary, "needs": "", "settings": [], "from": distribution_of(point)}
