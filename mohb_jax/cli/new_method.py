"""``mohb new-method``: the folder of a method of one's own."""

import shlex
from pathlib import Path
from typing import Annotated

import typer

from mohb_jax.cli.app import app
from mohb_jax.errors import InputError


@app.command("new-method")
def new_method(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Name of the method, such as my-method.")],
    out: Annotated[Path | None, typer.Option(metavar="DIR", help="Folder to write; default: NAME.")] = None,
) -> None:
    """Write a folder with a method of your own that works as it is: the method, its tests and a study."""
    from mohb_jax.methods import SHIPPED
    from mohb_jax.scaffold import write_method

    if name in SHIPPED:  # an installed package may not publish it
        raise InputError(f"name {name!r} is that of a method of this package: give another")
    folder = out or Path(name)
    for path in write_method(name, folder):
        print(path)
    print(f"\nNext: cd {shlex.quote(str(folder))} && mohb run study.yaml (README.md says what else)")
