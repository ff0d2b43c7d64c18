"""``mohb run``: a study, from its file or from options."""

import contextlib
import shlex
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer
import yaml
from rich import box
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table as RichTable

from mohb_jax.cli.app import DataOption, ReuseOption, app
from mohb_jax.errors import InputError


@app.command()
def run(
    study_file: Annotated[
        Path | None, typer.Argument(metavar="[STUDY.yaml]", help="Study file; the embedded study if none.")
    ] = None,
    benchmark: Annotated[
        list[str] | None, typer.Option(help="Benchmark or .npz table; repeatable.", show_default=False)
    ] = None,
    method: Annotated[list[str] | None, typer.Option(help="Method; repeatable.", show_default=False)] = None,
    task: Annotated[
        list[str] | None, typer.Option(help="Task of the benchmark; repeatable; default: all.")
    ] = None,
    objective: Annotated[
        list[str] | None,
        typer.Option(help="Objective; repeatable, the first is the one of hb; default: all."),
    ] = None,
    seeds: Annotated[int | None, typer.Option(help="Tuning runs per method and task.")] = None,
    seed: Annotated[int | None, typer.Option(help="Root seed.")] = None,
    evaluations: Annotated[int | None, typer.Option(help="Budget of evaluations per run.")] = None,
    seconds: Annotated[
        float | None,
        typer.Option(
            help="Horizon in simulated seconds; without any budget, the time of 50 average full trainings "
            "shared by the workers."
        ),
    ] = None,
    workers: Annotated[int | None, typer.Option(help="Simulated workers.")] = None,
    eta: Annotated[float | None, typer.Option(help="Reduction factor of Hyperband.")] = None,
    setting: Annotated[
        list[str] | None,
        typer.Option(
            "--set", metavar="NAME=VALUE", help="Any other setting, such as mode=overlap; repeatable."
        ),
    ] = None,
    engine: Annotated[
        str | None, typer.Option(help="Where to run: local (this process, all its devices) or ray.")
    ] = None,
    address: Annotated[
        str | None, typer.Option(help="Ray cluster, such as auto; default: one started on this machine.")
    ] = None,
    dry_run: Annotated[
        bool,
        typer.Option("--dry-run", help="Print units, runs, memory and a guess of the time; run nothing."),
    ] = False,
    out: Annotated[Path | None, typer.Option(help="Study folder; default: runs/NAME of the study.")] = None,
    reuse: ReuseOption = None,
    data: DataOption = None,
    no_plugins: Annotated[
        bool,
        typer.Option("--no-plugins", help="Refuse a study that runs code from outside the package."),
    ] = False,
) -> None:
    """Run a study, or go on with one: finished units are kept and never repeated.

    Names such as my_module:my_method run the code of that module, found beside the study file, in the working
    folder, or installed.
    """
    from mohb_jax import study as studies  # imported late, so that --help and errors of usage come at once
    from mohb_jax.plugins import forbidden
    from mohb_jax.programs import use_compilation_cache

    use_compilation_cache()
    options: dict[str, Any] = {
        "methods": method,
        "seeds": seeds,
        "seed": seed,
        "evaluations": evaluations,
        "seconds": seconds,
    }
    given: dict[str, Any] = {name: value for name, value in options.items() if value is not None}
    settings = {name: value for name, value in (("workers", workers), ("eta", eta)) if value is not None}
    settings |= dict(_setting(text) for text in setting or [])
    if benchmark is not None:
        given["benchmarks"] = [{"name": name} for name in benchmark]
    place = {key: value for key, value in (("name", engine), ("address", address)) if value is not None}
    with forbidden() if no_plugins else contextlib.nullcontext():
        study = _study(studies, study_file, given, settings, task, objective, place)
        tables = studies.load_tables(study, data)
    if code := studies.code_of(study):
        print(f"Runs code of {', '.join(code)}")
    directory = out or Path("runs") / study.name
    if dry_run:
        _print_plan(studies, study, tables, directory, reuse or ())
        return
    run_with_progress(studies, study, tables, directory, reuse or ())
    _print_results(directory)
    print(f"\nNext: mohb report {shlex.quote(str(directory))}")


def _setting(text: str) -> tuple[str, Any]:
    """Name and value of ``NAME=VALUE``; the value is read as in a study file."""
    name, equals, value = text.partition("=")
    if not equals:
        raise InputError(f"--set {text!r}: accepted is NAME=VALUE, such as mode=overlap")
    try:
        return name.strip(), yaml.safe_load(value)
    except (yaml.YAMLError, ValueError):  # the latter for a date that does not exist
        raise InputError(f"--set {text!r}: its value is not YAML, such as 3, overlap or [1, 2]") from None


