"""``mohb ensemble``: what the runs of a finished study make of ensembles."""

import shlex
import sys
import time
from pathlib import Path
from typing import Annotated

import typer

from mohb_jax.cli.app import app


@app.command()
def ensemble(
    directory: Annotated[Path, typer.Argument(metavar="DIR", help="Study folder.")],
    out: Annotated[Path | None, typer.Option(help="Where to write; default: DIR/ensembles.")] = None,
    cost: Annotated[
        str,
        typer.Option(
            help="What a model costs: usd (per million examples, on the instance type that the run chose), "
            "seconds, parameters or memory."
        ),
    ] = "usd",
    selection: Annotated[
        list[str] | None,
        typer.Option(
            help="Way of selecting: singles, top-k, caruana, gradient or nsga2, beside best and smobf; "
            "repeatable; default: all.",
            show_default=False,
        ),
    ] = None,
    device: Annotated[
        list[str] | None,
        typer.Option(
            metavar="GIB[:SPEED]",
            help="Device on which to place the best ensemble of each task, such as 16 or 8:2; repeatable.",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Select ensembles from the models of every run, and compare tuners by them.

    For studies on the embedded benchmark, whose networks' predictions are stored.
    """
    from mohb_jax.ensembles.page import answer, write_ensembles

    began = time.perf_counter()
    command = shlex.join(["mohb", *sys.argv[1:]])
    found, page = write_ensembles(directory, out, cost, selection, command, device or ())
    print(answer(found))
    print(f"Ensembles in {time.perf_counter() - began:.1f} s: open {page}")
