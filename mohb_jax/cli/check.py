"""``mohb check``: whether a method keeps the laws that all methods here keep."""

from pathlib import Path
from typing import Annotated, Any

import typer

from mohb_jax.cli.app import app


@app.command()
def check(
    method: Annotated[str, typer.Argument(metavar="METHOD", help="my_module:my_method, or a known name.")],
    table: Annotated[
        list[Path] | None,
        typer.Option(help="Table (.npz) to check it on, in place of the ten small ones; repeatable."),
    ] = None,
    only: Annotated[
        list[str] | None, typer.Option(metavar="CHECK", help="Make this check only; repeatable.")
    ] = None,
) -> int:
    """Check a method against the laws that all methods here keep; exit code 1 if it breaks one."""
    from mohb_jax.testing import kit

    case = kit.case_of(method, _tables(table))
    failed, num_not_made = [], 0
    for law in kit.chosen(only):
        result = kit.judged(law, case)
        print(_line(result), flush=True)
        failed += [f"{result.name}: {result.reason}"] if result.ok is False else []
        num_not_made += _is_not_made(result)
    if failed:
        rest = f"; {num_not_made} checks were not made" if num_not_made else ""
        print(f"\n{case.method.name} breaks {len(failed)} law(s){rest}", *failed, sep="\n")
    return 1 if failed else 0


def _tables(paths: list[Path] | None) -> Any:
    from mohb_jax.benchmarks import load_table

    return None if paths is None else {str(path): load_table(path) for path in paths}


def _is_not_made(result: Any) -> bool:
    from mohb_jax.testing.kit import NOT_MADE

    return result.ok is None and result.reason.startswith(f"{NOT_MADE}: ")


def _line(result: Any) -> str:
    words = {True: "ok", False: "FAILED", None: "not applicable"}[result.ok]
    note = "" if result.ok is False else result.reason
    if _is_not_made(result):
        words, _, note = result.reason.partition(": ")
    return f"{result.name:22} {words:15} {result.seconds:6.1f} s  {note}".rstrip()
