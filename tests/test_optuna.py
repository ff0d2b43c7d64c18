"""Trials of Optuna end early on several objectives, in every storage and from several processes."""

import math
import runpy
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from mohb_jax.bench import pruning_rows
from mohb_jax.errors import InputError
from tests import reference
from tests.reference_asha import newcomer_continues, share
from tests.test_docs import ROOT, steps

optuna = pytest.importorskip("optuna", reason="the extra `optuna` is not installed")
from mohb_jax.optuna import HalvingPruner  # noqa: E402  (it needs Optuna)

pytestmark = [
    pytest.mark.fast,
    pytest.mark.filterwarnings("ignore::optuna.exceptions.ExperimentalWarning"),
]
DIRECTIONS = ["minimize", "maximize"]
WEIGHTS = (1.0, 2.0, 0.5)
INSTANT = optuna.samplers.RandomSampler(seed=0)


@pytest.fixture(autouse=True)
def quiet():
    before = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    yield
    optuna.logging.set_verbosity(before)


def study_of(*directions, **settings):
    return optuna.create_study(directions=directions, **{"sampler": INSTANT, **settings})


def arrivals(pruner, study, values, step=1):
    """Which of some trials end at their first report."""
    return [pruner.report(study.ask(), value, step) for value in values]


def by_volume(costs):
    keep = max(1, share(len(costs), 3))
    first = reference.hypervolume_cut(costs, min(keep, len(costs))).tolist()
    return first + [row for row in range(len(costs)) if row not in first]


ORDERS = {
    "net": lambda costs: reference.epsilon_net_order(reference.min_max_scaled(costs)),
    "crowding": reference.crowding_order,
    "hvc": by_volume,
    "scalar": lambda costs: np.argsort(
        reference.min_max_scaled(costs) @ np.array(WEIGHTS[: costs.shape[1]]), kind="stable"
    ),
    "single": lambda costs: np.argsort(costs[:, 0], kind="stable"),
}


@pytest.mark.parametrize("m", [2, 3])
@pytest.mark.parametrize("rule", ORDERS)
def test_decisions_are_those_of_asynchronous_halving(rule, m):
    rng = np.random.default_rng(m)
    costs = rng.integers(6, size=(24, m)).astype(float)
    costs[rng.random((24, m)) < 0.05] = np.nan
    weights = WEIGHTS[:m] if rule == "scalar" else None
    pruner = HalvingPruner((1, 3), rule=rule, weights=weights)
    ended = arrivals(pruner, study_of(*["minimize"] * m), costs)
    for last, ends in enumerate(ended):
        among_finite = np.where(
            np.isfinite(costs[: last + 1]).all(axis=1, keepdims=True), costs[: last + 1], np.inf
        )
        assert ends != newcomer_continues(among_finite, ORDERS[rule], 3)[1], last
    assert 5 < sum(ended) < 23


@pytest.mark.parametrize(
    ("directions", "sign"), [(("minimize", "minimize"), 1), (("minimize", "maximize"), -1)]
)
def test_the_example_of_four_arrivals(directions, sign):
    pruner, study = HalvingPruner(rungs=(1, 3), eta=3), study_of(*directions)
    told = [(a, sign * b) for a, b in [(2.0, 2.0), (1.0, 1.0), (3.0, 3.0), (0.0, 5.0)]]
    assert arrivals(pruner, study, told) == [False, False, True, False]


def test_a_report_that_skips_rungs_counts_at_the_highest():
    pruner, study = HalvingPruner((1, 3, 9)), study_of(*DIRECTIONS)
    trial = study.ask()
    for step in (0, 5, 6, 9, 12):
        assert not pruner.report(trial, (1.0, 1.0), step)
    assert trial.user_attrs == {"mohb:rung:3": {"step": 5, "costs": [1.0, -1.0]}}


def test_failures_come_last_and_count():
    pruner, study = HalvingPruner((1, 3), eta=2), study_of(*DIRECTIONS)
    told = [(math.nan, 1.0), (1.0, math.inf), (1.0, 1.0), (2.0, 0.5)]
    assert arrivals(pruner, study, told) == [False, True, False, False]
    assert study.trials[0].user_attrs["mohb:rung:1"] == {"step": 1, "costs": None}


def test_eta_is_taken_as_it_is_written():
    """33 / 2.2 is 15, but below it in floating point; the 33rd is 15th here."""
    pruner, study = HalvingPruner((1, 3), eta=2.2), study_of("minimize")
    assert arrivals(pruner, study, [*range(32), 13.5])[-1] is False
    assert math.floor(33 / 2.2) == 14


