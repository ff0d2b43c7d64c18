"""Compares the asynchronous method with Syne Tune 0.16: first the decisions, then the speed.

    python scripts/compare_syne_tune.py --peer-python /path/to/python

The peer runs in a process of its own, under any Python that has the extra ``peers``; this one by default.

1. Scripted results go through Syne Tune's MO-ASHA scheduler and through the defective rule as
   tests/reference_asha.py writes it down: decisions have to agree event by event. Beside it stands how often
   the correct rule decides otherwise.
2. Runs per second of Syne Tune's simulator: 200 trials, 4 workers, two objectives, a synthetic table of 2,000
   rows and 52 fidelities, with all trials run to their end. Its defaults are kept, apart from files that are
   not written and printing that is thrown away.
"""

import argparse
import contextlib
import datetime
import importlib
import io
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from mohb_jax.benchmarks.table import Table

# The peer's process has NumPy and Syne Tune, not this project: what is ours is imported where it is used.

ROOT = Path(__file__).resolve().parents[1]
NUM_EVENTS = 120
NUM_TRIALS = 200
NUM_WORKERS = 4
NUM_ROWS = 2000
MAX_EPOCHS = 52
ETA = 3


class Stream(NamedTuple):
    """Results in the order in which they arrive, and what the rules decide on each."""

    trial: np.ndarray
    epoch: np.ndarray
    costs: np.ndarray
    defective: np.ndarray
    """True where the defective rule lets the trial go on; the stream follows this rule."""
    correct: np.ndarray
    """What the correct rule says of the same newcomer, among the same results."""


class Setting(NamedTuple):
    """One stream: what its costs look like, and the schedule."""

    name: str
    scales: tuple[float, ...]
    """Largest value of each objective."""
    levels: int | None
    """Number of distinct values, so that there are ties; None for continuous ones."""
    eta: int
    grace: int
    max_epochs: int


SETTINGS = (
    Setting("two objectives", (1.0, 1.0), None, 3, 1, 81),
    Setting("scales unlike", (1.0, 1e4), None, 3, 1, 81),
    Setting("ties and duplicates", (5.0, 5.0), 5, 3, 1, 81),
    Setting("three objectives", (1.0, 1.0, 1.0), None, 2, 1, 32),
    Setting("one objective", (1.0,), None, 4, 2, 100),
    Setting("ties, eta 2", (9.0, 9.0), 9, 2, 1, 52),
)


def make_stream(setting: Setting, seed: int) -> Stream:
    """Trials start and report in random order, each until the defective rule stops it."""
    from tests.reference import epsilon_net_order
    from tests.reference_asha import newcomer_continues, rungs_of

    rng = np.random.default_rng(seed)
    rungs = rungs_of(range(1, setting.max_epochs + 1), setting.eta, setting.grace)
    results: list[list[np.ndarray]] = [[] for _ in rungs]
    next_rung: dict[int, int] = {}
    num_trials, events = 0, []
    for _ in range(NUM_EVENTS):
        if not next_rung or rng.random() < 0.5:
            next_rung[num_trials] = 0
            num_trials += 1
        trial = int(rng.choice(list(next_rung)))
        rung = next_rung.pop(trial)
        results[rung].append(draw_costs(setting, rng))
        so_far = np.array(results[rung])
        last = rung == len(rungs) - 1
        rules = [
            newcomer_continues(so_far, epsilon_net_order, setting.eta, compat)[1] for compat in (True, False)
        ]
        defective, correct = (goes_on and not last for goes_on in rules)
        if defective:
            next_rung[trial] = rung + 1
        events.append((trial, rungs[rung] + 1, so_far[-1], defective, correct))
    return Stream(*(np.array(column) for column in zip(*events, strict=True)))


def draw_costs(setting: Setting, rng: np.random.Generator) -> np.ndarray:
    share = rng.random(len(setting.scales))
    if setting.levels is not None:
        share = np.floor(share * setting.levels) / setting.levels
    return share * np.array(setting.scales)


def compare_decisions(peer_python: str, seed: int) -> bool:
    """Prints one line per stream; False if a decision differs."""
    print("| stream | results | equal decisions | correct rule differs |")
    print("|---|---|---|---|")
    all_equal = True
    for setting in SETTINGS:
        stream = make_stream(setting, seed)
        theirs = np.array(ask_peer(peer_python, "decide", setting._asdict(), stream._asdict()))
        equal = stream.defective == theirs
        all_equal &= bool(equal.all())
        differs = np.mean(stream.correct != stream.defective)
        print(f"| {setting.name} | {len(equal)} | {equal.sum()} | {100 * differs:.0f} % |")
    return all_equal


