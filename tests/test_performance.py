"""docs/performance.md says what was measured: its tables are made from the files that hold the figures."""

import json

import pytest

from scripts import performance

pytestmark = pytest.mark.fast


def test_the_page_and_the_estimate_are_made_from_the_figures():
    groups = performance.read_figures()
    how = "run `python -m scripts.performance`"
    assert performance.PAGE.read_text("utf-8") == performance.filled(
        performance.PAGE.read_text("utf-8"), groups
    ), how
    assert performance.COMPILE_SECONDS.read_text("utf-8") == performance.compile_seconds(groups), how


def test_every_table_stands_on_the_page():
    found = [match["name"] for match in performance.REGION.finditer(performance.PAGE.read_text("utf-8"))]
    assert sorted(found) == sorted(performance.TABLES)


def test_figures_say_where_they_come_from():
    for name, group in performance.read_figures().items():
        assert set(group) == {"date", "machine", "command", "rows"}, name
        assert all(group[what] for what in group), name


def row(name: str, value: float, **more: object) -> dict[str, object]:
    return {
        "name": name,
        "value": value,
        "unit": "s",
        "reference": "none",
        "ratio": None,
        "hold": "",
        "holds": None,
    } | more


GROUPS = {
    "compilation": {"rows": [row("mo-hb-programs", 9.0), row("mo-hb-compile", 2.25)]},
    "asha": {
        "date": "2026-11-26",
        "machine": "2 cores",
        "command": "mohb bench asha",
        "rows": [row("asha-runs", 12345.6, reference="other", ratio=2.5, hold=">= 3 x", holds=False)],
    },
}


def test_regions_are_filled_and_the_rest_is_kept():
    page = "before\n<!-- table:promises -->\nold\n<!-- end -->\nbetween\n"
    page += "<!-- table:compilation -->\n<!-- end -->\n"
    lines = performance.filled(page, GROUPS).splitlines()
    assert [line for line in lines if not line.startswith(("|", "<"))] == ["before", "between"]
    assert "| asha-runs | 12,346 s | 2.5 x other | >= 3 x | **does not hold** |" in lines
    assert "| `mo-hb` | 9 | 2.2 |" in lines
    assert performance.filled("\n".join(lines), GROUPS) == "\n".join(lines)
    with pytest.raises(KeyError, match="none"):
        performance.filled("<!-- table:none -->\n<!-- end -->", GROUPS)


def test_the_estimate_reads_seconds_by_method():
    assert json.loads(performance.compile_seconds(GROUPS)) == {"mo-hb": 2.2}


def test_measuring_writes_a_file_for_each_group(monkeypatch, tmp_path):
    from mohb_jax import bench
    from mohb_jax.bench.row import Row

    monkeypatch.setattr(
        bench, "BENCHES", {"one": lambda: iter([Row("first", 1.0, "s", "none", None, "", None)])}
    )
    monkeypatch.setattr(performance, "FIGURES", tmp_path)
    performance.measure([])
    found = performance.read_figures()["one"]
    assert found["command"] == "mohb bench one"
    assert found["rows"] == [row("first", 1.0)]
    assert "jax" in found["machine"]
