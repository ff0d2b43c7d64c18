"""Live tuning: what is handed out, what becomes of results, and what a journal keeps."""

import concurrent.futures
import dataclasses
import json
import math
import shutil
import subprocess
import sys
import threading
import time
from pathlib import Path

import hypothesis
import hypothesis.strategies as st
import numpy as np
import pytest

from mohb_jax import InputError, Space, Tuner, rungs
from mohb_jax.drivers import repetition
from mohb_jax.drivers.verdicts import Verdict
from mohb_jax.tuner.journal import FileJournal
from mohb_jax.tuner.space import hardware, integer, log, uniform
from scripts.record_golden import small_table
from tests.test_live_runs import tuner_of

TABLE = small_table()
"""All runs here are on its rows and objectives, so that they share programs."""
NAMES = [objective.name for objective in TABLE.objectives]
COSTS = TABLE.task_cells(0)[0]


def values_of(*costs):
    return {o.name: o.to_value(float(cost)) for o, cost in zip(TABLE.objectives, costs, strict=True)}


def tell(tuner, job, **more):
    """The table's own result of a job."""
    return tuner.tell(job, values_of(*COSTS[job.row, job.level].tolist()), **more)


def told(tuner, count):
    """So many results, one after the other."""
    for _ in range(count):
        tell(tuner, tuner.ask())
    return tuner


# What is handed out


def test_results_are_judged_as_they_arrive():
    """Of 1, 2, 3 and 4 results, one may go on; the last is on the front, and first in the first objective."""
    tuner = tuner_of("mo-asha", fidelities=(1, 3), evaluations=20)
    for worker, costs in (("0", (2, 2, 0)), ("1", (1, 1, 0))):
        assert tuner.tell(tuner.ask(worker), values_of(*costs)) is Verdict.GO_ON
    assert tuner.tell(tuner.ask("2"), values_of(3, 3, 0)) is Verdict.STOP
    assert tuner.tell(tuner.ask("3"), values_of(0, 5, 0)) is Verdict.GO_ON
    again = tuner.ask("1")
    assert (again.trial, again.from_fidelity, again.to_fidelity) == (1, 1, 3)
    assert tuner.ask("2").from_fidelity == 0
    assert tuner.tell(again, values_of(1, 1, 0)) is Verdict.STOP


def test_a_rung_waits_for_its_last_result():
    """Hyperband with R = 9: rungs of 9, 3 and 1."""
    tuner = tuner_of("mo-hb", fidelities=(1, 3, 9), mode="barrier")
    first = [tuner.ask() for _ in range(9)]
    assert all((job.from_fidelity, job.to_fidelity) == (0, 1) for job in first)
    assert tuner.ask() is None
    assert not tuner.finished
    assert {tell(tuner, job, checkpoint=f"{job.trial}") for job in first} == {Verdict.PAUSE}
    second = [tuner.ask() for _ in range(3)]
    assert [(job.from_fidelity, job.to_fidelity) for job in second] == [(1, 3)] * 3
    assert [job.checkpoint for job in second] == [f"{job.trial}" for job in second]
    assert tuner.ask() is None
    for job in second:
        tell(tuner, job)
    assert tell(tuner, tuner.ask()) is Verdict.STOP
    assert tuner.ask().from_fidelity == 0


def test_checkpoints_that_nobody_needs_are_named():
    tuner = tuner_of("mo-hb", fidelities=(1, 3, 9), mode="barrier")
    first = [tuner.ask() for _ in range(9)]
    for job in first[:-1]:
        tell(tuner, job, checkpoint=f"{job.trial}-1")
    assert tuner.droppable() == []
    tell(tuner, first[-1], checkpoint="8-1")
    second = [tuner.ask() for _ in range(3)]
    on = {job.checkpoint for job in second}
    assert set(tuner.droppable()) == {f"{trial}-1" for trial in range(9)} - on
    tell(tuner, second[0], checkpoint="second")
    assert on - set(tuner.droppable()) == {job.checkpoint for job in second[1:]}


