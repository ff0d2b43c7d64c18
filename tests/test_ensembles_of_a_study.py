"""Ensembles from the runs of a study: stored predictions, libraries, findings, the page, and bad input."""

import functools
import json
import math
from pathlib import Path

import numpy as np
import pytest
from mohb_jax.benchmarks import load
from mohb_jax.benchmarks.hardware import instances
from mohb_jax.benchmarks.sources import embedded, embedded_predictions
from mohb_jax.benchmarks.sources.embedded_predictions import decoded, load_predictions, model_costs

from mohb_jax import cli
from mohb_jax.analysis.analysis import Analysis
from mohb_jax.analysis.results import load_study
from mohb_jax.ensembles import findings, judging, libraries, selection
from mohb_jax.ensembles import page as page_module
from mohb_jax.precision import in_64_bits
from mohb_jax.store import Unit
from mohb_jax.types import RunLog
from tests.fake_study import make_spec, make_table, make_unit, write_folder
from tests.reference_ensembles import loss_of

pytestmark = pytest.mark.wide

ROOT = Path(__file__).parent.parent


def command(*words):
    with pytest.raises(SystemExit) as ended:
        cli.main(list(words))
    return ended.value.code


@pytest.fixture(autouse=True, scope="module")
def one_program():
    """Libraries of runs and of the whole table share one here, and evolve for a short time."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(judging, "LANES", 2)
        patch.setattr(judging, "SIZES", (256,))
        patch.setattr(selection, "nsga2", functools.partial(selection.nsga2, generations=30))
        yield


def unit_of(table, method, seed, highest=26):
    """Three runs on each task, of twelve evaluations in full one after the other; a few stop early."""
    chance = np.random.default_rng(seed)
    task, run = np.repeat(np.arange(table.num_tasks), 3), np.tile(np.arange(3), table.num_tasks)
    row = chance.integers(table.num_rows, size=(task.size, 12))
    fidelity = np.where(chance.random(row.shape) < 0.8, highest, 8)
    costs, seconds = table.look_up(task[:, None], row, fidelity)
    end = np.cumsum(seconds, axis=1)
    worker, valid = np.zeros(row.shape, int), np.ones(row.shape, bool)
    log = RunLog(task, run, row, fidelity, costs, end - seconds, end, worker, valid)
    return Unit(make_spec(table, method, 3) | {"highest_fidelity": highest}, log)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A study of two tuners on two tasks."""
    out = tmp_path_factory.mktemp("study")
    table = load("embedded").select(tasks=["digits", "diabetes"])
    write_folder(out, [table], [unit_of(table, "<one>", 1), unit_of(table, "other", 2)])
    return out


# What is stored


def test_the_file_is_small_and_says_what_it_holds():
    assert (ROOT / "benchmarks/data/embedded_predictions.npz").stat().st_size < 3_000_000
    found, table = load_predictions(), load("embedded")
    assert tuple(found) == table.tasks
    sizes = {name: (own.num_validation, own.labels.size - own.num_validation) for name, own in found.items()}
    assert sizes.pop("breast-cancer") == (160, 120)
    assert sizes.pop("diabetes") == (91, 91)
    assert set(sizes.values()) == {(160, 160)}
    for own in found.values():
        np.testing.assert_allclose(own.probability.sum(axis=2), 1)
        assert own.probability.min() > 2.0**-25
        assert own.finite.all() or (own.probability[~own.finite] == 1 / own.probability.shape[2]).all()


def test_the_networks_are_those_of_the_table():
    """Mistakes of split 0, recorded with the predictions, are a part of the table's sum over splits; on the
    examples that are stored, networks do about as well as on all."""
    metadata, _, mistakes = embedded.recorded()
    for task, total in zip(metadata["tasks"], mistakes[:, :, -1], strict=True):
        own = load_predictions()[task["name"]]
        rest = total - own.mistakes
        assert 0 <= rest.min() <= rest.max() <= (task["num_splits"] - 1) * task["num_valid"]
        ratio = own.mistakes.mean() / (total.mean() / task["num_splits"])
        assert 0.7 < ratio < 1.4
        valid = own.num_validation
        wrong = (own.probability[:, :valid].argmax(axis=2) != own.labels[:valid]).mean(axis=1)
        stored = own.mistakes / task["num_valid"]
        assert np.abs(wrong - stored)[own.finite].mean() < 0.03
        assert np.corrcoef(wrong[own.finite], stored[own.finite])[0, 1] > 0.8


