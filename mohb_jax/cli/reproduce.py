"""``mohb reproduce``: a paper's claims beside what the simulator finds."""

import shlex
import sys
import time
from pathlib import Path
from typing import Annotated

import typer

from mohb_jax.cli.app import DataOption, ReuseOption, app
from mohb_jax.cli.run import run_and_say


@app.command()
def reproduce(
    paper: Annotated[
        str,
        typer.Argument(
            metavar="PAPER",
            help="salinas2021, salinas2020, guerrero2021, you2023, mohan2022 or pochelu2022.",
        ),
    ],
    seeds: Annotated[
        int | None,
        typer.Option(
            help="Tuning runs per method and task, or what else is repeated; default: 1000, 30 for "
            "salinas2020, 100 for guerrero2021 and you2023, 10 for mohan2022."
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
    from mohb_jax import papers
    from mohb_jax.report import write_report

    chosen = papers.paper_named(paper)
    command = shlex.join(["mohb", *sys.argv[1:]])
    num_seeds = chosen.seeds if seeds is None else seeds
    whole = papers.prepare(chosen, num_seeds, benchmark, out or Path("runs") / paper, data, command)
    for part in whole.parts:
        run_and_say(part.study, part.tables, part.directory, reuse or ())
    began = time.perf_counter()
    page = chosen.write(whole)
    print(f"Claims in {time.perf_counter() - began:.1f} s")
    for part in whole.parts:
        began = time.perf_counter()
        write_report(part.directory)
        print(f"Report of {part.benchmark} in {time.perf_counter() - began:.1f} s")
    print(f"\nOpen {page}")