def test_reporting_is_telling_and_asking():
    asked, reported = (tuner_of("mo-asha", evaluations=40) for _ in range(2))
    told(asked, 40)
    while (job := reported.ask("gpu")) is not None:
        for fidelity in range(1, 28):
            level = int(np.searchsorted(TABLE.fidelities, fidelity))
            verdict = reported.report(job, fidelity, values_of(*COSTS[job.row, level].tolist()))
            if verdict.ends:
                break
    names = ["row", "fidelity", "verdict", *(f"objective:{name}" for name in NAMES)]
    assert asked.results().select(names).equals(reported.results().select(names))


def test_senses_and_units_are_turned():
    space = Space.from_table(TABLE)
    names = {"accuracy": "max fraction", "cost": "min USD", "speed": "max"}
    tuner = Tuner(space, names, "random", workers=3, evaluations=60, seed=7)
    tuner.tell(tuner.ask(), {"accuracy": 0.75, "cost": 2, "speed": 3.0})
    np.testing.assert_array_equal(tuner.log().costs[0], [[0.25, 2, -3]])
    assert tuner.front().select(f"objective:{name}" for name in names).rows() == [(0.75, 2, 3)]


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_a_failure_is_tried_again_and_then_the_worst(bad):
    tuner = tuner_of("mo-hb", retries=1)
    job = tuner.ask()
    assert tuner.fail(job, "out of memory") is Verdict.GO_ON
    again = tuner.ask()
    assert (again.id, again.attempt, again.row) == (job.id, 2, job.row)
    with pytest.raises(InputError, match="attempt 1 of job 0 failed or was released"):
        tell(tuner, job)
    assert tuner.tell(again, values_of(*COSTS[0, 0, :2], bad)) is Verdict.PAUSE
    assert tuner.results()["state"].to_list() == ["failed"]
    assert np.isinf(tuner.log().costs).all()


def test_a_lost_worker_is_replaced():
    tuner = tuner_of("mo-asha")
    job = tuner.ask("lost")
    assert tuner.pending() == [job]
    tuner.release(job)
    again = tuner.ask("other")
    assert (again.id, again.attempt) == (job.id, 2)
    assert tell(tuner, again) is Verdict.GO_ON
    assert [own.id for own in tuner.pending()] == [job.id]
    tuner.release(again)
    assert tuner.ask("third").from_fidelity == 1


@hypothesis.settings(max_examples=12)
@hypothesis.given(
    st.sampled_from(["mo-hb", "mo-asha", "mo-asha-promote", "random"]),
    st.lists(
        st.tuples(st.sampled_from(["ask", "ask", "tell", "tell", "fail", "release"]), st.integers(0, 5))
    ),
)
def test_no_order_of_operations_breaks_the_run(tmp_path_factory, method, operations):
    """Nothing is trained twice, budgets hold, and a journal makes the same state."""
    path = tmp_path_factory.mktemp("runs") / "journal.jsonl"
    tuner = tuner_of(method, evaluations=25, retries=1, journal=path)
    for operation, number in operations * 3:
        pending = [job for job in tuner.pending() if job.id in tuner.out]
        if operation == "ask":
            tuner.ask(f"{number}")
        elif pending and operation == "tell":
            tell(tuner, pending[number % len(pending)])
        elif pending:
            getattr(tuner, operation)(pending[number % len(pending)])
    frame = tuner.results()
    assert len(frame) <= 25
    assert not len(frame) or not frame.select("row", "fidelity").is_duplicated().any()
    assert len(frame.select("trial", "row").unique()) == len(
        set(frame.get_column("trial")) if len(frame) else ()
    )
    assert Tuner.open(path).results().equals(frame)


# Journals


@pytest.fixture
def journal(tmp_path):
    return told(tuner_of("mo-hb", journal=tmp_path / "run.jsonl"), 14)._path


