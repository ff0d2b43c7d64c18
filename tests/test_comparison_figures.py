"""Figures across tasks: what they show, what they leave out and why, and that nothing is cut off."""

import dataclasses
import itertools
import sys
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from mohb_jax.analysis import analysis
from mohb_jax.analysis.analysis import Analysis
from mohb_jax.analysis.attainment import attained, attainment_surfaces
from mohb_jax.analysis.comparison import comparison
from mohb_jax.analysis.curves import study_cells
from mohb_jax.analysis.effects import effects, unit_settings
from mohb_jax.analysis.lanes import collect
from mohb_jax.analysis.ranks import Ranking, ranking
from mohb_jax.analysis.results import FinishedStudy
from mohb_jax.report.figures import attainment, profiles, ranks
from mohb_jax.report.figures import effects as figures_of_effects
from mohb_jax.report.figures.attainment import attainment_figure, heights
from mohb_jax.report.figures.effects import effect_figure
from mohb_jax.report.figures.files import Drawn, write_figures
from mohb_jax.report.figures.panels import STYLE
from mohb_jax.report.figures.profiles import profile_figure
from mohb_jax.report.figures.ranks import rank_diagram
from tests.drafts import whole_figures
from tests.fake_study import make_study, make_table, make_unit

LONG = "a-method-with-a-name-that-is-far-too-long-for-any-figure"


def small_study(num_tasks: int = 6, names: tuple[str, ...] = ("x", "y", "z")) -> FinishedStudy:
    table = make_table(tasks=tuple(f"t{i}" for i in range(num_tasks)), num_objectives=2)
    units = [make_unit(table, name, 1 + 2 * i, num_seeds=4, seed=i) for i, name in enumerate(names)]
    return make_study([table], units)


ACROSS = (ranks.draw, profiles.draw, attainment.draw, figures_of_effects.draw)


def write(study: FinishedStudy, out: Path, settings: dict[str, dict[str, Any]] | None = None) -> Drawn:
    whole = Analysis(study)
    if settings is not None:
        whole.settings = settings
    return write_figures(whole, out, ACROSS)


def ranked(ranks: list[float], difference: float | None, names: list[str] | None = None) -> Ranking:
    names = names or [f"m{i}" for i in range(len(ranks))]
    p = None if difference is None else 0.01
    return Ranking(tuple(names), tuple(ranks), (), 9, 0, p, p, difference, "" if p else "too few")


def colours(found: Ranking) -> dict[str, int]:
    return {method: index for index, method in enumerate(found.methods)}


def texts(figure: Figure) -> list[str]:
    found = [text.get_text() for text in figure.texts]
    return found + [text.get_text() for axes in figure.axes for text in axes.texts]


def assert_inside(figure: Figure) -> None:
    """No text leaves the picture, and no legend its panel."""
    canvas = FigureCanvasAgg(figure)
    canvas.draw()  # places the labels of the axes
    renderer = canvas.get_renderer()
    for axes in figure.axes:
        legend, panel = axes.get_legend(), axes.get_window_extent(renderer)
        if legend is not None:
            box = legend.get_window_extent(renderer)
            assert panel.x0 <= box.x0 < box.x1 <= panel.x1, box
            assert panel.y0 <= box.y0 < box.y1 <= panel.y1, box
        labels = [*axes.texts, *axes.get_xticklabels(), axes.title, axes.xaxis.label, axes.yaxis.label]
        for text in [*labels, *figure.texts]:
            box = text.get_window_extent(renderer)
            if text.get_text() and text.get_visible():
                where = (text.get_text(), box, figure.bbox)
                assert box.x0 >= 0 and box.y0 >= 0, where  # noqa: PT018
                assert box.x1 <= figure.bbox.x1 and box.y1 <= figure.bbox.y1, where  # noqa: PT018


# --- all files -------------------------------------------------------------------------------------------


@pytest.mark.wide
def test_figures_are_written_and_equal_studies_give_equal_files(tmp_path):
    swept = [(2, "a"), (3, "a"), (2, "b")]
    settings = {f"x eta={eta} mode={mode}": {"eta": eta, "mode": mode} for eta, mode in swept}
    by_hand = Analysis(small_study())
    by_hand.settings = dict(zip("xyz", settings.values(), strict=True))
    assert not by_hand.effects  # what was given under a name of its own is part of what a method is
    with whole_figures():
        drawn = write(small_study(names=tuple(settings)), tmp_path / "one", settings=settings)
        again = write(small_study(names=tuple(settings)), tmp_path / "two", settings=settings)
    stems = ["ranks", "ranks-over-time", "profiles", "toy-attained-error-cost", "main-effects"]
    assert [path.name for path in drawn.files] == [stem + end for stem in stems for end in (".pdf", ".png")]
    reason = "no two settings were tried at all pairs of levels while the others stayed equal"
    assert drawn.left_out == {"interactions": reason}
    for first, second in zip(drawn.files, again.files, strict=True):
        assert first.read_bytes() == second.read_bytes()


