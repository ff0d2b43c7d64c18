"""The ``mohb`` command."""

import json
import os
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

from mohb_jax.errors import InputError

app = typer.Typer(
    help="Studies of tuning methods that choose hardware and hyperparameters together.",
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
data_app = typer.Typer(
    help="Published tables: fetch them, check them, import your own.", no_args_is_help=True
)
app.add_typer(data_app, name="data")

DataOption = Annotated[
    str | None,
    typer.Option("--data", help="Folder that holds the published files (default: MOHB_DATA, else download)."),
]
ReuseOption = Annotated[
    list[Path] | None,
    typer.Option(
        help="Study folder from which finished units are copied where they answer the same question; "
        "repeatable.",
        show_default=False,
    ),
]


def main(arguments: Sequence[str] | None = None) -> None:
    """Entry point: bad input ends in one line and exit code 2, an interruption in 130."""
    try:
        code = app(args=arguments, standalone_mode=False)
        sys.stdout.flush()
    except typer.TyperException as error:
        _fail(error.format_message() or "a command is missing: accepted are those above", 2)
    except InputError as error:
        _fail(str(error), 2)
    except (KeyboardInterrupt, typer.Abort):
        code = 130
    except BrokenPipeError:  # the reader of our output, such as head, has gone
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = 1
    except OSError as error:  # no permission, a full disk, a folder where a file should be
        _fail(f"{error.filename or 'the result'} cannot be read or written: {error.strerror or error}", 2)
    if code == 130:
        _fail("interrupted; finished units are kept, and the same command goes on from there", 130)
    sys.exit(code if isinstance(code, int) else 0)


def _fail(message: str, code: int) -> None:
    print(f"mohb: {' '.join(message.split())}", file=sys.stderr)
    sys.exit(code)


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
) -> None:
    """Run a study, or go on with one: finished units are kept and never repeated."""
    from mohb_jax import study as studies  # imported late, so that --help and errors of usage come at once
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
    study = _study(studies, study_file, given, settings, task, objective, place)
    tables = studies.load_tables(study, data)
    directory = out or Path("runs") / study.name
    if dry_run:
        _print_plan(studies, study, tables, directory, reuse or ())
        return
    _run(studies, study, tables, directory, reuse or ())
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
        content["name"] = "-".join(Path(entry["name"]).stem for entry in given["benchmarks"])
    if "methods" in given and content.get("reference") not in given["methods"]:
        content["reference"] = None
    content["settings"] = content.get("settings", {}) | settings
    content["engine"] = content.get("engine", {}) | engine
    chosen = {
        name: value for name, value in (("tasks", tasks), ("objectives", objectives)) if value is not None
    }
    content["benchmarks"] = [entry | chosen for entry in content["benchmarks"]]
    return studies.make_study(content, "options")


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


def _run(studies: Any, study: Any, tables: list[Any], directory: Path, reuse: Sequence[Path]) -> None:
    from mohb_jax.engines import make_engine

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
    from mohb_jax.report import final_rows

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


@app.command()
def report(
    directory: Annotated[Path, typer.Argument(metavar="DIR", help="Study folder.")],
    out: Annotated[
        Path | None,
        typer.Option(help="Where to write; default: DIR/report, or DIR/report-NAME for prices in NAME.yaml."),
    ] = None,
    prices: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Show the study at other prices, without running it again: a YAML file (INSTANCE TYPE: USD "
            "per hour) or a CSV file (a header; instance type, USD per hour). Types left out keep theirs.",
        ),
    ] = None,
) -> None:
    """Write the page, figures (PDF and PNG), CSV tables and summary.json of a study."""
    from mohb_jax.programs import use_compilation_cache
    from mohb_jax.report import report_folder, write_report

    use_compilation_cache()
    began = time.perf_counter()
    summary = write_report(directory, out, prices)
    units, target = summary["units"], out or report_folder(directory, prices)
    print(f"Report in {time.perf_counter() - began:.1f} s: open {target / 'index.html'}")
    print(f"Figures and tables: {target}")
    if units["finished"] < units["expected"]:
        print(f"{units['finished']} of {units['expected']} work units are finished: mohb run goes on")
    if summary["prices"]:
        print(_price_outcome(summary["prices"]))


def _price_outcome(prices: dict[str, Any]) -> str:
    """What re-pricing changed, in a line."""
    text = f"Re-priced: {', '.join(prices['repriced'])}; {prices['decisions']}"
    return text + (f". Not re-priced: {', '.join(prices['not_repriced'])}" if prices["not_repriced"] else "")


@app.command()
def export(
    directory: Annotated[Path, typer.Argument(metavar="DIR", help="Study folder.")],
    out: Annotated[Path, typer.Option(metavar="FILE", help="Table to write; ends in .parquet or .csv.")],
) -> None:
    """Write all finished evaluations of a study as one table, and what its columns mean."""
    from mohb_jax.export import export_runs

    num_rows = export_runs(directory, out)
    print(f"{num_rows:,} evaluations -> {out}\nWhat its columns mean: {out.with_suffix('.columns.csv')}")


@app.command()
def reproduce(
    paper: Annotated[str, typer.Argument(metavar="PAPER", help="salinas2021, salinas2020 or guerrero2021.")],
    seeds: Annotated[
        int | None,
        typer.Option(
            help="Tuning runs per method and task; default: 1000, 30 for salinas2020, 100 for guerrero2021."
        ),
    ] = None,
    benchmark: Annotated[
        list[str] | None,
        typer.Option(help="Benchmark of the paper; repeatable; default: all.", show_default=False),
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Folder of the result; default: runs/PAPER.")] = None,
    reuse: ReuseOption = None,
    data: DataOption = None,
) -> None:
    """Set a paper's claims beside what the simulator finds; an interrupted reproduction goes on."""
    from mohb_jax import reproduce as reproduction
    from mohb_jax import study as studies
    from mohb_jax.programs import use_compilation_cache
    from mohb_jax.report import write_report

    use_compilation_cache()
    chosen = reproduction.paper_named(paper)
    command = shlex.join(["mohb", *sys.argv[1:]])
    num_seeds = chosen.seeds if seeds is None else seeds
    whole = reproduction.prepare(chosen, num_seeds, benchmark, out or Path("runs") / paper, data, command)
    for part in whole.parts:
        _run(studies, part.study, part.tables, part.directory, reuse or ())
    began = time.perf_counter()
    page = chosen.write(whole)
    print(f"Claims in {time.perf_counter() - began:.1f} s")
    for part in whole.parts:
        began = time.perf_counter()
        write_report(part.directory)
        print(f"Report of {part.benchmark} in {time.perf_counter() - began:.1f} s")
    print(f"\nOpen {page}")


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

        return [{"name": m.name, "summary": m.summary, "needs": m.needs} for m in METHODS.values()]
    if what == "benchmarks":
        from mohb_jax import benchmarks

        return benchmarks.describe()
    raise InputError(f"list {what!r} is unknown: accepted are methods, benchmarks")


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


if __name__ == "__main__":
    main()