def test_a_journal_goes_on_where_it_was(journal):
    tuner, fresh = Tuner.open(journal), told(tuner_of("mo-hb"), 14)
    for _ in range(10):
        ours, theirs = tuner.ask(), fresh.ask()
        assert dataclasses.replace(ours, started=0) == dataclasses.replace(theirs, started=0)
        tell(tuner, ours), tell(fresh, theirs)


@pytest.mark.parametrize("operation", ["tell", "ask"])
def test_a_crash_between_any_two_bytes_loses_nothing(journal, operation):
    text = journal.read_bytes()
    if operation == "ask":
        text = text[: text[:-1].rfind(b"\n") + 1]
    last = text[:-1].rfind(b"\n") + 1
    before = len(text[:last].splitlines())
    for size in range(last + 1, len(text)):
        journal.write_bytes(text[:size])
        own = FileJournal(journal)
        with own.locked(), pytest.warns(UserWarning, match=f"line {before + 1}: cut short"):
            assert len(own.new_lines()) == before
        assert journal.read_bytes() == text[:last]
    tuner = Tuner.open(journal)
    state = tuner.results()["state"].to_list()
    if operation == "tell":
        assert state == ["done"] * 13 + ["out"]
        tell(tuner, tuner.pending()[0])
        assert journal.read_bytes().count(b"\n") == before + 1
    else:
        assert state == ["done"] * 13
        assert tuner.ask().id == 13


