"""``mohb data``: published tables, and tables of one's own."""

import shlex
from pathlib import Path
from typing import Annotated, Any

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
    file: Annotated[
        Path,
        typer.Argument(
            metavar="FILE",
            help="One row per result: CSV, Parquet, Arrow, JSON, a storage of Optuna (SQLite or journal), "
            "or a folder of Ray Tune.",
        ),
    ],
    spec: Annotated[Path | None, typer.Option(help="YAML file that says what the columns mean.")] = None,
    out: Annotated[
        Path | None, typer.Option(help="Table file to write, NAME.npz; with --guess the YAML file.")
    ] = None,
    guess: Annotated[
        bool, typer.Option("--guess", help="Write a first specification of the file, to be looked through.")
    ] = False,
    study: Annotated[
        str | None, typer.Option(help="Which study of an Optuna storage that holds several.")
    ] = None,
) -> None:
    """Turn your own results into a table that --benchmark accepts."""
    if guess:
        if spec is not None:
            raise InputError("--guess writes a specification: leave out --spec, and say where by --out")
        _write_guess(file, out or Path(f"{_stem(file)}.yaml"), study)
        return
    for option, value in (("--spec", spec), ("--out", out)):
        if value is None:
            hint = "mohb data import --guess FILE writes a first specification"
            raise InputError(f"{option} is missing; {hint}")
    assert spec is not None  # for the type checker, as the line below
    assert out is not None
    _import(file, spec, out, study)


def _import(file: Path, spec: Path, out: Path, study: str | None) -> None:
    from mohb_jax.benchmarks.frames import imported
    from mohb_jax.description import describe, lines

    if out.suffix != ".npz":
        raise InputError(f"--out is {out}: its name must end in .npz")
    _require_folder(out)
    before = _held(out)
    table, seen = imported(file, spec, study)
    table.save(out)
    print(f"{table} -> {out}")
    if before:
        print(f"{out} held {before}: replaced")
    print("\n".join(seen))
    print("\n".join(["", *lines(describe(table))]))
    for remark in _remarks(table):
        print(f"Note: {remark}")
    methods = "mo-hb" if table.num_fidelities > 1 else "nsga2"
    print(f"\nNext: mohb run --benchmark {shlex.quote(str(out))} --method {methods} --method random")


def _require_folder(out: Path) -> None:
    if not out.parent.is_dir():
        raise InputError(f"--out is {out}: folder {out.parent} does not exist")


def _held(out: Path) -> str:
    """The table that a file holds, in words; ``InputError`` if it holds something else, which is kept."""
    from mohb_jax import benchmarks

    if not out.is_file():
        return ""
    try:
        return str(benchmarks.load_table(out))
    except InputError:
        raise InputError(f"--out is {out}: it holds something else than a table, and is kept") from None


def _remarks(table: Any) -> list[str]:
    """What a run should know before it begins."""
    from mohb_jax.benchmarks.columns import MOST_COMPARED
    from mohb_jax.schedule import FEW_FIDELITIES, asha_rungs, hyperband

    remarks = []
    if table.num_fidelities == 1:
        remarks.append("There is one fidelity: mo-hb and others with rungs are random search on this table")
    used = {level for bracket in hyperband(table.fidelities) for level in bracket.levels}
    unused = sorted(set(range(table.num_fidelities)) - used - set(asha_rungs(table.fidelities)[0]))
    if unused and table.num_fidelities <= FEW_FIDELITIES:
        named = ", ".join(f"{table.fidelities[level]:g}" for level in unused)
        remarks.append(f"Never used at eta 3: {table.fidelity_name} {named}")
    if table.num_objectives > MOST_COMPARED:
        remarks.append(f"Reports compare {MOST_COMPARED} objectives at most: mohb run needs --objective")
    idle = [task for number, task in enumerate(table.tasks) if not table.final_runtime(number).any()]
    if idle:
        remarks.append(f"The runtime is 0 in task {', '.join(idle[:3])}: mohb run needs --evaluations")
    return remarks


def _write_guess(file: Path, out: Path, study: str | None) -> None:
    from mohb_jax.benchmarks.guess import guess
    from mohb_jax.benchmarks.own_files import read_file

    _require_folder(out)
    if out.exists():
        raise InputError(
            f"{out} is there already, and is kept: say by --out where to write the specification"
        )
    records = read_file(file, study=study)
    records.require_columns(())
    found = guess(records, _stem(file))
    with out.open("x", encoding="utf-8") as opened:
        opened.write(found.specification)
    print(f"{records.height:,} rows of {file}; first specification -> {out}")
    print("\n".join([*found.seen, *(f"Note: {note}" for note in records.notes)]))
    names = [shlex.quote(str(each)) for each in (file, out, f"{_stem(file)}.npz")]
    chosen = f" --study {shlex.quote(study)}" if study else ""
    print(
        f"\nLook through {out}, then: mohb data import {names[0]} --spec {names[1]} --out {names[2]}{chosen}"
    )


def _stem(file: Path) -> str:
    """Name of a file without its endings, ``results`` of ``results.csv.gz``."""
    return file.resolve().name.partition(".")[0] or "results"
