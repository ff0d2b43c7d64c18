"""``mohb describe``: what a table is like, before a study of it."""

import json
from typing import Annotated

import typer

from mohb_jax.cli.app import DataOption, app


@app.command()
def describe(
    table: Annotated[
        str, typer.Argument(metavar="TABLE", help="Benchmark, .npz table or my_module:my_table.")
    ],
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    data: DataOption = None,
) -> None:
    """Say what a table is like: what fidelities cost and tell, how alike tasks are, and whether early
    stopping can pay."""
    from mohb_jax import benchmarks, description

    held = benchmarks.load(table, data)
    found = description.describe(held)
    if as_json:
        print(json.dumps(found.as_json(), indent=2))
        return
    print("\n".join([str(held), *description.lines(found)]))