def test_random_is_the_same_in_every_process():
    told = [(0.0, 0.0)] * 30
    first, again, other = (
        arrivals(HalvingPruner((1, 3), rule="random", seed=seed), study_of(*DIRECTIONS), told)
        for seed in (0, 0, 1)
    )
    assert first == again != other
    assert not first[0]
    assert 10 < sum(first) < 28


def test_drawn_weights_hang_on_the_seed():
    told = np.random.default_rng(0).random((20, 2))
    ended = [
        arrivals(HalvingPruner((1, 3), rule="scalar", seed=seed), study_of(*DIRECTIONS), told)
        for seed in (0, 0, 1, 2)
    ]
    assert ended[0] == ended[1]
    assert ended[1:] != [ended[0]] * 3


def test_the_last_answer_is_repeated():
    pruner, study = HalvingPruner((1, 3)), study_of(*DIRECTIONS)
    assert arrivals(pruner, study, [(1.0, 1.0)]) == [False]
    trial = study.ask()
    assert not pruner.should_prune(trial)
    assert pruner.report(trial, (2.0, 0.0), 1)
    assert pruner.should_prune(trial)
    assert not pruner.report(trial, (2.0, 0.0), 2)
    assert not pruner.should_prune(trial)


def test_objectives_that_are_known_at_the_end_are_left_out():
    pruner, study = HalvingPruner((1, 3), objectives=[2, 0]), study_of("minimize", "minimize", "maximize")
    assert arrivals(pruner, study, [(1.0, 1.0), (0.5, 2.0), (2.0, 0.5)]) == [False, True, False]
    assert study.trials[1].user_attrs["mohb:rung:1"]["costs"] == [-0.5, 2.0]


def test_trials_without_a_study_never_end():
    pruner, study = HalvingPruner((1, 3)), study_of(*DIRECTIONS)
    arrivals(pruner, study, [(1.0, 1.0)])
    for trial in (optuna.trial.FixedTrial({}), study.trials[0]):
        assert not pruner.report(trial, (9.0, 0.0), 1)
        assert not pruner.should_prune(trial)


@pytest.mark.parametrize("direction", ["minimize", "maximize"])
def test_with_one_objective_it_is_a_pruner_like_others(direction):
    told = np.random.default_rng(0).random(30)
    told[4] = np.nan
    pruner = HalvingPruner((1, 3, 9))

    def objective(trial):
        for step in range(2, 10, 2):  # the rungs are met by the first report after them
            trial.report(told[trial.number], step)
            if trial.should_prune():
                raise optuna.TrialPruned()
        return told[trial.number]

    study = optuna.create_study(direction=direction, sampler=INSTANT, pruner=pruner)
    study.optimize(objective, n_trials=30)
    assert all(not trial.user_attrs for trial in study.trials)
    other = study_of(direction)
    for trial in study.trials:
        twin, ends = other.ask(), False
        for step in range(2, 10, 2):
            ends = ends or pruner.report(twin, told[trial.number], step)
        assert (trial.state == optuna.trial.TrialState.PRUNED) == ends
    pruned = sum(trial.state == optuna.trial.TrialState.PRUNED for trial in study.trials)
    assert 15 < pruned < 30


WORKER = """
import sys, numpy, optuna, sqlalchemy
from mohb_jax.optuna import HalvingPruner
optuna.logging.set_verbosity(optuna.logging.WARNING)
storage, number, jobs = sys.argv[1:]
if storage.endswith(".log"):
    storage = optuna.storages.JournalStorage(optuna.storages.journal.JournalFileBackend(storage))
@sqlalchemy.event.listens_for(sqlalchemy.Engine, "connect")
def without_waiting_for_the_disk(connection, record):
    connection.execute("pragma synchronous = off")
pruner, told = HalvingPruner((1, 3, 9)), numpy.random.default_rng(0).random((40, 2))
def objective(trial):
    for step in range(1, 10):
        if pruner.report(trial, told[trial.number] + 1 / step, step):
            raise optuna.TrialPruned()
    return tuple(told[trial.number])
study = optuna.create_study(study_name="s", storage=storage, directions=["minimize"] * 2,
                            load_if_exists=True, sampler=optuna.samplers.RandomSampler())
study.optimize(objective, n_trials=int(number), n_jobs=int(jobs))
assert "jax" not in sys.modules
print([trial.state.name for trial in study.trials])
"""