def test_many_at_one_journal(journal):
    """Each has a state of its own, and a lock keeps them apart."""
    done = []

    def work(name):
        tuner = Tuner.open(journal)
        while not tuner.finished:
            job = tuner.ask(name)
            if job is not None:
                done.append(job.id)
                tell(tuner, job)

    threads = [threading.Thread(target=work, args=[f"{n}"]) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(done) == list(range(14, 60))
    frame = Tuner.open(journal).results()
    assert not frame.select("row", "fidelity").is_duplicated().any()


WRITER = """
import sys
from pathlib import Path
from mohb_jax.tuner.journal import FileJournal
journal = FileJournal(Path(sys.argv[1]))
while True:
    with journal.locked():
        journal.new_lines()
        journal.append([{"op": "ask", "id": journal.num_lines, "worker": "w" * 500}])
    print(journal.num_lines, flush=True)
"""


def test_a_process_that_is_killed_loses_nothing_that_it_was_told(tmp_path):
    """Where it is at that moment is chance."""
    path = tmp_path / "run.jsonl"
    for wait in range(4):
        with subprocess.Popen([sys.executable, "-c", WRITER, str(path)], stdout=subprocess.PIPE) as process:
            acknowledged = [process.stdout.readline() for _ in range(5)][-1]
            time.sleep(0.0007 * wait)
            process.kill()
            acknowledged = ([acknowledged, *process.stdout])[-1]
        own = FileJournal(path)
        with own.locked():
            lines = own.new_lines()
        assert len(lines) - int(acknowledged) in (0, 1)
        assert [line.content["id"] for line in lines] == list(range(len(lines)))


KILLED = """
import sys
from mohb_jax import Tuner
tuner = Tuner.open(sys.argv[1])
for job in tuner.pending():
    tuner.release(job)
while (job := tuner.ask()) is not None:
    print("asked", job.id, flush=True)
    tuner.tell(job, {o.name: float(job.row) for o in tuner.objectives})
    print("told", job.id, flush=True)
"""


@pytest.mark.slow
def test_a_killed_run_goes_on_with_what_it_was_told(tmp_path):
    path = tmp_path / "run.jsonl"
    tuner_of("mo-asha", journal=path)
    said = []
    for wait in (0, 2):
        with subprocess.Popen([sys.executable, "-c", KILLED, str(path)], stdout=subprocess.PIPE) as process:
            said += [process.stdout.readline() for _ in range(9)]
            time.sleep(0.0007 * wait)
            process.kill()
            said += process.stdout
        told = {int(line.split()[1]) for line in said if line.startswith(b"told")}
        states = dict(Tuner.open(path).results().select("job", "state").rows())
        assert {job for job, state in states.items() if state == "done"} >= told
        assert len(told) == len([line for line in said if line.startswith(b"told")])
    subprocess.run([sys.executable, "-c", KILLED, str(path)], check=True, stdout=subprocess.DEVNULL)
    frame = Tuner.open(path).results()
    assert frame["state"].to_list() == ["done"] * 60
    assert not frame.select("row", "fidelity").is_duplicated().any()


PROCESS = """
import sys, time
from pathlib import Path
from mohb_jax import Tuner
journal, own = sys.argv[1:]
tuner = Tuner.open(journal)
def tell(job):
    tuner.tell(job, {name: float(job.row) for name in [o.name for o in tuner.objectives]})
job = tuner.ask(own)
Path(journal + own).touch()
while not all(Path(f"{journal}{number}").exists() for number in range(4)):
    time.sleep(0.01)
tell(job)
while not tuner.finished:
    job = tuner.ask(own)
    if job is not None:
        tell(job)
"""
"""All of them have a job before anybody tells."""


@pytest.mark.slow
def test_four_processes_share_a_run(tmp_path):
    path = tmp_path / "run.jsonl"
    tuner_of("mo-asha", journal=path, evaluations=150, workers=4)
    running = [subprocess.Popen([sys.executable, "-c", PROCESS, str(path), f"{n}"]) for n in range(4)]
    assert [process.wait(timeout=300) for process in running] == [0] * 4
    frame = Tuner.open(path).results()
    assert frame["state"].to_list() == ["done"] * 150
    assert not frame.select("row", "fidelity").is_duplicated().any()
    assert frame["worker"].n_unique() == 4


def edited(journal: Path, line: int, **changes) -> Path:
    lines = journal.read_text().splitlines()
    lines[line - 1] = json.dumps({**json.loads(lines[line - 1]), **changes})
    journal.write_text("\n".join(lines) + "\n")
    return journal


@pytest.mark.parametrize(
    ("line", "changes", "message"),
    [
        (1, {"mohb": 2}, "has format 2: this version reads 1"),
        (1, {"space": "0" * 64}, "is of another space: 000000000000 there"),
        (1, {"workers": 0}, "workers is 0"),
        (2, {"row": 5}, "line 2: .*was handed out by mohb-jax .*begin a new journal"),
        (3, {"op": "tel"}, "line 3: operation 'tel' is unknown"),
        (3, {"id": 99}, "line 3: job 99 is unknown: 1 jobs were handed out"),
        (3, {"costs": ["x"]}, "line 3: no operation of a live run"),
        (5, {"id": 0}, "line 5: job 0 was told at line 3"),
    ],
)
def test_an_edited_journal_is_refused_with_its_line(journal, line, changes, message):
    with pytest.raises(InputError, match=message):
        Tuner.open(edited(journal, line, **changes))


def test_a_lock_may_be_a_file_alone(tmp_path):
    tuner = tuner_of("random", journal=tmp_path / "run.jsonl", soft_lock=True)
    told(tuner, 3)
    assert len(Tuner.open(tmp_path / "run.jsonl", soft_lock=True).results()) == 3
    assert not (tmp_path / "run.jsonl.lock").exists()


def test_a_broken_line_in_the_middle_is_refused(journal):
    journal.write_bytes(journal.read_bytes().replace(b'"op"', b'"op', 1))
    with pytest.raises(InputError, match="line 2: not a JSON object"):
        Tuner.open(journal)


def test_a_journal_of_another_run_is_refused(journal):
    with pytest.raises(InputError, match="is of another run: its seed is 7, not 8"):
        tuner_of("mo-hb", journal=journal, seed=8)
    assert tuner_of("mo-hb", journal=journal).results().height == 14
    with pytest.raises(InputError, match=r"does not exist: Tuner\(\.\.\., journal="):
        Tuner.open(journal.with_name("none.jsonl"))


def test_a_full_disk_loses_nothing(journal, monkeypatch):
    tuner, before = Tuner.open(journal), journal.read_bytes()

    def full(descriptor):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr("mohb_jax.tuner.journal.os.fsync", full)
        with pytest.raises(
            InputError, match="cannot be written: No space left on device; nothing was recorded"
        ):
            tuner.ask()
    assert journal.read_bytes() == before
    assert tuner.ask().id == 14


MANY = [
    pytest.param(name, marks=marks) for name, marks in (("mo-asha", ()), ("mo-rea", pytest.mark.wide))
] + [pytest.param(name, marks=pytest.mark.slow) for name in ("mo-asha-promote", "nsga2", "bulk-and-cut")]
"""Methods whose recorded decisions are made many at a time."""


def with_trouble(path, method):
    """A run in which jobs fail, for good or not, workers are lost, and some ask in vain."""
    tuner = tuner_of(method, evaluations=60, retries=1, journal=path)
    for number in range(120):
        worker = f"{number * 5 % 3}"
        mine = [job for job in tuner.pending() if job.id in tuner.out and job.worker == worker]
        if not mine:
            tuner.ask(worker)
        elif number % 11 == 0:
            tuner.fail(mine[0], "out of memory")
        elif number % 13 == 0:
            tuner.release(mine[0])
        else:
            tell(tuner, mine[0])
    return tuner.results()


@pytest.mark.parametrize("method", MANY)
def test_decisions_made_many_at_a_time_are_those_made_one_by_one(tmp_path, monkeypatch, method):
    """And the run goes on alike: whoever opens a long journal waits for few programs."""
    path = tmp_path / "run.jsonl"
    frame = with_trouble(path, method)
    copy = shutil.copytree(tmp_path, tmp_path.with_name(f"{tmp_path.name}-copy")) / "run.jsonl"
    monkeypatch.setattr(repetition, "CHUNK", 50)
    monkeypatch.setattr(repetition, "FEWEST", 1)
    opened = Tuner.open(path)
    assert opened.results().equals(frame)
    monkeypatch.setattr(repetition, "FEWEST", 1000)
    plain = Tuner.open(copy)
    for tuner in (opened, plain):
        for number in tuner.out:
            tuner.tell(number, values_of(1, 2, 3))
        tuner.ask("1")
    names = ["job", "trial", "row", "fidelity", "attempt", "state", "verdict"]
    assert opened.results().select(names).equals(plain.results().select(names))


@pytest.mark.parametrize("change", [{"row": 5}, {"worker": "3"}, {"op": "tel"}])
def test_an_edited_line_is_found_among_many(tmp_path, monkeypatch, change):
    path = tmp_path / "run.jsonl"
    with_trouble(path, "mo-asha")
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    going_on = [number for number, line in enumerate(lines, 1) if line.get("level") and line["op"] == "ask"]
    edited(path, going_on[-1], **change)
    messages = []
    for fewest in (1000, 1):
        monkeypatch.setattr(repetition, "FEWEST", fewest)
        with pytest.raises(InputError, match=rf"line {going_on[-1]}: ") as found:
            Tuner.open(path)
        messages.append(f"{found.value}")
    assert messages[0] == messages[1]


# Errors and answers


def test_more_jobs_than_the_method_remembers():
    tuner = tuner_of("mo-rea")
    for _ in range(3):
        tuner.ask()
    with pytest.raises(InputError, match="3 jobs are out: this method remembers those of workers=3"):
        tuner.ask()


def test_a_journal_that_somebody_else_holds(tmp_path, monkeypatch):
    monkeypatch.setattr("mohb_jax.tuner.journal.LOCK_SECONDS", 0.1)
    one, other = (FileJournal(tmp_path / "run.jsonl") for _ in range(2))
    with one.locked(), pytest.raises(InputError, match=r"is locked by another process for 0\.1 s"):
        other.locked().__enter__()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"method": "mo-ash"}, "method 'mo-ash' is unknown"),
        ({"etha": 3}, "setting 'etha' is unknown"),
        ({"fidelities": (3, 1)}, "fidelities must be positive and increasing"),
        ({"objectives": {}}, "objectives is empty"),
        ({"objectives": {"error": "least"}}, "sense of objective 'error'"),
        ({"method": "sh-emoa"}, "evaluations or seconds is needed"),
        ({"method": "mo-hb+prior"}, "it learns from other tasks, the table has one task"),
        ({"method": "ms-ehvi", "known": ["error"]}, "give its values with Space.with_known"),
        ({"seconds": -1}, "seconds is -1"),
        ({"retries": -1}, "retries is -1"),
        ({"method": "pymoo-nsga2"}, "is of another library: it cannot be asked and told live"),
        ({"method": "meta-knn"}, "it learns from other tasks, the table has one task"),
    ],
)
def test_wrong_arguments(options, message):
    arguments = {"space": Space.from_table(TABLE), "objectives": {"error": "min"}, "method": "mo-asha"}
    with pytest.raises(InputError, match=message):
        Tuner(**{**arguments, "fidelities": (1, 3), **options})


