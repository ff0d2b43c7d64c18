"""Priors of live spaces: what finished work says about rows of a new task."""

import numpy as np
import pytest
from mohb_jax.benchmarks.columns import Column
from mohb_jax.surrogates.prior_network import Training

from mohb_jax import InputError, Space, Tuner, learn_prior, rungs
from mohb_jax.tuner.space import hardware, log, uniform
from tests.fake_study import write_folder

SHORT = Training(num_phases=1, steps_per_phase=200, steps_per_validation=50)
DOMAINS = {"lr": log(1e-3, 0.1), "drop": uniform(0, 1), "machine": hardware(["small", "large"])}
GOALS = {"error": "min", "seconds": "min s"}


def error_of(config):
    """Best at a rate of .01; the second objective knows the machine alone."""
    return {"error": abs(np.log10(config["lr"]) + 2), "seconds": 1.0 + (config["machine"] == "small")}


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A run that was worked off, on another space of the same columns."""
    path = tmp_path_factory.mktemp("finished") / "run.jsonl"
    space = Space.sample(DOMAINS, 128, seed=1)
    tuner = Tuner(space, GOALS, "random", fidelities=(1, 3), evaluations=150, journal=path)
    tuner.run(lambda job: error_of(job.config))
    return tuner, path


@pytest.fixture(scope="module")
def space():
    return Space.sample(DOMAINS, 64)


@pytest.fixture(scope="module")
def prior(finished, space):
    return learn_prior(finished[0], rows=space, training=SHORT)


@pytest.mark.wide
def test_a_finished_run_says_which_rows_are_good(prior, space):
    assert prior.mu.shape == prior.sigma.shape == (1, 2, 128)
    truth = np.array([[*error_of(space.config(row)).values()] for row in range(len(space))]).T
    for mu, wanted in zip(prior.mu[0], truth, strict=True):
        assert np.corrcoef(np.argsort(np.argsort(mu)), np.argsort(np.argsort(wanted)))[0, 1] > 0.7


@pytest.mark.wide
def test_a_live_run_begins_with_it(prior, space):
    """Its first rows are better than others; asking and telling works on, and the journal keeps the prior."""
    tuner = Tuner(space, GOALS, "random+prior", prior=prior, evaluations=8)
    first = [error_of(tuner.ask().config)["error"] for _ in range(8)]
    everything = [error_of(space.config(row))["error"] for row in range(len(space))]
    assert np.mean(first) < np.mean(everything)


@pytest.mark.wide
def test_journals_tables_and_tuners_say_the_same(finished, prior, space):
    tuner, path = finished
    table = tuner.table("mine")
    table.save(path.with_name("mine.npz"))
    folder = path.with_name("study")
    write_folder(folder, [table], [])
    for source in (path, [table], path.with_name("mine.npz"), folder):
        np.testing.assert_array_equal(learn_prior(source, rows=space, training=SHORT).mu, prior.mu)


def test_rows_of_lower_fidelities_are_asked_for(space):
    tuner = Tuner(space, GOALS, "mo-asha", fidelities=rungs(1, 9), evaluations=60)
    tuner.run(lambda job: error_of(job.config))
    table = tuner.table("mine")
    assert table.final_available(0).sum() < 10
    assert table.select(fidelities=[1]).final_available(0).sum() > 30


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"sources": []}, "learn_prior has no source"),
        ({"rows": None}, "takes one table alone, or rows="),
        (
            {"rows": Space.sample({"lr": log(1e-3, 0.1)}, 8)},
            "columns lr, drop, machine: needed are lr",
        ),
        ({"rows": Space.sample(DOMAINS | {"drop": log(0.1, 1)}, 8)}, "column 'drop': it has kind continuous"),
        (
            {"rows": Space.sample(DOMAINS | {"machine": hardware(["small"])}, 8)},
            "column 'machine': it has the level 'large'",
        ),
        ({"objectives": {"error": "max"}}, r"no objective error \(max 1\): it has error \(min 1\), seconds"),
        ({"sources": "none.jsonl"}, "journal none.jsonl does not exist"),
        ({"sources": "docs"}, "docs: not a study folder"),
    ],
)
def test_wrong_sources(finished, space, change, message):
    arguments = {"sources": finished[0], "rows": space, **change}
    with pytest.raises(InputError, match=message):
        learn_prior(arguments.pop("sources"), **arguments)


def test_an_objective_without_an_order(space):
    tuner = Tuner(space, GOALS, "random", evaluations=4)
    tuner.run(lambda job: {"error": 1.0, "seconds": 2.0})
    with pytest.raises(InputError, match="objective 'error' has one value alone in every source"):
        learn_prior(tuner, rows=space)


def test_columns_may_come_in_another_order(finished, space, prior):
    order = [2, 0, 1]
    turned = Space(tuple(space.columns[i] for i in order), space.configs[:, order])
    assert isinstance(turned.columns[0], Column)
    found = learn_prior(finished[0], rows=turned, training=SHORT)
    assert np.corrcoef(found.mu[0, 1], prior.mu[0, 1])[0, 1] > 0.9
