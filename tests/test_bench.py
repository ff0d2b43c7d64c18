"""The bench compares answers before it times, and its rows say what was promised and what was found."""

import dataclasses
import functools
import json
import types
from typing import Any

import numpy as np
import pytest
from mohb_jax.benchmarks.sources.synthetic import synthetic

from mohb_jax import bench, cli
from mohb_jax.bench import first_contact_rows, kernel_rows, row, run_rows
from mohb_jax.bench.row import MissingPeerError, Row, peer
from mohb_jax.errors import InputError

pytestmark = pytest.mark.fast

FIELDS = ["name", "value", "unit", "reference", "ratio", "hold", "holds"]


@pytest.fixture(autouse=True)
def small_table(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fewer fidelities than the bench uses: each rung takes seconds to compile."""
    monkeypatch.setattr(run_rows, "synthetic", functools.partial(synthetic, fidelities=(1, 3, 9)))


@pytest.fixture
def few_repeats(monkeypatch: pytest.MonkeyPatch) -> None:
    def once(function: Any) -> float:
        function()
        return 2e-3

    for module in (run_rows, kernel_rows):
        monkeypatch.setattr(module, "seconds_of", once)


def assert_contract(rows: list[Row]) -> None:
    for each in rows:
        assert list(each.as_json()) == FIELDS
        assert each.value > 0
        assert each.holds in (True, False)
        assert json.loads(json.dumps(each.as_json(), allow_nan=False)) == each.as_json()


def test_kernels_against_moocore(few_repeats):
    pytest.importorskip("moocore", reason="the extra `peers` is not installed")
    rows = list(kernel_rows.kernels(num_sets=4, size=9))
    assert_contract(rows)
    assert [(each.name, each.reference) for each in rows] == [
        ("pareto-rank", "moocore"),
        ("rank-and-net", "moocore's rank"),
    ]
    assert [each.value for each in rows] == [500.0, 500.0]  # 2 ms for 4 sets, in us
    assert [each.ratio for each in rows] == [1.0, 1.0]
    assert [each.holds for each in rows] == [True, False]  # as fast as moocore, slower than 30 us


@pytest.mark.wide
def test_hyperband_against_gathering_and_its_parts(few_repeats):
    rows = list(run_rows.hyperband(num_lanes=4, num_rows=60))
    assert [each.name for each in rows] == ["hyperband-lanes", "hyperband-gather", "hyperband-parts"]
    assert rows[0].value == 4 / 2e-3
    assert [each.ratio for each in rows[:2]] == [None, 1]
    cuts = 3  # 9 -> 3, 3 -> 1 and 5 -> 1
    assert rows[2].ratio == pytest.approx(1 / (1 + 3 + cuts))
    assert [each.holds for each in rows] == [False, None, True]  # 2,000 lanes/s


def test_another_answer_is_caught_before_anything_is_timed(monkeypatch):
    timed: list[Any] = []
    monkeypatch.setattr(kernel_rows, "seconds_of", timed.append)
    liar = types.SimpleNamespace(pareto_rank=lambda points: np.zeros(len(points), int))
    monkeypatch.setattr(kernel_rows, "peer", lambda name: liar)
    with pytest.raises(AssertionError, match="not equal"):
        list(kernel_rows.kernels(num_sets=4, size=9))
    assert timed == []


def test_a_lane_that_reads_another_cell_is_caught_before_anything_is_timed(monkeypatch):
    timed: list[Any] = []
    monkeypatch.setattr(run_rows, "seconds_of", timed.append)

    def shifted(*arguments: Any, **options: Any) -> Any:
        log = honest(*arguments, **options)
        return log._replace(costs=log.costs + 1e-9)

    honest = run_rows.simulate
    monkeypatch.setattr(run_rows, "simulate", shifted)
    with pytest.raises(AssertionError, match="not equal"):
        list(run_rows.hyperband(num_lanes=4, num_rows=60))
    assert timed == []


def test_a_missing_peer_is_named():
    with pytest.raises(InputError, match="compares with no_such_peer, which is missing: pip install"):
        peer("no_such_peer")


def test_a_bench_of_everything_goes_on_without_a_peer(monkeypatch, capsys):
    def lacks():
        yield peer("no_such_peer")

    def has():
        yield "row"

    monkeypatch.setattr(bench, "BENCHES", {"lacks": lacks, "has": has})
    assert list(bench.run()) == ["row"]
    assert "left out lacks" in capsys.readouterr().err
    with pytest.raises(InputError, match="no_such_peer"):
        list(bench.run(["lacks"]))


def test_an_unknown_name_runs_nothing(monkeypatch):
    ran: list[str] = []
    monkeypatch.setitem(bench.BENCHES, "kernels", lambda: ran.append("kernels") or iter(()))
    with pytest.raises(
        InputError, match=r"bench 'hyperbnd' is unknown .did you mean hyperband.*: accepted are"
    ):
        list(bench.run(["kernels", "hyperbnd"]))
    assert ran == []


def test_seconds_are_a_median_and_leave_out_the_first_call(monkeypatch):
    clock = iter([0.0, 1.0, 10.0, 13.0, 20.0, 22.0])
    monkeypatch.setattr(row, "time", types.SimpleNamespace(perf_counter=lambda: next(clock)))
    calls: list[int] = []
    assert row.seconds_of(lambda: calls.append(1), repeats=3) == 2
    assert len(calls) == 4


ROWS = [
    Row("first", 12345.6, "lanes/s", "none", None, ">= 5,000 lanes/s", True),
    Row("second", 40.0, "us/set", "moocore", 2.5, "<= 1 x moocore", False),
]


def test_the_command_prints_and_writes_the_rows(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(bench, "BENCHES", {"one": lambda: iter(ROWS[:1]), "two": lambda: iter(ROWS[1:])})
    for names, wanted in (((), ROWS), (("two",), ROWS[1:])):
        with pytest.raises(SystemExit) as ended:
            cli.main(["bench", *names, "--json", str(tmp_path / "rows.json")])
        assert ended.value.code == 0
        written = json.loads((tmp_path / "rows.json").read_text())
        assert written == [dataclasses.asdict(each) for each in wanted]
    first, second, again = capsys.readouterr().out.splitlines()
    assert first.split()[:3] == ["first", "1.235e+04", "lanes/s"]
    assert first.endswith(" holds")
    assert "2.5 x moocore" in second
    assert second.endswith("DOES NOT HOLD")
    assert again == second


def test_the_command_compares_with_an_earlier_file(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(bench, "BENCHES", {"one": lambda: iter(ROWS)})
    file = tmp_path / "rows.json"
    before = [{"name": "first", "value": 10_000}, {"name": "third", "value": 1.5}]
    file.write_text(json.dumps(before))
    with pytest.raises(SystemExit) as ended:
        cli.main(["bench", "--against", str(file), "--json", str(file)])
    assert ended.value.code == 0
    first, second, left = capsys.readouterr().out.splitlines()
    assert first.endswith("holds 1.23 x 1e+04 then")
    assert second.endswith("DOES NOT HOLD not in the earlier file")
    assert left == "Not measured now: third"
    assert json.loads(file.read_text()) == [each.as_json() for each in ROWS]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "does not exist: a file of mohb bench --json is needed"),
        ("[{", "is damaged"),
        ("[]", "holds no rows of mohb bench --json"),
        ('{"rows": 1}', "holds no rows"),
        ('[{"name": "first"}]', "holds no rows"),
        ('[{"name": "first", "value": "fast"}]', "holds no rows"),
        ('[{"name": "first", "value": 0}]', "holds no rows"),
    ],
)
def test_an_earlier_file_that_holds_no_rows_stops_before_anything_is_measured(
    monkeypatch, tmp_path, capsys, content, message
):
    monkeypatch.setattr(bench, "BENCHES", {"one": lambda: pytest.fail("measured")})
    file = tmp_path / "rows.json"
    if content is not None:
        file.write_text(content)
    with pytest.raises(SystemExit) as ended:
        cli.main(["bench", "--against", str(file)])
    assert ended.value.code == 2
    told = capsys.readouterr().err
    assert message in told
    assert told.count("\n") == 1


def test_what_a_clone_has_is_asked_for_by_name(monkeypatch, tmp_path):
    monkeypatch.setattr(first_contact_rows, "ROOT", tmp_path)
    for rows in (first_contact_rows.ablation(), first_contact_rows.suite()):
        with pytest.raises(MissingPeerError, match="of a clone of the repository"):
            next(rows)


@pytest.mark.slow
def test_programs_of_a_method_are_counted_from_an_empty_cache(monkeypatch):
    monkeypatch.setattr(first_contact_rows, "METHODS", {"random": None})
    programs, seconds = first_contact_rows.compilation()
    assert (programs.name, seconds.name) == ("random-programs", "random-compile")
    assert programs.value >= 3
    assert seconds.value > 0
    assert seconds.hold == "<= 8 s"
