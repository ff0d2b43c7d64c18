"""Networks that are kept for the next process: the same bits, for the same question alone."""

import jax
import numpy as np
import pytest
from mohb_jax.surrogates import prior_network
from mohb_jax.surrogates.prior_network import Training, fit_networks

from mohb_jax import networks, transfer
from mohb_jax.networks import FOLDER, fitted_networks
from mohb_jax.programs import folder_of_programs
from tests.transfer_tables import related_tasks

SHORT = Training(num_phases=1, steps_per_phase=4, steps_per_validation=2)
RNG = np.random.default_rng(0)
FEATURES, TARGETS = RNG.normal(size=(30, 3)), RNG.normal(size=(2, 30))
VALID = np.ones((2, 30), bool)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setattr(networks, "folder_of_programs", lambda: tmp_path)
    return tmp_path / FOLDER


def fit(seed=0, features=FEATURES, targets=TARGETS, valid=VALID, training=SHORT):
    return fitted_networks(jax.random.key(seed), features, targets, valid, training)


def never(*args):
    raise AssertionError("it was fitted before")


def assert_same(one, other):
    assert jax.tree.structure(one) == jax.tree.structure(other)
    for left, right in zip(jax.tree.leaves(one), jax.tree.leaves(other), strict=True):
        assert left.dtype == right.dtype
        np.testing.assert_array_equal(left, right)


def test_what_was_fitted_is_read(folder, monkeypatch):
    first = fit()
    monkeypatch.setattr(networks, "fit_networks", never)
    assert_same(fit(), first)
    monkeypatch.undo()
    assert_same(fit_networks(jax.random.key(0), FEATURES, TARGETS, VALID, SHORT), first)


@pytest.mark.parametrize(
    "other",
    [
        {"seed": 1},
        {"features": FEATURES + 1},
        {"targets": -TARGETS},
        {"valid": ~VALID},
        {"training": Training(num_phases=1, steps_per_phase=6, steps_per_validation=2)},
    ],
    ids=lambda other: next(iter(other)),
)
def test_another_question_is_another_file(folder, other):
    fit()
    fit(**other)
    assert len(list(folder.iterdir())) == 2


def test_another_way_to_compile_is_another_file(folder, monkeypatch):
    fit()
    monkeypatch.setenv("XLA_FLAGS", "--xla_cpu_use_fusion_emitters=false")
    fit()
    assert len(list(folder.iterdir())) == 2


def test_other_code_is_another_file(folder, tmp_path, monkeypatch):
    """Whoever works on the networks must not be shown those of before."""
    fit()
    changed = tmp_path / "prior_network.py"
    changed.write_text("changed")
    monkeypatch.setattr(prior_network, "__file__", str(changed))
    fit()
    assert len(list(folder.iterdir())) == 2


@pytest.mark.parametrize("damage", [lambda whole: whole[:-1], lambda whole: b"", lambda whole: b"x" + whole])
def test_a_damaged_file_is_made_anew(folder, damage):
    first = fit()
    (path,) = folder.iterdir()
    whole = path.read_bytes()
    path.write_bytes(damage(whole))
    assert_same(fit(), first)
    assert path.read_bytes() == whole


def test_a_folder_that_cannot_be_written_keeps_nothing(folder):
    folder.parent.joinpath(FOLDER).write_text("a file where the folder would be")
    assert_same(fit(), fit_networks(jax.random.key(0), FEATURES, TARGETS, VALID, SHORT))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("jax_enable_compilation_cache", False),
        ("jax_compilation_cache_dir", None),
        ("jax_compilation_cache_dir", "gs://bucket/programs"),
    ],
)
def test_nothing_is_kept_where_programs_are_not_on_this_disk(name, value):
    before = getattr(jax.config, name)
    assert folder_of_programs() is not None
    jax.config.update(name, value)
    try:
        assert folder_of_programs() is None
    finally:
        jax.config.update(name, before)


def test_a_prior_is_the_same_from_kept_networks(folder):
    fitted = transfer.learn_prior(related_tasks(), training=SHORT)
    assert len(list(folder.iterdir())) == 1
    kept = transfer.learn_prior(related_tasks(), training=SHORT)
    np.testing.assert_array_equal(kept.mu, fitted.mu)
    np.testing.assert_array_equal(kept.sigma, fitted.sigma)
