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
    against: Annotated[
        Path | None, typer.Option(help="Earlier file of --json: show each value over the earlier one.")
    ] = None,
) -> None:
    """Measure speed against named references, whose answers are compared first."""
    from mohb_jax import bench as benching
    from mohb_jax.bench.against import compared, earlier_values, not_measured

    earlier = None if against is None else earlier_values(against)
    rows = []
    for row in benching.run(names):
        rows.append(row)
        held = {True: "holds", False: "DOES NOT HOLD", None: ""}[row.holds]
        then = "" if earlier is None else f" {compared(row, earlier)}"
        print(
            f"{row.name:24} {row.value:12,.4g} {row.unit:12} {row.ratio_text:28} {row.hold:24} {held}{then}",
            flush=True,
        )
    if earlier is not None and (left := not_measured(rows, earlier)):
        print(f"Not measured now: {', '.join(left)}")
    if json_file is not None:
        from mohb_jax.store import write_json

        write_json(json_file, [row.as_json() for row in rows])
