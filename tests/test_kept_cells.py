"""Curves that a study folder keeps: the same numbers, and only while it holds the same."""

import dataclasses

import numpy as np
import pytest

from mohb_jax.analysis import analysis
from mohb_jax.analysis.analysis import Analysis
from mohb_jax.analysis.results import load_study
from tests.fake_study import make_table, make_unit, write_folder

pytestmark = pytest.mark.fast


def content(cells):
    """All that cells hold, as what compares equal."""
    fields = [{f.name: getattr(cell, f.name) for f in dataclasses.fields(cell)} for cell in cells]
    flat = [own | {f"final {name}": value for name, value in own["final"].items()} for own in fields]
    return [
        {name: np.asarray(value).tolist() for name, value in own.items() if name != "final"} for own in flat
    ]


@pytest.fixture
def folder(tmp_path):
    table = make_table(tasks=("a", "b"))
    write_folder(tmp_path, [table], [make_unit(table, name, 3, seed=ord(name)) for name in "mn"])
    return tmp_path


def computed_again(folder, monkeypatch):
    """Whether an analysis of the folder computes anything, and what it shows."""
    calls, compute = [], analysis.cells_of
    monkeypatch.setattr(analysis, "cells_of", lambda *args: calls.append(args) or compute(*args))
    cells = [each.cells for each in Analysis(load_study(folder)).side_by_side]
    monkeypatch.setattr(analysis, "cells_of", compute)
    return bool(calls), [content(own) for own in cells]


def test_cells_are_computed_once(folder, monkeypatch):
    again, first = computed_again(folder, monkeypatch)
    assert again
    assert computed_again(folder, monkeypatch) == (False, first)
    files = [path.relative_to(folder / "cells").parts for path in (folder / "cells").rglob("*.*")]
    assert {credit for credit, _ in files} <= {"full", "logged", "passed"}


@pytest.mark.parametrize("what", ["unit", "damage"])
def test_cells_are_computed_again_where_a_file_is_another(folder, monkeypatch, what):
    _, first = computed_again(folder, monkeypatch)
    if what == "unit":
        path = next(iter((folder / "units").glob("*.parquet")))
        path.write_bytes(path.read_bytes())  # another time of change
    else:
        for path in (folder / "cells").rglob("*.parquet"):
            path.write_bytes(path.read_bytes()[:-40])
    assert computed_again(folder, monkeypatch) == (True, first)
    assert computed_again(folder, monkeypatch) == (False, first)
