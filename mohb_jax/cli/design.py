"""``mohb design`` and ``mohb recommend``: a method chosen out of the space of methods, and for a table."""

import json
import time
from pathlib import Path
from typing import Annotated

import typer

from mohb_jax.cli.app import DataOption, app
from mohb_jax.errors import InputError


@app.command()
def design(
    file: Annotated[Path | None, typer.Argument(metavar="STUDY.yaml", help="Design file.")] = None,
    out: Annotated[Path | None, typer.Option(help="Folder; default: runs/NAME.")] = None,
    space: Annotated[
        bool, typer.Option("--space", help="Print the space as ConfigSpace reads it, and run nothing.")
    ] = False,
    known: Annotated[
        bool,
        typer.Option("--known", help="Run the methods to compare with on the test tasks; beside the search."),
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would run, and run nothing.")] = False,
    data: DataOption = None,
) -> None:
    """Search the space of tuning methods, and test the winner on tasks that it has not seen.

    The same command goes on where an interrupted one stood.
    """
    import yaml

    from mohb_jax.design.judging import run_known
    from mohb_jax.design.page import page, verdict
    from mohb_jax.design.space import export, make_space
    from mohb_jax.design.spec import load_design
    from mohb_jax.design.study import as_json, described, run_design, training_pool

    if file is None:
        if not space:
            raise InputError("a design file is missing: mohb design STUDY.yaml, or mohb design --space")
        print(yaml.safe_dump(export(make_space()), sort_keys=False), end="")
        return
    chosen = load_design(file)
    if space:
        print(yaml.safe_dump(export(chosen.chosen_from), sort_keys=False), end="")
        return
    if dry_run:
        pool, _ = training_pool(chosen, data)
        print(
            f"{described(chosen.chosen_from)}; {chosen.searches} searches of {chosen.shapes} static choices "
            f"on {pool.table.num_tasks} training tasks, at most {chosen.searches * chosen.runs:,} runs; "
            f"test on {', '.join(entry.name for entry in chosen.test)} against {len(chosen.methods)} methods"
        )
        return
    folder = Path("runs") / chosen.name if out is None else out
    began = time.perf_counter()

    def tell(line: str) -> None:
        print(f"[{time.perf_counter() - began:6.0f} s] {line}", flush=True)

    if known:
        run_known(chosen, folder / "test", tell, data)
        return
    result = as_json(run_design(chosen, folder, tell, data))
    (folder / "design.html").write_text(page(result), encoding="utf-8")
    print(verdict(result))
    print(f"Designed in {time.perf_counter() - began:.0f} s: open {folder / 'design.html'}")


@app.command()
def recommend(
    benchmark: Annotated[str, typer.Option(help="A benchmark, or the path of an .npz table of yours.")],
    as_json: Annotated[bool, typer.Option("--json", help="As JSON.")] = False,
    data: DataOption = None,
) -> None:
    """Name a method with settings for a table, and the evidence for it."""
    from mohb_jax import benchmarks
    from mohb_jax.design.recommend import recommendation, told

    found = recommendation(benchmarks.load(benchmark, data))
    print(json.dumps(found, indent=1) if as_json else told(found))
