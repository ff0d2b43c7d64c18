"""``mohb bench``: the promised speeds, measured."""

from pathlib import Path
from typing import Annotated

import typer

from mohb_jax.cli.app import app


@app.command()
def bench(
    names: Annotated[list[str] | None, typer.Argument(metavar="[NAME]...", help="Default: all.")] = None,
    json_file: Annotated[
        Path | None, typer.Option("--json", help="Also write the rows to this file.")
    ] = None,
) -> None:
    """Measure speed against named references, whose answers are compared first."""
    from mohb_jax import bench as benching

    rows = []
    for row in benching.run(names):
        rows.append(row)
        held = {True: "holds", False: "DOES NOT HOLD", None: ""}[row.holds]
        print(
            f"{row.name:24} {row.value:12,.4g} {row.unit:12} {row.ratio_text:28} {row.hold:24} {held}",
            flush=True,
        )
    if json_file is not None:
        from mohb_jax.store import write_json

        write_json(json_file, [row.as_json() for row in rows])