def worker(storage, number, jobs=1):
    """A process of its own, in which JAX could not start."""
    command = [sys.executable, "-c", WORKER, storage, str(number), str(jobs)]
    environment = {"JAX_PLATFORMS": "none_such", "PATH": "", "HOME": str(Path.home())}
    return subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment
    )


def finished(process):
    out, error = process.communicate(timeout=120)
    assert process.returncode == 0, error
    return out


def loaded(storage):
    if storage.endswith(".log"):
        storage = optuna.storages.JournalStorage(optuna.storages.journal.JournalFileBackend(storage))
    return optuna.load_study(study_name="s", storage=storage, sampler=INSTANT)


@pytest.mark.parametrize("name", ["study.log", pytest.param("study.db", marks=pytest.mark.wide)])
def test_a_process_goes_on_where_another_ended(name, tmp_path):
    storage = str(tmp_path / name) if name.endswith("log") else f"sqlite:///{tmp_path / name}"
    finished(worker(storage, 2))
    states = finished(worker(storage, 2))
    told = np.random.default_rng(0).random((40, 2))
    pruner, study = HalvingPruner((1, 3, 9)), study_of("minimize", "minimize")
    for number in range(4):
        trial = study.ask()
        ended = any(pruner.report(trial, told[number] + 1 / step, step) for step in range(1, 10))
        study.tell(
            trial, None if ended else told[number].tolist(), state=optuna.trial.TrialState(2 if ended else 1)
        )
    assert states.strip() == str([trial.state.name for trial in study.trials])
    assert [trial.user_attrs for trial in loaded(storage).trials] == [
        trial.user_attrs for trial in study.trials
    ]


def test_two_processes_of_two_threads_share_a_study(tmp_path):
    storage = str(tmp_path / "study.log")
    for process in [worker(storage, 15, 2), worker(storage, 15, 2)]:
        finished(process)
    study = loaded(storage)
    assert [trial.number for trial in study.trials] == list(range(30))
    assert all(trial.state.is_finished() and trial.state.name != "FAIL" for trial in study.trials)
    at = {rung: {t.number for t in study.trials if f"mohb:rung:{rung}" in t.user_attrs} for rung in (1, 3)}
    assert at[1] == set(range(30))
    assert at[3] < at[1]
    for rung, those in at.items():
        kept = at[3] if rung == 1 else {t.number for t in study.trials if t.state.name == "COMPLETE"}
        assert 0 < len(kept) < len(those)


@pytest.mark.parametrize(
    "name", ["RandomSampler", "TPESampler", "NSGAIISampler", "NSGAIIISampler", "QMCSampler"]
)
def test_samplers_of_optuna_go_on_among_pruned_trials(name):
    pruner = HalvingPruner((1, 3, 9))

    def objective(trial):
        x, y = trial.suggest_float("x", 0, 1), trial.suggest_float("y", 0, 1)
        for step in range(1, 10):
            if pruner.report(trial, (x + y / step, x - y), step):
                raise optuna.TrialPruned()
        return x + y / 9, x - y

    study = study_of(*DIRECTIONS, sampler=getattr(optuna.samplers, name)(seed=0))
    study.optimize(objective, n_trials=60, n_jobs=4 if name == "RandomSampler" else 1)
    states = [trial.state.name for trial in study.trials]
    assert states.count("PRUNED") + states.count("COMPLETE") == 60
    assert 20 < states.count("PRUNED") < 60
    assert {trial.state.name for trial in study.best_trials} == {"COMPLETE"}


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"rungs": (3, 1)}, r"rungs is \(3, 1\): accepted are two or more ascending steps"),
        ({"rungs": (1,)}, r"rungs is \(1,\): accepted are two or more"),
        ({"rungs": (1, 2.5)}, r"a rung is 2.5: accepted is a whole number from 0 on"),
        ({"eta": 1}, r"eta is 1: accepted is a number above 1"),
        ({"eta": math.nan}, r"eta is nan: accepted is a number above 1"),
        ({"rule": "crowd"}, r"rule is 'crowd' \(did you mean crowding\?\): accepted are single, net"),
        ({"scale": "log"}, r"scale is 'log': accepted are minmax, rank, none"),
        ({"seed_objective": -1}, r"seed_objective is -1: accepted is a whole number"),
        ({"weights": (1, -1)}, r"weights is \[1, -1\]: one number >= 0 per objective"),
        ({"weights": (0, 0)}, r"not all 0"),
        ({"objectives": ()}, r"objectives is \[\]: accepted are places of directions, each once"),
        ({"seed": True}, r"seed is True: accepted is a whole number"),
    ],
)
def test_settings_that_are_not_accepted(settings, message):
    with pytest.raises(InputError, match=message) as caught:
        HalvingPruner(**{"rungs": (1, 3, 9), **settings})
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("settings", "values", "step", "message"),
    [
        ({}, (1.0,), 1, r"report was told 1 values: 2 objectives need one each"),
        ({}, (1.0, "low"), 1, r"report was told \[1.0, 'low'\]: accepted are numbers"),
        ({}, (1.0, 1.0), 1.5, r"step is 1.5: accepted is a whole number from 0 on"),
        ({}, (1.0, 1.0), -1, r"step is -1: accepted is a whole number"),
        ({"seed_objective": 2}, (1.0, 1.0), 1, r"seed_objective is 2: accepted are 0 to 1"),
        ({"weights": (1.0,)}, (1.0, 1.0), 1, r"weights has 1 values: 2 objectives need one each"),
        ({"objectives": (2,)}, (1.0,), 1, r"objectives is \[2\]: accepted are 0 to 1, places of"),
    ],
)
def test_reports_that_are_not_accepted(settings, values, step, message):
    study = study_of(*DIRECTIONS)
    with pytest.raises(InputError, match=message) as caught:
        HalvingPruner((1, 3, 9), **settings).report(study.ask(), values, step)
    assert "\n" not in str(caught.value)
    assert study.trials[0].user_attrs == {}


