"""All methods of the package keep the laws of the kit: to register a method is to check it.

The quick test takes four tables of one shape, so that a method is compiled once; the slow one takes all ten,
and makes the checks that compile programs of their own.
"""

import pytest

from mohb_jax.methods import METHODS
from mohb_jax.testing import CHECKS, check_method, tables

QUICK_TABLES = ("mixed", "ties", "constant", "failing")
SAME_ROWS = ("one-fidelity",)
PORTFOLIOS = ("zero-shot", "zero-shot-mixed")
"""Methods that need the same rows in every task, and where they find them."""
COMPILING = ("alone", "chunks", "steady-one-worker", "invalid-result")
QUICK_CHECKS = [name for name in CHECKS if name not in (*COMPILING, "speed")]
EXPECTED: dict[str, dict[str, str]] = {}
"""Method -> check -> why it does not hold."""


def conforms(method, names, checks):
    own = EXPECTED.get(method, {})
    expected = {name: reason for name, reason in own.items() if name in checks}
    check_method(method, {name: tables()[name] for name in names}, checks, expected)


@pytest.mark.parametrize("method", METHODS)
def test_method_keeps_the_laws(method):
    conforms(method, SAME_ROWS if method in PORTFOLIOS else QUICK_TABLES, QUICK_CHECKS)


@pytest.mark.slow
@pytest.mark.parametrize("method", METHODS)
def test_method_keeps_all_laws_on_all_tables(method):
    conforms(method, tables(), list(CHECKS))
