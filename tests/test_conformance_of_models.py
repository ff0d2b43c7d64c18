"""Methods whose models are costly keep the laws of the kit, with a small memory and a small budget.

``make test`` compiles quickly, and such models are slow then. Slow tests of test_conformance.py take these
methods as they are.
"""

import jax
import pytest

from mohb_jax.searchers import gcp, kriging_believer, shortlist, task_models
from mohb_jax.testing import method_checks, parts, searcher_checks
from tests.covering import covering
from tests.test_conformance import COSTLY, PARTS_CHECKED, QUICK_CHECKS, QUICK_TABLES, SERVED, conforms

pytestmark = pytest.mark.wide

CAPACITY = 16
EVALUATIONS = 15
"""A third of them after what such methods begin with; all are remembered."""


@pytest.fixture(scope="module", autouse=True)
def small():
    """For all tests of this file: programs do not know that a memory is small."""
    jax.clear_caches()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(kriging_believer, "CAPACITY", CAPACITY)
        patch.setattr(shortlist, "SIZES", (CAPACITY,))
        patch.setattr(task_models, "CAPACITY", CAPACITY)
        patch.setattr(task_models, "BASE_STEPS", 5)
        patch.setattr(gcp.Fitting, "sizes", (CAPACITY,))
        for module in (parts, method_checks, searcher_checks):
            patch.setattr(module, "EVALUATIONS", EVALUATIONS)
        yield
    jax.clear_caches()


@pytest.mark.parametrize(
    "method", [name for name in COSTLY if name in covering() and name not in PARTS_CHECKED]
)
def test_method_keeps_the_laws(method):
    conforms(method, SERVED.get(method, QUICK_TABLES), QUICK_CHECKS)
