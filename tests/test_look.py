"""How pages begin and figures look: what they say is so, whichever way numbers go, and nothing is cut off."""

import itertools
import re

import matplotlib
import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.lines import Line2D

from mohb_jax.analysis.analysis import Analysis
from mohb_jax.analysis.effects import Effect
from mohb_jax.report.figures import answer, effects
from mohb_jax.report.figures.panels import STYLE, Panels, small_multiples, text_width
from mohb_jax.report.figures.progress import _apart
from mohb_jax.report.page import page_html
from mohb_jax.report.plot_data import plot_data
from mohb_jax.report.sections.why import why
from mohb_jax.report.style import KNOWN, crowded, look, looks_of, objective_pairs
from tests.fake_study import make_study, make_table, make_unit

pytestmark = pytest.mark.fast


def study_of(evaluations):
    """Random search under some names, which goes the further the more it evaluates."""
    table = make_table(num_objectives=2)
    units = [make_unit(table, name, 1, num_slots=number, seed=7) for name, number in evaluations.items()]
    return make_study([table], units, reference="random")


def said(evaluations):
    study = study_of(evaluations)
    return re.sub("<.*?>", "", why(Analysis(study)))


def test_the_first_sentence_is_true_whichever_way_the_numbers_go():
    ahead = said({"random": 5, "mo-hb": 90, "sh-emoa": 5})
    assert re.match(r"Why .* mo-hb reaches 0\.\d+ \(random: 0\.\d+\) of the true", ahead)
    assert "it is ahead of random, and no other kind of method is ahead of it." in ahead
    better, worse = (float(number) for number in re.findall(r"0\.\d+", ahead)[:2])
    assert better > worse
    assert "it is behind random, and no other" in said({"random": 90, "mo-hb": 5, "sh-emoa": 5})
    assert said({"random": 20, "mo-hb": 20}).endswith("it is not told apart from random.")


def test_the_best_of_the_family_answers_and_who_is_ahead_of_it_is_named():
    text = said({"random": 5, "mo-hb": 5, "mo-hb-hvc": 25, "sh-emoa": 150})
    assert "mo-hb-hvc reaches" in text
    assert "ahead of random; ahead of it is sh-emoa." in text


def test_other_studies_begin_with_their_best_method():
    assert "has the highest mean hypervolume" in said({"a<b": 9, "random": 1})
    assert "a<b" not in why(Analysis(study_of({"a<b": 9, "random": 1})))  # names are data
    assert said({"random": 1}) == ""


def test_a_page_begins_with_the_sentence_and_a_picture(tmp_path):
    analysis = Analysis(study_of({"random": 1, "mo-hb": 9}))
    (tmp_path / "figures").mkdir()
    (tmp_path / "figures" / "answer.png").write_bytes(b"png")
    page = page_html(analysis, [], tmp_path)
    body = page[page.index("<h1>") :]
    first, picture, second = body.index("<p"), body.index("<img"), body.index("<p", body.index("</p>"))
    assert body[first:].startswith('<p class="first">Why multi-objective Hyperband?')
    assert first < picture < second


def drawn(figure):
    with matplotlib.rc_context(STYLE):
        FigureCanvasAgg(figure).draw()
    return figure


def test_the_first_picture_joins_nothing_and_cuts_nothing_off():
    analysis = Analysis(study_of({"random": 1, "mo-hb": 9, "W" * 50: 3}))
    ((_, figure),) = answer.draw(analysis)
    (axes,) = drawn(figure).axes
    heights = [set(line.get_ydata()) for line in axes.lines]
    assert heights
    assert all(len(own) == 1 for own in heights)  # no line leads from one method to another
    for text in axes.get_yticklabels():
        assert text.get_window_extent().x0 >= 0