def test_one_task_has_no_figures_across_tasks(tmp_path):
    drawn = write(small_study(num_tasks=1), tmp_path)
    assert [path.name for path in drawn.files] == [
        "toy-attained-error-cost.pdf",
        "toy-attained-error-cost.png",
    ]
    assert set(drawn.left_out) == {"ranks", "ranks-over-time", "profiles", "main-effects", "interactions"}
    assert drawn.left_out["main-effects"] == "no setting was swept"
    assert "there are 3 methods on 1 tasks" in drawn.left_out["ranks"]


def test_without_moocore_only_its_figures_are_left_out(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "moocore", None)
    drawn = write(small_study(), tmp_path)
    assert len(drawn.files) == 6
    assert "pip install 'mohb-jax[report]'" in drawn.left_out["toy-attained-error-cost"]


def test_settings_are_those_of_the_units(tmp_path):
    """Two base methods at two settings each, and one that was not swept: its block is incomplete for eta."""
    swept = [("x", 2), ("x", 3), ("y", 2), ("y", 3), ("z", 3)]
    study = small_study(names=tuple(f"{name} eta={eta}" for name, eta in swept))
    for unit, (method, eta) in zip(study.units, swept, strict=True):
        unit.spec.update(method_name=method, settings={"eta": eta, "workers": 1})
    assert unit_settings(study.units)["x eta=3"] == {"method": "x", "eta": 3}  # workers did not vary
    drawn = write(study, tmp_path)
    assert "main-effects.pdf" in [path.name for path in drawn.files]
    assert "interactions" in drawn.left_out


def test_methods_without_swept_settings_do_not_enter_sensitivity(tmp_path, monkeypatch):
    """Otherwise a baseline would be averaged with the variant whose settings are all at their defaults."""
    seen = []
    monkeypatch.setattr(analysis, "effects", lambda *args: seen.append(args) or effects(*args))
    study = small_study(names=("x", "y", "z eta=2"))
    write(study, tmp_path, settings={"z eta=2": {"eta": 2}, "x": {}})
    variants, responses, order = seen[0]
    data = comparison(study_cells(study), study.methods)
    assert (variants, order) == ([{"eta": 2}], 1)
    np.testing.assert_array_equal(responses, data.values.mean(axis=0)[[2]])


# --- average ranks ---------------------------------------------------------------------------------------


def test_bars_join_what_is_not_told_apart():
    found = ranked([3.0, 1.0, 4.5, 2.0], 1.6)
    (axes,) = rank_diagram(found, colours(found)).axes
    bars = [line for line in axes.lines if line.get_linewidth() == 2.5]
    assert [tuple(bar.get_xdata()) for bar in bars] == [(1.0, 2.0), (2.0, 3.0), (3.0, 4.5)]
    (ruler,) = [line for line in axes.lines if line.get_marker() == "|"]
    assert tuple(ruler.get_xdata()) == (1.0, 2.6)
    shown = {text.get_text().strip() for text in axes.texts}
    assert {"m1  1.00", "m3  2.00", "3.00  m0", "4.50  m2", "critical difference 1.6"} == shown


def test_without_a_test_there_are_no_bars_but_the_reason():
    found = ranked([2.0, 1.0], None)
    figure = rank_diagram(found, colours(found))
    assert not [line for line in figure.axes[0].lines if line.get_linewidth() == 2.5]
    assert any("No test: too few." in text for text in texts(figure))


def test_friedman_that_finds_nothing_is_said():
    found = dataclasses.replace(
        ranked([2.0, 1.0, 3.0], 9.0), friedman_p=0.4, num_left_out=2, without=("x", "y")
    )
    shown = " ".join(" ".join(texts(rank_diagram(found, colours(found)))).split())  # lines are wrapped
    assert "Without results on every benchmark, so not here: x, y." in shown
    assert "does not find that methods differ at 5 % (p = 0.4)" in shown
    assert "2 left out" in shown
    assert "longer than the axis" in shown


