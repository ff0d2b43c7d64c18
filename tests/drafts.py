"""Figures of the suite are drafts: saving takes two thirds of the time of a report."""

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from matplotlib.figure import Figure

_save = Figure.savefig


def save_draft(figure: Figure, path: Path, **options: Any) -> None:
    """Draws all in few pixels, and begins a PDF only."""
    if Path(path).suffix == ".pdf":
        Path(path).write_bytes(b"%PDF")
    else:
        _save(figure, path, **options | {"dpi": 20})


@contextlib.contextmanager
def whole_figures() -> Iterator[None]:
    """For tests that look into files of figures: inside they are saved as for users."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Figure, "savefig", _save)
        yield