def test_wrong_answers():
    tuner = tuner_of("mo-rea")
    job = tuner.ask()
    right = values_of(*COSTS[0, 0])
    for values, message in (
        ({**right, "erro": 1}, "objective 'erro' is unknown"),
        ({NAMES[0]: 1.0}, f"objective '{NAMES[1]}' is None"),
        ({**right, NAMES[0]: "low"}, "is 'low': a number is needed"),
        (3, "is needed, by name"),
    ):
        with pytest.raises(InputError, match=message):
            tuner.tell(job, values)
    with pytest.raises(InputError, match="job 5 is unknown: 1 jobs were handed out"):
        tuner.tell(5, right)
    tuner.ask(), tuner.ask()
    with pytest.raises(InputError, match="3 jobs are out"):
        tuner.ask()
    tell(tuner, job)
    with pytest.raises(InputError, match="job 0 was told"):
        tell(tuner, job)


def test_wrong_reports():
    tuner = tuner_of("mo-asha", fidelities=(3, 9))
    job, right = tuner.ask(), values_of(*COSTS[0, 0])
    assert tuner.report(job, 2, right) is Verdict.GO_ON
    for fidelity in (1, 2, 4):
        with pytest.raises(
            InputError, match=f"reports at epoch {fidelity}: the next report is above 2 and at most 3"
        ):
            tuner.report(job, fidelity, right)