@pytest.mark.parametrize("num_methods", [2, 3, 9, 30])
def test_names_of_the_rank_diagram_stay_inside(num_methods):
    generator = np.random.default_rng(num_methods)
    names = [f"{i}-{LONG}" for i in range(num_methods)]
    found = ranked(generator.uniform(1, num_methods, num_methods).tolist(), num_methods / 3, names)
    with matplotlib.rc_context(STYLE):
        assert_inside(rank_diagram(found, colours(found)))


# --- other figures ---------------------------------------------------------------------------------------


def test_profiles_show_the_shares():
    study = small_study()
    data = comparison(study_cells(study), study.methods)
    (axes,) = profile_figure(data, {name: i for i, name in enumerate(data.methods)}).axes
    best = data.means.argmax(axis=1)
    for index, line in enumerate(axes.lines):
        assert line.get_ydata()[0] == pytest.approx(100 * np.mean(best == index))
        assert line.get_ydata()[-1] == 100
    assert ranking(data).num_tasks == 6


def test_heights_match_the_definition():
    surface = np.array([[1.0, 9.0], [3.0, 4.0], [5.0, 1.0]])
    grid = np.array([0.0, 1.0, 2.0, 3.0, 4.0, 7.0])
    expected = [min([y for x, y in surface.tolist() if x <= at], default=np.inf) for at in grid]
    np.testing.assert_array_equal(heights(surface, grid), expected)
    assert heights(np.zeros((0, 2)), grid).tolist() == [np.inf] * 6


@pytest.mark.parametrize(("num_tasks", "num_methods"), [(2, 3), (2, 4), (1, 4), (1, 3)])
def test_attainment_panels(num_tasks, num_methods):
    """Many methods would hide each other's bands: then one panel each, or no bands."""
    study = small_study(num_tasks, tuple("abcd"[:num_methods]))
    table = study.tables["toy"]
    found = attained(table, collect(table, study.units, study.methods), study.methods, 1, 0)
    figure = attainment_figure("toy", table, found, {name: i for i, name in enumerate(study.methods)}, 1, 0)
    titles = [axes.get_title(loc="left") or axes.get_title() for axes in figure.axes if axes.get_visible()]
    assert titles == (["a", "b", "c", "d"] if (num_tasks, num_methods) == (1, 4) else list(table.tasks))
    bands = [len(axes.collections) for axes in figure.axes if axes.get_visible()]
    assert bands == {(2, 3): [3, 3], (2, 4): [0, 0], (1, 4): [1] * 4, (1, 3): [3]}[num_tasks, num_methods]
    median = attainment_surfaces(found[table.tasks[0], "a"])[1]
    drawn = figure.axes[0].lines[1]  # after the true front
    for cost, error in median:
        at = np.flatnonzero(drawn.get_xdata() == cost)[0]
        assert drawn.get_ydata()[at] == error


def test_effect_figures_show_levels_and_stay_inside():
    settings = [{"eta": eta, "order": order} for eta, order in itertools.product((2, 3, 4), (LONG, "b", "c"))]
    study = small_study(names=tuple(f"v{i}" for i in range(9)))
    data = comparison(study_cells(study), study.methods)
    for order, num_panels in ((1, 2), (2, 1)):
        found = effects(settings, data.values.mean(axis=0), order)
        with matplotlib.rc_context(STYLE):
            figure = effect_figure(found, data)
            assert_inside(figure)
        panels = [axes for axes in figure.axes if axes.get_visible()]
        assert len(panels) == num_panels
        assert [label.get_text() for label in panels[0].get_xticklabels()] == ["2", "3", "4"]
        shown = [y for bars in panels[0].containers for y in bars.lines[0].get_ydata()]
        expected = [item.mean for item in found if item.settings == found[0].settings]
        np.testing.assert_allclose(sorted(shown), sorted(expected))


@pytest.mark.parametrize("scale", [0.0, 1e-6, 3e-3, 0.1])
def test_small_effects_keep_their_axis_label(scale):
    data = comparison(study_cells(study := small_study()), study.methods)
    responses = 0.5 + scale * np.array([[0.0, 0.3], [0.6, 0.8], [0.7, 1.0]])
    with matplotlib.rc_context(STYLE):
        assert_inside(effect_figure(effects([{"eta": eta} for eta in (2, 3, 4)], responses), data))
