"""All methods of the package keep the laws of the kit: to register a method is to check it.

The quick test takes four tables of one shape, so that a method is compiled once, and those methods in which
everything meets of which methods are made (tests/covering.py); those that learn are asked by
``make test-wide``, but for NSGA-II. The slow one takes all methods and all ten tables, and makes the checks
that compile programs of their own.
"""

import pytest

from mohb_jax.methods import METHODS
from mohb_jax.testing import CHECKS, check_method, tables
from tests.covering import covering, pairs_of, takes_long

QUICK_TABLES = ("mixed", "ties", "constant", "failing")
SERVED = {
    "zero-shot": ("one-fidelity",),
    "zero-shot-mixed": ("one-fidelity",),
    "trimtuner-cea": ("four-objectives",),
}
"""Where methods find the same rows in every task, or a price."""
COMPILING = ("alone", "chunks", "steady-one-worker", "invalid-result")
QUICK_CHECKS = [name for name in CHECKS if name not in (*COMPILING, "speed")]
COSTLY = (
    *("parego", "ehvi", "ehvi-log", "momf", "trimtuner-cea", "ms-ehvi", "primo", "rgpe", "tst-r", "gcp"),
    "gcp-prior",
)
"""Methods that tests/test_conformance_of_models.py checks."""
EXPECTED: dict[str, dict[str, str]] = {
    "meta-knn+gp": {"random-repeat": "neither the list nor the processes leave small tables to chance"},
}
"""Method -> check -> why it does not hold."""
PARTS_CHECKED = ("meta-knn+gp", "tst-r")
"""Slow to compile, and made of what is checked: the first of ``meta-knn`` and ``ehvi``, the second of what
``rgpe`` consists of, with weights that tests/test_task_models.py compares with their definition."""


def conforms(method, names, checks):
    own = EXPECTED.get(method, {})
    expected = {name: reason for name, reason in own.items() if name in checks}
    check_method(method, {name: tables()[name] for name in names}, checks, expected)


@pytest.mark.parametrize(
    "method",
    [
        pytest.param(name, marks=pytest.mark.wide if takes_long(name) else ())
        for name in covering()
        if name not in (*PARTS_CHECKED, *COSTLY)
    ],
)
def test_method_keeps_the_laws(method):
    conforms(method, SERVED.get(method, QUICK_TABLES), QUICK_CHECKS)


def test_whatever_meets_in_a_method_meets_in_one_that_is_checked():
    checked = set().union(*map(pairs_of, covering()))
    assert all(pairs_of(name) <= checked for name in METHODS)
    assert {"mo-hb", "mo-hb+transfer", "mo-asha+transfer", "random+transfer"} <= set(covering())
    assert "mo-asha-promote+transfer" not in covering()


@pytest.mark.slow
@pytest.mark.parametrize("method", METHODS)
def test_method_keeps_all_laws_on_all_tables(method):
    conforms(method, tables(), list(CHECKS))