def peer_runs_per_second(table: "Table", peer_python: str, repeats: int) -> float:
    """Median over runs in one process; starting it and building the table are not counted."""
    costs, runtime = table.dense(range(table.num_fidelities))
    arrays = {"costs": costs[0], "runtime": runtime[0]}
    answers = ask_peer(peer_python, "simulate", {"repeats": repeats}, arrays)
    seconds = [answer["seconds"] for answer in answers]
    reports, trials = (
        statistics.median(answer[what] for answer in answers) for what in ("reports", "trials")
    )
    print(
        f"Syne Tune: {statistics.median(seconds):.2f} s a run, median of {len(seconds)} "
        f"(from {min(seconds):.2f} to {max(seconds):.2f}), of {trials:g} trials, {reports:g} epochs"
    )
    return 1 / statistics.median(seconds)


def jax_runs_per_second(table: "Table", num_lanes: int = 1024) -> float:
    """Runs per second of this project on the same table, transfers included, after compilation."""
    from mohb_jax.simulation import simulate

    def runs() -> None:
        log = simulate(table, "mo-asha", num_seeds=num_lanes, workers=4, trials=200, seconds=1e12)
        assert log.valid.any(axis=1).all()

    runs()
    seconds = []
    for _ in range(3):
        began = time.perf_counter()
        runs()
        seconds.append(time.perf_counter() - began)
    return num_lanes / statistics.median(seconds)


def compare_speed(peer_python: str, repeats: int) -> None:
    from mohb_jax.benchmarks.sources.synthetic import synthetic

    table = synthetic(num_rows=NUM_ROWS, fidelities=range(1, MAX_EPOCHS + 1))
    theirs = peer_runs_per_second(table, peer_python, repeats)
    ours = jax_runs_per_second(table)
    print("| simulator | runs per second |")
    print("|---|---|")
    print(f"| Syne Tune | {theirs:.3g} |")
    print(f"| mohb_jax | {ours:.3g} |")
    print(f"ratio: {ours / theirs:.0f}")


# --- the peer's process ------------------------------------------------------------------------------------


def ask_peer(peer_python: str, task: str, settings: dict[str, Any], arrays: dict[str, np.ndarray]) -> Any:
    """Runs this file as the peer, and gives back what it writes."""
    with tempfile.TemporaryDirectory() as folder:
        question, answer = Path(folder, "question.npz"), Path(folder, "answer.json")
        np.savez(question, allow_pickle=False, **{"settings": np.array(json.dumps(settings)), **arrays})
        command = [peer_python, __file__, "--as-peer", task, str(question), str(answer)]
        environment = {**os.environ, "SYNETUNE_FOLDER": folder}
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise RuntimeError(f"the peer failed at {task}:\n{done.stderr}")
        return json.loads(answer.read_text())


def answer_as_peer(task: str, question: str, answer: str) -> None:
    with np.load(question) as arrays:
        settings = json.loads(str(arrays["settings"]))
        given = {name: arrays[name] for name in arrays.files if name != "settings"}
    with contextlib.redirect_stdout(io.StringIO()):
        found = {"decide": peer_decisions, "simulate": peer_simulations}[task](settings, given)
    Path(answer).write_text(json.dumps(found))


def peer_decisions(settings: dict[str, Any], stream: dict[str, np.ndarray]) -> list[bool]:
    """True where Syne Tune's scheduler lets the trial go on."""
    metrics = [f"cost-{m}" for m in range(stream["costs"].shape[1])]
    scheduler = peer_scheduler(metrics, settings["eta"], settings["grace"], settings["max_epochs"])
    new_trial = importlib.import_module("syne_tune.backend.trial_status").Trial
    trials: dict[int, Any] = {}
    decisions = []
    for number, epoch, costs in zip(stream["trial"], stream["epoch"], stream["costs"], strict=True):
        if int(number) not in trials:
            trials[int(number)] = new_trial(int(number), {"row": int(number)}, datetime.datetime.now())
            scheduler.on_trial_add(trials[int(number)])
        result = {"epoch": int(epoch), **dict(zip(metrics, costs.tolist(), strict=True))}
        decisions.append(scheduler.on_trial_result(trials[int(number)], result) == "CONTINUE")
    return decisions


def peer_space(num_rows: int) -> dict[str, Any]:
    """The row is the only hyperparameter; beside it stands a constant, since their table looks up pairs."""
    space = importlib.import_module("syne_tune.config_space")
    return {"row": space.randint(0, num_rows - 1), "table": 0}


