"""Names from data in letters that the figures' font lacks."""

import warnings

import pytest
from matplotlib import font_manager
from matplotlib.figure import Figure

from mohb_jax.report.figures.letters import NO_LETTERS, USUAL, give_fonts
from mohb_jax.report.figures.panels import save_figure
from tests.drafts import whole_figures

pytestmark = pytest.mark.fast


def with_title(title: str) -> Figure:
    figure = Figure()
    figure.subplots().set_title(title)
    return figure


def test_letters_that_no_font_has_are_known_and_not_warned_of(tmp_path):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for title, lacking in ("loss [ms] µ²", set()), ("損失 loss", set("損失")), ("שגיאה", set()):
            figure = with_title(title)
            assert give_fonts(figure) <= lacking  # a machine may have a font that this one lacks
            with whole_figures():
                files = save_figure(figure, tmp_path / "figure")
            assert all(path.stat().st_size > 1000 for path in files)


def test_another_installed_font_shows_letters_of_its_own():
    usual = font_manager.get_font(font_manager.findfont(USUAL)).get_charmap()
    fonts = [
        entry.fname for entry in font_manager.fontManager.ttflist if not entry.name.startswith(NO_LETTERS)
    ]
    codes = {code for path in fonts for code in font_manager.get_font(path).get_charmap()} - set(usual)
    letter = next(chr(code) for code in sorted(codes) if chr(code).isprintable() and not chr(code).isspace())
    figure = with_title(letter)
    assert give_fonts(figure) == set()
    first, other = figure.axes[0].title.get_fontfamily()
    assert first == USUAL
    assert ord(letter) in font_manager.get_font(font_manager.findfont(other)).get_charmap()