def _study(
    studies: Any,
    study_file: Path | None,
    given: dict[str, Any],
    settings: dict[str, Any],
    tasks: list[str] | None,
    objectives: list[str] | None,
    engine: dict[str, Any],
) -> Any:
    """The study of a file, the embedded one, or one made of options alone; options go before the file."""
    content: dict[str, Any] = {}
    if study_file is not None or not ({"benchmarks", "methods"} & given.keys()):
        content = studies.load_study(study_file or studies.EMBEDDED).model_dump()
    elif "methods" not in given or "benchmarks" not in given:
        defaults = studies.load_study(studies.EMBEDDED).model_dump()
        content = {name: defaults[name] for name in ("benchmarks", "methods")}
    content |= given
    if study_file is None and "benchmarks" in given:
        stems = [Path(entry["name"]).stem.replace(":", "-") for entry in given["benchmarks"]]
        content["name"] = "-".join(stems)
    if "methods" in given and content.get("reference") not in given["methods"]:
        content["reference"] = None
    content["settings"] = content.get("settings", {}) | settings
    content["engine"] = content.get("engine", {}) | engine
    chosen = {
        name: value for name, value in (("tasks", tasks), ("objectives", objectives)) if value is not None
    }
    content["benchmarks"] = [entry | chosen for entry in content["benchmarks"]]
    return studies.make_study(content, "options", folder=study_file.parent if study_file else None)


def _print_plan(studies: Any, study: Any, tables: list[Any], directory: Path, reuse: Sequence[Path]) -> None:
    """What a study would take."""
    rows = studies.plan_of(study, tables, directory, reuse)
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
    total = {name: sum(row[name] for row in rows) for name in ("units", "runs", "done", "seconds")}
    print(f"{total['runs']:,} tuning runs in {total['units']:,} units, {total['done']:,} of them done")
    print(f"The largest unit takes about {max(row['MiB'] for row in rows):,.0f} MiB")
    print(
        f"What is left takes about {total['seconds'] / 60:,.1f} min on two processors, half or twice as "
        "much is as likely, without the learning of priors. Nothing was run."
    )


def run_with_progress(
    studies: Any, study: Any, tables: list[Any], directory: Path, reuse: Sequence[Path]
) -> None:
    from mohb_jax.study.engines import make_engine

    units = studies.work_units(study, tables)
    studies.require_folder(directory)
    num_lanes = sum(unit.num_lanes for unit in units)
    print(f"Study {study.name}: {num_lanes:,} tuning runs in {len(units)} units -> {directory}")
    if studies.replaces_another(study, directory):
        print(
            "The folder held another study: its units stay, study.json is now of this one (--out keeps both)"
        )
    began, num_kept, num_seen = time.perf_counter(), 0, 0
    with _progress() as progress:
        bar = progress.add_task("starting", total=num_lanes, rate="")

        def on_unit(unit: Any, seconds: float, found: bool) -> None:
            nonlocal num_kept, num_seen
            num_kept += found
            num_seen += 1
            progress.update(
                bar,
                advance=unit.num_lanes,
                description=f"unit {num_seen} of {len(units)}: {unit.spec['benchmark']} {unit.label}",
                rate=f"{progress.tasks[bar].speed or 0:,.0f} runs/s",
            )

        command = shlex.join(["mohb", *sys.argv[1:]])
        engine = make_engine(study.engine)
        num_run = studies.run_study(study, tables, directory, command, on_unit, engine, reuse)
    kept = f", {num_kept} were there already" if num_kept else ""
    print(f"Ran {num_run} units in {time.perf_counter() - began:.1f} s{kept}.\n")


def _progress() -> Progress:
    """A bar on a terminal, nothing elsewhere."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]}"),
        TimeRemainingColumn(),
    )
    return Progress(*columns, console=Console(stderr=True), transient=True, disable=not sys.stderr.isatty())


def _print_results(directory: Path) -> None:
    from mohb_jax.analysis.final import final_rows

    table = RichTable(box=box.SIMPLE_HEAD, padding=(0, 1), pad_edge=False)
    for name in ("benchmark", "method"):
        table.add_column(name, no_wrap=True)
    for name in (
        "runs",
        "hypervolume",
        "95 % interval",
        "front found",
        "evaluations",
        "in full",
        "simulated s",
    ):
        table.add_column(name, justify="right", no_wrap=True)
    rows, too_short = final_rows(directory)
    for row in rows:
        interval = "-" if row["low"] is None else f"{row['low']:.4f} {row['high']:.4f}"
        table.add_row(
            row["benchmark"],
            row["method"],
            f"{row['num_seeds']:,}",
            f"{row['hypervolume']:.4f}",
            interval,
            f"{row['front_found']:.1%}",
            f"{row['evaluations']:.0f}",
            f"{row['full_evaluations']:.0f}",
            f"{row['simulated_seconds']:,.0f}",
        )
    Console(width=None if sys.stdout.isatty() else 140).print(table)
    print("hypervolume: mean over runs and tasks at the end, relative to the table's true front (1 is best)")
    print("evaluations: mean per run at any fidelity; in full: those at the highest one, which alone count")
    if too_short:
        print("Some runs ended before their first full evaluation: give more --seconds or --evaluations")
