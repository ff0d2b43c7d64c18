"""Fonts of figures: another installed one for letters that the usual one lacks, for names come from data; and
no more of them in a file than it needs."""

import contextlib
import functools
import warnings
from collections.abc import Iterator
from typing import Any

from fontTools import subset
from matplotlib import font_manager
from matplotlib.figure import Figure
from matplotlib.text import Text

USUAL = "DejaVu Sans"
"""The font of matplotlib."""
NO_LETTERS = "Last Resort"
"""A font that shows a box for every letter."""
TABLES_OF_LAYOUT = ("BASE", "GDEF", "GPOS", "GSUB", "MATH", "kern")


def give_fonts(figure: Figure) -> set[str]:
    """Lets every text of a figure fall back on installed fonts that have its letters.

    Returns:
        The letters that no installed font has.
    """
    texts = [
        text for text in figure.findobj(Text) if isinstance(text, Text) and not text.get_text().isascii()
    ]
    letters = {letter for text in texts for letter in text.get_text() if not letter.isspace()}
    lacking = {letter for letter in letters if not _has(font_manager.findfont(USUAL), letter)}
    fonts = []
    for name, path in _others() if lacking else ():
        found = {letter for letter in lacking if _has(path, letter)}
        if found:
            fonts.append(name)
            lacking -= found
    for text in texts if fonts else ():
        text.set_fontfamily([USUAL, *fonts])
    return lacking


@contextlib.contextmanager
def boxes_in_silence() -> Iterator[None]:
    """Matplotlib warns once for each letter that it cannot show, with the path of its own file."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=r"Glyph \d+ .* missing from font", category=UserWarning)
        warnings.filterwarnings(
            "ignore", message="Matplotlib currently does not support", category=UserWarning
        )
        yield


class _WithoutLayout(subset.Options):
    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.drop_tables += TABLES_OF_LAYOUT


@contextlib.contextmanager
def fonts_without_layout() -> Iterator[None]:
    """Leaves the tables for laying out text out of the fonts that matplotlib puts into PDFs: its text is laid
    out already, and reading them took a third of the time of saving a figure."""
    usual, subset.Options = subset.Options, _WithoutLayout
    try:
        yield
    finally:
        subset.Options = usual


@functools.cache
def _others() -> tuple[tuple[str, str], ...]:
    entries = {entry.name: entry.fname for entry in font_manager.fontManager.ttflist}
    return tuple(sorted((name, path) for name, path in entries.items() if not name.startswith(NO_LETTERS)))


@functools.cache
def _has(path: str, letter: str) -> bool:
    return font_manager.get_font(path).get_char_index(ord(letter)) != 0
