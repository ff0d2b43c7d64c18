"""``mohb watch``: a run from its journal, by those who only look."""

import math

import numpy as np
import pytest

from mohb_jax import InputError, Space, Tuner, cli
from mohb_jax.tuner.space import hardware
from mohb_jax.watching.page import page_html
from mohb_jax.watching.text import lines
from mohb_jax.watching.view import look


@pytest.fixture
def journal(tmp_path):
    """Five jobs: (0.5, 4), (0.75, 8) and (0.25, 8) done, one failed, one out."""
    now = iter(range(1000))
    space = Space.grid({"depth": [1, 2, 3, 4], "machine": hardware(["<b>small</b>", "large"])})
    goals = {"accuracy": "max fraction", "cost": "min USD"}
    tuner = Tuner(space, goals, "random", evaluations=8, journal=tmp_path / "run.jsonl", clock=now.__next__)
    for accuracy, cost in ((0.5, 4.0), (0.75, 8.0), (0.25, 8.0)):
        tuner.tell(tuner.ask(), {"accuracy": accuracy, "cost": cost})
    tuner.fail(tuner.ask("gpu"))
    tuner.ask("gpu")
    return tmp_path / "run.jsonl"


def test_what_is_shown(journal):
    first, jobs, front, head, *rows = lines(look(journal), now=70)
    assert first == "random on 8 configurations: accuracy (max fraction), cost (min USD)"
    assert jobs.startswith("5 of 8 jobs handed out in ")
    assert jobs.endswith("s: 3 done, 1 failed, 1 out; the oldest is out for 1.0 min")
    assert front == "Front at epoch 1: 2 of 3 results; hypervolume 0.587 of the box that they span"
    assert head.split() == ["job", "accuracy", "cost", "depth", "machine"]
    assert [row.split()[:3] for row in rows] == [["1", "0.75", "8"], ["0", "0.5", "4"]]


def test_the_hypervolume_grows(journal):
    """In the box from 0 to 1.1: (.5, 0) covers .6 x 1.1, (0, 1) the strip of .5 x .1 beside it."""
    np.testing.assert_allclose(look(journal).growth, np.array([0.66, 0.71, 0.71]) / 1.21)


def test_nothing_of_a_run_is_read_as_markup(journal):
    page = page_html(look(journal), now=70)
    assert "<b>small" not in page
    assert "&lt;b&gt;small&lt;/b&gt;" in page
    assert page.count("<img ") == 2
    assert 'src="http' not in page


def test_a_run_without_results(tmp_path):
    path = tmp_path / "run.jsonl"
    Tuner(Space.grid({"depth": [1, 2]}), {"error": "min"}, "random", journal=path)
    view = look(path)
    assert list(lines(view))[-1] == "No result at epoch 1 yet"
    assert view.latest == view.began
    assert "No job was handed out yet." in page_html(view, math.inf)


def test_looking_leaves_the_journal_alone(journal):
    """A line that somebody is writing is no damage."""
    journal.write_bytes(before := journal.read_bytes()[:-5])
    assert [job.state for job in look(journal).jobs] == ["done"] * 3 + ["failed"]
    assert journal.read_bytes() == before


def test_the_command(journal, capsys):
    page = journal.with_suffix(".html")
    with pytest.raises(SystemExit, match="0"):
        cli.main(["watch", str(journal), "--page", str(page)])
    assert "Front at epoch 1: 2 of 3 results" in capsys.readouterr().out
    assert page.is_file()


def test_what_is_over_is_shown_once(tmp_path, capsys):
    space = Space.grid({"depth": [1, 2]})
    tuner = Tuner(space, {"error": "min"}, "random", evaluations=2, journal=tmp_path / "j")
    for job in (tuner.ask(), tuner.ask()):
        assert not look(tmp_path / "j").is_over
        tuner.tell(job, {"error": 1.0})
    with pytest.raises(SystemExit) as ended:
        cli.main(["watch", str(tmp_path / "j"), "--every", "100"])
    assert ended.value.code == 0
    assert capsys.readouterr().out.count("Front at") == 1


def test_wrong_files(tmp_path):
    path = tmp_path / "run.jsonl"
    with pytest.raises(InputError, match="does not exist: a Tuner with journal= writes one"):
        look(path)
    path.write_text("{}\n")
    with pytest.raises(InputError, match="is no journal of a live run"):
        look(path)


def test_an_edited_line_is_named(journal):
    journal.write_bytes(journal.read_bytes().replace(b'"trial"', b'"trail"', 1))
    with pytest.raises(
        InputError, match=r"line 2: no operation of a live run \(KeyError\('trial'\)\); was it edited"
    ):
        look(journal)