def test_steps_are_decoded_before_the_sign_changes():
    odds = np.array([[-127, -8, 0, 8, 127]], np.int8)
    second = decoded(odds, 2)[0, :, 1]
    np.testing.assert_allclose(np.log(second / (1 - second)), odds[0] / 8)
    steps = np.array([[[0, 255, 255], [16, 32, 32]]], np.uint8)
    np.testing.assert_allclose(decoded(steps, 3)[0, 1], [0.5, 0.25, 0.25])
    assert decoded(steps, 3)[0, 0, 0] > 0.9999


@pytest.mark.parametrize("classes", [2, 3])
def test_what_is_recorded_comes_back(classes):
    from scripts.record_embedded_predictions import encoded

    chance = np.random.default_rng(0)
    told = chance.dirichlet(np.full(classes, 0.3), (4, 50))
    back = decoded(encoded(told), classes)
    likely = told > 1e-3
    assert np.abs(np.log(back[likely]) - np.log(told[likely])).max() < 1 / 16 + 0.01
    assert np.isfinite(np.log(decoded(encoded(np.eye(classes)[None]), classes))).all()


def test_costs_by_hand():
    metadata, configs, _ = embedded.recorded()
    costs = model_costs("digits", batch_size=32)
    row = int(np.flatnonzero((configs[:, 0] == 1) & (configs[:, 1] == 0))[0])  # 2 layers of 64 x 8
    weights = 65 * 512 + 513 * 512 + 513 * 10
    assert costs.parameters[row] == weights
    assert costs.memory[row] == 4 * weights + 4 * 32 * 512
    base = [kind.name for kind in instances()].index("ml.p2.xlarge")
    assert costs.seconds[row, base] == pytest.approx(2 * weights / 0.25e12)
    price = instances()[base].price
    assert costs.usd[row, base] == pytest.approx(2 * weights / 0.25e12 * price / 3600 * 1e6)
    assert metadata["tasks"][0]["num_features"] == 64


# What is found


@pytest.fixture(scope="module")
def found(folder):
    return findings.find(Analysis(load_study(folder, "full")))