@pytest.mark.parametrize("name", ["W" * 60, "i" * 60, "mo-hb"])
@pytest.mark.parametrize("count", [3, 20])
@pytest.mark.parametrize("num_panels", [1, 7])
def test_legends_and_titles_never_leave_the_page(name, count, num_panels):
    handles = [Line2D([], [], label=f"{name[:-2]}{place:02}") for place in range(count)]
    panels = Panels(name * 3, "", lambda axes, _: None, handles, lambda _: "x", "y")
    with matplotlib.rc_context(STYLE):
        figure = drawn(small_multiples(panels, {f"{place}{name}": [] for place in range(num_panels)}))
    page, (legend,) = figure.bbox, figure.legends
    for part in (legend, *figure.texts):
        box = part.get_window_extent()
        assert box.x0 >= page.x0
        assert box.x1 <= page.x1
        assert box.y1 <= page.y1
    titles = [axes.title.get_window_extent() for axes in figure.axes if axes.get_visible()]
    for one, other in itertools.pairwise(titles):
        assert one.x1 < other.x0 or other.y1 < one.y0


def test_text_is_measured():
    assert text_width("W" * 20, 8) > 3 * text_width("i" * 20, 8)


def test_a_method_looks_the_same_in_every_study():
    names = ["mo-hb", "random", "own", "sh-emoa"]
    found = [
        looks_of(study_of(dict.fromkeys(some, 1))) for some in (names, names[::-1], names[:2], names[2:])
    ]
    for name in names:
        assert len({looks[name] for looks in found if name in looks}) == 1
    assert len({look(place).colour for place in range(8)}) == 8
    assert found[0]["random"] == KNOWN.index("random")


def test_a_variant_is_known_by_its_base_and_settings_and_no_two_methods_look_alike():
    table = make_table(num_objectives=2)
    units = [make_unit(table, name, 1) for name in ("mine", "yours", "mo-hb")]
    for unit, eta in zip(units, (2, 4, 3), strict=True):
        unit.spec.update(method_name="mo-hb", settings={"eta": eta})
    first = looks_of(make_study([table], units))
    assert len(set(first.values())) == 3
    units[0].spec["method"] = "renamed"
    assert looks_of(make_study([table], units[:1]))["renamed"] == first["mine"]
    many = {f"m{place}": 1 for place in range(20)}
    assert len(set(looks_of(study_of(many)).values())) == 20


@pytest.mark.parametrize(("levels", "joined"), [(("2", "4.5", "8"), True), (("net", "hvc", "single"), False)])
def test_only_numbers_are_joined(levels, joined):
    found = [Effect(("s",), (level,), 0.5, (0.4, 0.6), 0.0, None, 1) for level in levels]
    figure = matplotlib.figure.Figure()
    axes = figure.add_subplot()
    effects._draw_effects(axes, found, (0.0, 1.0))
    (line,) = [line for line in axes.lines if len(line.get_xdata()) == 3 and line.get_marker() == "o"]
    assert (line.get_linestyle() not in ("", "None")) == joined


def test_axes_are_logarithmic_where_points_crowd_at_the_bottom():
    assert crowded(np.array([0.02, 0.021, 0.025, 0.03, 0.8]))
    assert not crowded(np.linspace(0.1, 0.9, 9))
    assert not crowded(np.array([0.0, 0.01, 0.01, 0.01, 0.9]))  # zero has no logarithm


def test_numbers_of_the_stretched_axis_do_not_touch():
    ticks = [1.0, 0.7, 0.5, 0.3, 0.2, 0.1, 0.05, 0.02, 0.01, 0.005, 0.002, 0.001]
    kept = _apart(ticks, 1.02, 0.0008)
    assert kept[0] == 1.0
    assert len(kept) > 6
    assert (-np.diff(np.log(kept)) >= 0.09 * np.log(1.02 / 0.0008)).all()


def test_any_pair_of_objectives_can_be_shown():
    assert objective_pairs(3) == [(1, 0), (2, 0), (2, 1)]
    table = make_table()
    study = make_study([table], [make_unit(table, "random", 1)])
    assert len(plot_data(Analysis(study))["benchmarks"][0]["pairs"]) == 3
