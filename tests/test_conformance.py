"""All methods of the package keep the laws of the kit: to register a method is to check it.

The quick test takes four tables of one shape, so that a method is compiled once; the slow one takes all ten,
and makes the checks that compile programs of their own.
"""

import jax
import pytest

from mohb_jax.methods import METHODS
from mohb_jax.searchers import gcp, kriging_believer, task_models
from mohb_jax.testing import CHECKS, check_method, tables

QUICK_TABLES = ("mixed", "ties", "constant", "failing")
SERVED = {
    "zero-shot": ("one-fidelity",),
    "zero-shot-mixed": ("one-fidelity",),
    "trimtuner-cea": ("four-objectives",),
}
"""Where methods find the same rows in every task, or a price."""
COMPILING = ("alone", "chunks", "steady-one-worker", "invalid-result")
QUICK_CHECKS = [name for name in CHECKS if name not in (*COMPILING, "speed")]
SMALL = (
    "parego",
    "ehvi",
    "ehvi-log",
    "momf",
    "trimtuner-cea",
    "ms-ehvi",
    "primo",
    "rgpe",
    "tst-r",
    "gcp",
    "gcp-prior",
)
"""Methods whose memory is small in the quick checks."""
EXPECTED: dict[str, dict[str, str]] = {
    "meta-knn+gp": {"random-repeat": "neither the list nor the processes leave small tables to chance"},
}
"""Method -> check -> why it does not hold."""
PARTS_CHECKED = ("meta-knn+gp",)
"""Slow to compile, and made of methods that are checked: ``meta-knn`` and ``ehvi``."""


def conforms(method, names, checks):
    own = EXPECTED.get(method, {})
    expected = {name: reason for name, reason in own.items() if name in checks}
    check_method(method, {name: tables()[name] for name in names}, checks, expected)


@pytest.fixture
def small_memory(monkeypatch):
    """Models remember what the quick checks give them, and learn from other tasks in few steps."""
    monkeypatch.setattr(kriging_believer, "CAPACITY", 32)
    monkeypatch.setattr(kriging_believer, "SIZES", (32,))
    monkeypatch.setattr(task_models, "CAPACITY", 32)
    monkeypatch.setattr(task_models, "BASE_STEPS", 5)
    monkeypatch.setattr(gcp.Fitting, "sizes", (32,))


@pytest.fixture(autouse=True)
def programs_of_their_own(request):
    """Programs do not know that a memory is small."""
    yield
    if request.node.callspec.params["method"] in SMALL:
        jax.clear_caches()


@pytest.mark.usefixtures("small_memory")
@pytest.mark.parametrize("method", [name for name in METHODS if name not in PARTS_CHECKED])
def test_method_keeps_the_laws(method):
    conforms(method, SERVED.get(method, QUICK_TABLES), QUICK_CHECKS)


@pytest.mark.slow
@pytest.mark.parametrize("method", METHODS)
def test_method_keeps_all_laws_on_all_tables(method):
    conforms(method, tables(), list(CHECKS))