def test_what_came_out():
    tuner = told(tuner_of("mo-hb", clock=iter(range(1000)).__next__), 30)
    frame, front = tuner.results(), tuner.front()
    assert set(front["job"]) <= set(frame.filter(frame["fidelity"] == 27)["job"])
    costs = TABLE.to_values(frame.select(f"objective:{name}" for name in NAMES).to_numpy())  # its own inverse
    best = {i for i, own in enumerate(costs) if not any((o <= own).all() and (o < own).any() for o in costs)}
    assert set(tuner.front(credit="logged")["job"]) == set(frame[sorted(best)]["job"]) != set(front["job"])
    with pytest.raises(InputError, match="passed"):
        tuner.front(credit="passed")
    table = tuner.table("mine")
    cell = frame.row(0, named=True)
    costs = table.costs[0, cell["row"], table.fidelities.index(cell["fidelity"])]
    assert dict(zip(NAMES, table.to_values(costs), strict=True)) == {
        name: cell[f"objective:{name}"] for name in NAMES
    }
    assert table.mask.sum() == 30
    assert (np.diff(table.runtime, axis=2) >= 0).all()


def test_run_fails_what_raises():
    def train(job):
        if job.id == 2:
            raise MemoryError("too large")
        return values_of(*COSTS[job.row, job.level])

    alone, pooled = tuner_of("random", evaluations=6), tuner_of("random", evaluations=6)
    alone.run(train)
    with concurrent.futures.ThreadPoolExecutor(3) as pool:
        pooled.run(train, pool)
    for tuner in (alone, pooled):
        frame = tuner.results()
        assert frame["state"].to_list() == ["done", "done", "failed", "done", "done", "done"]
        assert frame["note"][2] == "MemoryError('too large')"


def test_a_worker_needs_no_jax():
    code = "from mohb_jax import Job; import sys; assert 'jax' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


