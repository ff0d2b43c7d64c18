"""``mohb watch``: a live run so far."""

import time
from pathlib import Path
from typing import Annotated

import typer

from mohb_jax.cli.app import app


@app.command()
def watch(
    journal: Annotated[Path, typer.Argument(metavar="JOURNAL", help="Journal of a Tuner.")],
    every: Annotated[
        float | None,
        typer.Option(metavar="SECONDS", min=0.1, help="Show it again and again until all is done or Ctrl-C."),
    ] = None,
    page: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write the run as a page that needs no network, too.")
    ] = None,
) -> None:
    """Show jobs, front and hypervolume of a live run so far; the run goes on undisturbed."""
    from mohb_jax.watching.page import write_page
    from mohb_jax.watching.text import lines
    from mohb_jax.watching.view import look

    while True:
        view = look(journal)
        print("\n".join(lines(view)), flush=True)
        if page is not None:
            write_page(view, page)
            print(f"Page: {page}")
        if every is None or view.is_over:
            return
        time.sleep(every)
        print()