def test_the_hypervolume_has_a_limit():
    with pytest.raises(InputError, match="rule 'hvc' takes at most 4 objectives, there are 5"):
        arrivals(HalvingPruner((1, 3), rule="hvc"), study_of(*["minimize"] * 5), [(1.0,) * 5])


def test_attributes_of_others_are_told_apart():
    study = study_of(*DIRECTIONS)
    study.ask().set_user_attr("mohb:rung:1", 7)
    with pytest.raises(InputError, match="'mohb:rung:1' of trial 0 is 7, which no pruner wrote: give this"):
        arrivals(HalvingPruner((1, 3)), study, [(1.0, 1.0)])
    study = study_of(*DIRECTIONS)
    arrivals(HalvingPruner((1, 3), objectives=(0,)), study, [(1.0,)])
    with pytest.raises(InputError, match="trials were told another number before"):
        arrivals(HalvingPruner((1, 3)), study, [(1.0, 1.0)])
    assert arrivals(HalvingPruner((1, 3), key="mine"), study, [(1.0, 1.0)]) == [False]


def test_what_hides_its_study_is_no_trial():
    with pytest.raises(InputError, match="a object has no study: accepted is the trial that"):
        HalvingPruner((1, 3)).report(object(), (1.0, 1.0), 1)


def test_optuna_does_not_ask_it_of_several_objectives():
    pruner = HalvingPruner((1, 3))
    study = study_of(*DIRECTIONS, pruner=pruner)
    study.ask()
    with pytest.raises(InputError, match="the study has 2 directions: call report"):
        pruner.prune(study, study.trials[0])


def test_a_missing_library_is_named():
    script = "import sys; sys.modules['optuna'] = None; import mohb_jax.optuna"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60)
    assert done.stderr.splitlines()[-1].endswith(
        "mohb_jax.optuna needs Optuna: pip install 'mohb-jax[optuna]'"
    )


def test_the_example_of_the_page_runs(tmp_path, monkeypatch, capsys):
    file, command = steps((ROOT / "docs" / "optuna.md").read_text(encoding="utf-8"))
    assert (file.file, command.text) == ("tune.py", "python tune.py")
    (tmp_path / "tune.py").write_text(file.text, encoding="utf-8")
    runpy.run_path(str(tmp_path / "tune.py"), run_name="__main__")
    first, *front = capsys.readouterr().out.splitlines()
    assert first.endswith("of 200 trials ended early")
    assert front


def test_the_bench_has_a_row_for_each_storage(monkeypatch):
    storages = pruning_rows._storages
    monkeypatch.setattr(pruning_rows, "_storages", lambda *args: list(storages(*args))[:2])
    rows = list(pruning_rows.pruning(num_trials=20))
    assert [row.name for row in rows] == ["prune-20-memory", "prune-20-journal"]
    assert all(row.value > 0 for row in rows)
    assert [row.hold for row in rows] == ["<= 5 ms", ""]