def peer_scheduler(metrics: list[str], eta: int, grace: int, max_epochs: int, num_rows: int = 1) -> Any:
    module = importlib.import_module("syne_tune.optimizer.schedulers.multiobjective.moasha")
    return module.MOASHA(
        config_space=peer_space(num_rows),
        metrics=metrics,
        time_attr="epoch",
        max_t=max_epochs,
        grace_period=grace,
        reduction_factor=eta,
    )


def peer_simulations(settings: dict[str, Any], arrays: dict[str, np.ndarray]) -> list[dict[str, float]]:
    blackbox = peer_blackbox(arrays["costs"], arrays["runtime"])
    return [peer_simulation(blackbox, len(arrays["costs"])) for _ in range(settings["repeats"])]


def peer_blackbox(costs: np.ndarray, runtime: np.ndarray) -> Any:
    """Our table as theirs; elapsed seconds are one more objective."""
    pandas = importlib.import_module("pandas")
    space = importlib.import_module("syne_tune.config_space")
    module = importlib.import_module("syne_tune.blackbox_repository.blackbox_tabular")
    num_rows, num_epochs, _ = costs.shape
    blackbox = module.BlackboxTabular(
        hyperparameters=pandas.DataFrame({"row": np.arange(num_rows), "table": 0}),
        configuration_space=peer_space(num_rows),
        fidelity_space={"epoch": space.randint(1, num_epochs)},
        objectives_evaluations=np.concatenate([costs, runtime[..., None]], axis=-1)[:, None],
    )
    blackbox.objectives_names = ["cost-0", "cost-1", "seconds"]  # their constructor drops names it is given
    return blackbox


def peer_simulation(blackbox: Any, num_rows: int) -> dict[str, float]:
    syne_tune = importlib.import_module("syne_tune")
    simulated = importlib.import_module("syne_tune.blackbox_repository.simulated_tabular_backend")
    callbacks = importlib.import_module("syne_tune.backend.simulator_backend.simulator_callback")
    start = time.perf_counter()
    recorder = callbacks.SimulatorCallback()
    tuner = syne_tune.Tuner(
        trial_backend=simulated.UserBlackboxBackend(blackbox=blackbox, elapsed_time_attr="seconds", seed=0),
        scheduler=peer_scheduler(["cost-0", "cost-1"], ETA, 1, MAX_EPOCHS, num_rows),
        stop_criterion=syne_tune.StoppingCriterion(max_num_trials_started=NUM_TRIALS),
        n_workers=NUM_WORKERS,
        sleep_time=0,
        wait_trial_completion_when_stopping=True,
        callbacks=[recorder],
        results_update_interval=3600,
        print_update_interval=3600,
        save_tuner=False,
    )
    tuner.run()
    seconds = time.perf_counter() - start
    num_trials = len({result["trial_id"] for result in recorder.results})
    return {"seconds": seconds, "reports": len(recorder.results), "trials": num_trials}


# --- the command -------------------------------------------------------------------------------------------


def missing_peer(peer_python: str) -> str | None:
    """One line if this Python cannot be the peer."""
    wanted = "from importlib.metadata import version as v; print(v('huggingface_hub') and v('syne-tune'))"
    probe = [peer_python, "-c", wanted]
    try:
        done = subprocess.run(probe, capture_output=True, text=True, check=False)
    except OSError as error:
        return f"--peer-python is {peer_python}: {error.strerror}"
    found = done.stdout.strip() or "nothing"
    if found.startswith("0.16"):
        return None
    return (
        f"{peer_python} has {found} for syne-tune: install syne-tune==0.16.0, or name another --peer-python"
    )


def main() -> int:
    parser = argparse.ArgumentParser(description="Compares decisions and speed with Syne Tune 0.16.")
    parser.add_argument("--peer-python", default=sys.executable, help="a Python that has syne-tune==0.16.0")
    parser.add_argument("--seed", type=int, default=0, help="of the scripted results")
    parser.add_argument("--repeats", type=int, default=5, help="simulated runs that are timed")
    parser.add_argument("--as-peer", nargs=3, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.as_peer:
        answer_as_peer(*arguments.as_peer)
        return 0
    missing = missing_peer(arguments.peer_python)
    if missing:
        print(f"compare_syne_tune: {missing}", file=sys.stderr)
        return 2
    sys.path.insert(0, str(ROOT))  # the oracle lives among the tests, which are not installed
    equal = compare_decisions(arguments.peer_python, arguments.seed)
    compare_speed(arguments.peer_python, arguments.repeats)
    return 0 if equal else 1


if __name__ == "__main__":
    sys.exit(main())
