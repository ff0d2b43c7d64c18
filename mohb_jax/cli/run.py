"""``mohb run``: a study, from its file or from options."""

import contextlib
import functools
import shlex
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mohb_jax.cli import options
from mohb_jax.cli.app import DataOption, ReuseOption, app


@app.command()
def run(
    study_file: options.StudyFile = None,
    benchmark: options.Benchmarks = None,
    method: options.Methods = None,
    task: options.Tasks = None,
    objective: options.Objectives = None,
    seeds: options.Seeds = None,
    seed: options.Seed = None,
    evaluations: options.Evaluations = None,
    seconds: options.Seconds = None,
    workers: options.Workers = None,
    eta: options.Eta = None,
    setting: options.OtherSettings = None,
    credit: options.Credits = None,
    engine: options.Engine = None,
    address: options.Address = None,
    dry_run: options.DryRun = False,
    report: options.Report = False,
    out: options.Out = None,
    reuse: ReuseOption = None,
    data: DataOption = None,
    no_plugins: options.NoPlugins = False,
) -> None:
    """Run a study, or go on with one: finished units are kept and never repeated.

    Names such as my_module:my_method run the code of that module, found beside the study file, in the working
    folder, or installed.
    """
    said = options.given(
        methods=method, credit=credit, seeds=seeds, seed=seed, evaluations=evaluations, seconds=seconds,
        benchmarks=None if benchmark is None else [{"name": name} for name in benchmark],
    )  # fmt: skip
    settings = options.settings_of(workers, eta, setting)
    where = options.given(name=engine, address=address)
    parts = options.given(tasks=task, objectives=objective)
    study, tables = _prepared(study_file, said, settings, parts, where, data, no_plugins)
    directory = out or Path("runs") / study.name
    if dry_run:
        _print_plan(study, tables, directory, reuse or ())
    else:
        run_and_say(study, tables, directory, reuse or ())
        _print_results(directory, report)


def _prepared(
    study_file: Path | None,
    said: dict[str, Any],
    settings: dict[str, Any],
    parts: dict[str, Any],
    where: dict[str, Any],
    data: str | None,
    no_plugins: bool,
) -> tuple[Any, list[Any]]:
    """The study and its tables; says whose code will run."""
    from mohb_jax import study as studies  # imported late, so that --help and errors of usage come at once
    from mohb_jax.plugins import forbidden

    with forbidden() if no_plugins else contextlib.nullcontext():
        study = options.study_of(study_file, said, settings, parts, where)
        tables = studies.load_tables(study, data)
    if code := studies.code_of(study):
        print(f"Runs code of {', '.join(code)}")
    return study, tables


def _print_plan(study: Any, tables: list[Any], directory: Path, reuse: Sequence[Path]) -> None:
    from mohb_jax.cli.tables import print_plan
    from mohb_jax.study import plan_of, remarks, work_units

    print_plan(plan_of(study, tables, directory, reuse))
    for remark in remarks(work_units(study, tables)):
        print(f"Note: {remark}")


def _print_results(directory: Path, report: bool) -> None:
    """The results, and their page or how to get it; what both need is computed once."""
    from mohb_jax.analysis.analysis import Analysis
    from mohb_jax.analysis.final import final_rows
    from mohb_jax.analysis.results import load_study
    from mohb_jax.cli.tables import print_results

    analysis = Analysis(load_study(directory)) if report else None
    print_results(*final_rows(directory, analysis))
    if analysis is None:
        print(f"\nNext: mohb report {shlex.quote(str(directory))}")
        return
    from mohb_jax.report import report_folder, write_analysis

    began, target = time.perf_counter(), report_folder(directory)
    write_analysis(analysis, target)
    print(f"\nReport in {time.perf_counter() - began:.1f} s: open {target / 'index.html'}")


def run_and_say(study: Any, tables: list[Any], directory: Path, reuse: Sequence[Path]) -> None:
    """Runs a study in a folder, and says what it is about to do and what it did."""
    from mohb_jax import study as studies
    from mohb_jax.running import run_with_progress

    def begin(units: list[Any]) -> None:
        studies.require_folder(directory)
        num_lanes = sum(unit.num_lanes for unit in units)
        print(f"Study {study.name}: {num_lanes:,} tuning runs in {len(units)} units -> {directory}")
        for remark in studies.remarks(units):
            print(f"Note: {remark}")
        if studies.replaces_another(study, directory):
            print(
                "The folder held another study: its units stay, study.json is now of this one "
                "(--out keeps both)"
            )

    command = shlex.join(["mohb", *sys.argv[1:]])
    say = functools.partial(print, flush=True)
    ran = run_with_progress(study, tables, directory, command, reuse, begin=begin, say=say)
    kept = f", {ran.num_kept} were there already" if ran.num_kept else ""
    print(f"Ran {ran.num_run} units in {ran.seconds:.1f} s{kept}.\n")