def test_libraries_are_what_runs_trained_in_full(folder, found):
    study = load_study(folder, "full")
    own = found.tasks[0].libraries
    assert own.run.tolist() == [0, 1, 2] * 2
    unit = next(unit for unit in study.units if unit.spec["method"] == "<one>")
    log = unit.log
    for lane in range(3):
        rows = np.unique(log.row[lane][log.fidelity[lane] == 26])
        config = np.unique(rows // 37)
        finite = own.predictions.finite[config]
        np.testing.assert_array_equal(np.flatnonzero(own.allowed[lane]), config[finite])
        costs = libraries.costs_of("digits", "usd")
        for one in config:
            chosen = rows[rows // 37 == one] % 37
            assert own.cost[lane, one] == costs[one, chosen].min()


def test_outcomes_are_those_of_their_ensembles(found):
    for task in found.tasks:
        own = task.libraries.predictions
        valid = own.num_validation
        for way, outcome in task.outcomes.items():
            for lane in range(outcome.found.size):
                weights = outcome.weights[lane]
                assert not weights[~task.libraries.allowed[lane]].any()
                assert outcome.validation_loss[lane] == pytest.approx(
                    loss_of(own.correct[:, :valid], weights)
                )
                assert outcome.test_loss[lane] == pytest.approx(loss_of(own.correct[:, valid:], weights))
                price = task.libraries.cost[lane][weights > 0].sum()
                assert outcome.cost[lane] == pytest.approx(price)
                mean = weights @ own.probability[:, valid:].reshape(256, -1) / weights.sum()
                wrong = mean.reshape(-1, own.probability.shape[2]).argmax(axis=1) != own.labels[valid:]
                assert task.error[way][lane] == pytest.approx(wrong.mean())
            assert (outcome.test_loss >= outcome.best_test_loss - 1e-12).all()
            assert (outcome.validation_loss <= task.outcomes["best"].validation_loss + 1e-12).all()
        assert all((task.relative(way) <= 1.1).all() for way in task.outcomes)


def test_rows_are_means_over_runs_and_tasks(found):
    assert len(found.rows) == 7 * 2 * (1 + 2)
    row = next(row for row in found.rows if (row.task, row.method, row.way) == ("all", "other", "smobf"))
    lanes = [np.flatnonzero(task.libraries.method == 1) for task in found.tasks]
    losses = [task.outcomes["smobf"].test_loss[own] for task, own in zip(found.tasks, lanes, strict=True)]
    assert row.test_loss == pytest.approx(np.mean(losses))
    assert row.test_loss_low <= row.test_loss <= row.test_loss_high
    best = next(row for row in found.rows if row.way == "best")
    assert (best.over_best, best.members) == (1, 1)
    assert math.isnan(best.correlation)
    assert [own.measure for own in found.agreements] == ["hypervolume", "test_loss"]
    assert all(own.pairs == 1 and own.tau in (-1, 0, 1) for own in found.agreements)


@in_64_bits
def test_fronts_are_what_nobody_dominates():
    loss, cost = np.array([3.0, 1, 2, 1, 5, 0]), np.array([1.0, 4, 2, 4, 0.5, 9])
    valid = np.array([True, True, True, True, True, False])
    np.testing.assert_array_equal(
        judging.front_mask(loss, cost, valid), [True, True, True, False, True, False]
    )


def test_concordance():
    first = np.array([1.0, 2, 3, 4])
    assert findings.concordance(first, first) == (6, 1)
    assert findings.concordance(first, -first) == (0, -1)
    assert findings.concordance(first, np.array([1.0, 3, 2, 4])) == (5, pytest.approx(4 / 6))


def test_correlation_of_members():
    own = load_predictions()["digits-noisy"]
    valid = own.num_validation
    wrong = own.probability[:, valid:].argmax(axis=2) != own.labels[valid:]
    weights = np.zeros((2, 256), int)
    weights[0, [3, 77, 200]] = [1, 2, 1]
    pairs = np.corrcoef(wrong[[3, 77, 200]])[np.triu_indices(3, 1)]
    assert findings.member_correlations(own, weights)[0] == pytest.approx(pairs.mean())
    assert math.isnan(findings.member_correlations(own, weights)[1])


# The command


def test_the_page(folder, found, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(page_module, "find", lambda analysis, cost, ways: found)
    out = tmp_path / "page"
    assert command("ensemble", str(folder), "--out", str(out), "--device", "16", "--device", "8:2") == 0
    assert "pairs of tuners" in capsys.readouterr().out
    page = (out / "index.html").read_text(encoding="utf-8")
    assert "&lt;one&gt;" in page
    assert "<one>" not in page
    assert "$" not in page.partition("</style>")[2]
    files = {path.name for path in out.iterdir()}
    assert files == {"index.html", "ensembles.csv", "results.json", "figures"}
    results = json.loads((out / "results.json").read_text())
    assert {row["way"] for row in results["rows"]} == set(judging.WAYS)
    assert results["cost"] == "usd"
    placed = results["placed"][0]
    assert placed["task"] == "digits"
    assert np.shape(placed["batches"]) == (2, len(placed["configs"]))
    assert (np.sum(placed["batches"], axis=0) > 0).all()
    assert "On devices" in page
    small = command("ensemble", str(folder), "--out", str(out), "--device", "1e-6")
    assert small == 2
    error = capsys.readouterr().err
    assert "of digits' fits on no device: it needs" in error
    assert error.count("\n") == 1


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--cost", "euro"), "unknown cost 'euro'; accepted: usd, seconds"),
        (("--device", "big"), "device 'big': accepted is GIB or GIB:SPEED"),
        (("--selection", "boosting"), "unknown selection 'boosting'; accepted: best"),
    ],
)
def test_unknown_names(folder, words, message, capsys):
    assert command("ensemble", str(folder), *words) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1


def refused(folder, capsys):
    assert command("ensemble", str(folder)) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    return error


def test_studies_without_predictions(tmp_path, capsys):
    assert "does not exist" in refused(tmp_path / "nowhere", capsys)
    toy = make_table()
    namesake, table = make_table("embedded"), load("embedded").select(tasks=["digits"])
    short = unit_of(table, "short", 0, highest=8)
    for name, own, unit, message in (
        ("toy", toy, make_unit(toy, "m", 1), "no predictions are stored for toy: ensembles are made of"),
        ("namesake", namesake, make_unit(namesake, "m", 1), "it is called embedded and is another one"),
        ("short", table, short, "for method 'short': it trains for 9 epochs, those stored for 27"),
    ):
        (tmp_path / name).mkdir()
        write_folder(tmp_path / name, [own], [unit])
        assert message in refused(tmp_path / name, capsys)


def test_a_file_that_is_missing(monkeypatch, tmp_path, folder, capsys):
    load_predictions.cache_clear()
    monkeypatch.setattr(embedded_predictions.resources, "files", lambda _: tmp_path)
    assert "embedded_predictions.npz is missing" in refused(folder, capsys)
    load_predictions.cache_clear()
