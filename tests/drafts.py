"""Figures of the suite are drafts: drawing and saving take two thirds of the time of a report."""

import contextlib
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from matplotlib.figure import Figure

_save = Figure.savefig
_folder: Path | None = None


def share_drafts(folder: Path) -> None:
    """Keeps drafts where the workers of one run of the suite find them."""
    global _folder
    _folder = folder / "drafts"
    _folder.mkdir(exist_ok=True)


def save_draft(figure: Figure, path: Path, **options: Any) -> None:
    """The first picture of each name, which stands for all of that name."""
    assert _folder is not None
    own = _folder / Path(path).name
    if not own.exists():
        part = _folder / f"{os.getpid()}-{own.name}"
        _draw(figure, part, **options)
        part.replace(own)
    Path(path).write_bytes(own.read_bytes())


def _draw(figure: Figure, path: Path, **options: Any) -> None:
    """Draws all in few pixels, and begins a PDF only."""
    if Path(path).suffix == ".pdf":
        Path(path).write_bytes(b"%PDF")
    else:
        _save(figure, path, **options | {"dpi": 20})


@contextlib.contextmanager
def _saved_by(save: Callable) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Figure, "savefig", save)
        yield


def every_figure() -> contextlib.AbstractContextManager[None]:
    """For tests that compare figures of one name: inside each is drawn, in few pixels."""
    return _saved_by(_draw)


def whole_figures() -> contextlib.AbstractContextManager[None]:
    """For tests that look into files of figures: inside they are saved as for users."""
    return _saved_by(_save)