# Spaces


def test_a_sampled_space():
    domains = {
        "lr": log(1e-5, 0.1),
        "width": integer(16, 1024, log=True),
        "act": ["relu", "gelu"],
        "drop": uniform(0, 0.6),
        "machine": hardware(["small", "large"]),
    }
    space = Space.sample(domains, 100)
    assert len(space) == 256
    kinds = [column.kind for column in space.columns]
    assert kinds == ["log", "log", "categorical", "continuous", "categorical"]
    assert [space.config(row)["machine"] for row in range(4)] == ["small", "large"] * 2
    lr, width, act, drop, _ = space.configs.T
    assert ((lr >= 1e-5) & (lr <= 0.1)).all()
    assert ((width == np.round(width)) & (width >= 16) & (width <= 1024)).all()
    assert (drop < 0.6).all()
    assert (np.log10(lr).mean(), act.mean()) == pytest.approx((-3, 0.5), abs=0.05)
    for design in ("lhs", "random"):
        assert len(Space.sample({"x": uniform(0, 1)}, 10, design)) == 10
    assert len(Space.sample({"x": integer(1, 4)}, 100)) == 4
    assert Space.sample(domains, 8, seed=1).fingerprint != Space.sample(domains, 8).fingerprint


def test_grids_and_rungs():
    space = Space.grid({"lr": [0.1, 0.2], "act": ["relu", "gelu"], "machine": hardware(["a", "b", "c"])})
    assert len(space) == 12
    assert space.config(4) == {"lr": 0.1, "act": "gelu", "machine": "b"}
    assert rungs(1, 81) == (1, 3, 9, 27, 81)
    assert rungs(1, 100) == (1, 4, 11, 33, 100)
    assert rungs(0.5, 4, 2) == (0.5, 1, 2, 4)


def test_configurations_have_rows():
    space = Space.grid({"lr": [0.1, 0.2, 0.4], "act": ["relu", "gelu"]})
    assert all(space.row(space.config(row)) == space.nearest(space.config(row)) == row for row in range(6))
    sampled = Space.sample({"lr": log(1e-4, 0.1)}, 64)
    near = sampled.nearest({"lr": 0.01})
    assert abs(math.log10(sampled.config(near)["lr"]) + 2) < 0.05
    with pytest.raises(InputError, match=r"no row is {'lr': 0.01}: Space.nearest gives"):
        sampled.row({"lr": 0.01})
    with pytest.raises(InputError, match="column 'act': 'tanh' is no level; accepted: relu, gelu"):
        space.row({"lr": 0.1, "act": "tanh"})


def test_a_config_space():
    library = pytest.importorskip("ConfigSpace")
    own = library.ConfigurationSpace({"lr": (1e-4, 0.1), "n": (1, 5), "act": ["relu", "gelu"]})
    space = Space.from_config_space(own, 16)
    assert {column.name for column in space.columns} == {"lr", "n", "act"}


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Space.sample({}), "a space without columns"),
        (lambda: Space.sample({"x": 3}), "column 'x' is 3: accepted are a list of values"),
        (lambda: Space.sample({"x": [1, 2]}, 4, "grid"), "unknown design of a space 'grid'"),
        (lambda: Space.sample({"x": [1, 2]}, 0), "n is 0"),
        (lambda: Space.grid({"x": uniform(0, 1)}), "column 'x': a grid needs a list of values"),
        (lambda: Space.grid({c: list(range(20)) for c in "abcde"}), "has 3,200,000 rows"),
        (lambda: log(0, 1), "increasing numbers above 0 are needed"),
        (lambda: integer(0.5, 2), "whole numbers are needed"),
        (lambda: rungs(3, 1), "positive ends and a factor above 1 are needed"),
        (
            lambda: Space.from_table(TABLE).with_known(cost=[1.0]),
            "known 'cost': one finite number for each of the 120 rows",
        ),
    ],
)
def test_wrong_spaces(make, message):
    with pytest.raises(InputError, match=message):
        make()
