"""``mohb data``: published tables, and tables of one's own."""

import shlex
from pathlib import Path
from typing import Annotated

import typer

from mohb_jax.cli.app import DataOption, data_app
from mohb_jax.errors import InputError


@data_app.command()
def fetch(
    names: Annotated[list[str] | None, typer.Argument(metavar="[NAME]...", help="Default: all.")] = None,
    data: DataOption = None,
) -> None:
    """Download the published files of benchmarks and check their hashes."""
    from mohb_jax import benchmarks

    for path in benchmarks.fetch(names or None, data):
        print(path)


@data_app.command()
def check(
    names: Annotated[list[str] | None, typer.Argument(metavar="[NAME]...", help="Default: all.")] = None,
    data: DataOption = None,
) -> None:
    """Say which published files are there and whole; exit code 1 if any is not."""
    from mohb_jax import benchmarks

    states = benchmarks.check(names or None, data)
    for state in states:
        print("  ".join(str(value) for value in state.values()))
    if any(state["state"] != "ok" for state in states):
        raise typer.Exit(1)


@data_app.command("import")
def import_table(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="CSV or Parquet file, one row per result.")],
    spec: Annotated[Path, typer.Option(help="YAML file that says what the columns mean.")],
    out: Annotated[Path, typer.Option(help="Table file to write; its name ends in .npz.")],
) -> None:
    """Turn your own results into a table that --benchmark accepts."""
    from mohb_jax import benchmarks

    if out.suffix != ".npz":
        raise InputError(f"--out is {out}: its name must end in .npz")
    if not out.parent.is_dir():
        raise InputError(f"--out is {out}: folder {out.parent} does not exist")
    table = benchmarks.import_file(file, spec)
    table.save(out)
    print(f"{table} -> {out}")
    if table.num_missing:
        print(f"{table.num_missing:,} of {table.mask.size:,} cells are missing; evaluating one fails")
    print(f"\nNext: mohb run --benchmark {shlex.quote(str(out))} --method mo-hb --method random")
