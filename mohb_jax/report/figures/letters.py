"""Letters that the figures' font lacks, for names come from data: another installed font shows them."""

import contextlib
import functools
import warnings
from collections.abc import Iterator

from matplotlib import font_manager
from matplotlib.figure import Figure
from matplotlib.text import Text

USUAL = "DejaVu Sans"
"""The font of matplotlib."""
NO_LETTERS = "Last Resort"
"""A font that shows a box for every letter."""


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


@functools.cache
def _others() -> tuple[tuple[str, str], ...]:
    entries = {entry.name: entry.fname for entry in font_manager.fontManager.ttflist}
    return tuple(sorted((name, path) for name, path in entries.items() if not name.startswith(NO_LETTERS)))


@functools.cache
def _has(path: str, letter: str) -> bool:
    return font_manager.get_font(path).get_char_index(ord(letter)) != 0
