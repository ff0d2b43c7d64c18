"""Laws of tuning methods as a kit for authors: ``check_method`` tells whether a method keeps them.

Nothing here needs pytest; ``parametrize_with_checks`` imports it when it is called.

Examples:
    >>> from mohb_jax.testing import check_method, tables
    >>> few = {"tiny": tables()["tiny"]}
    >>> check_method("mo-hb", few, checks=["budget"])[0].ok
    True
"""

from mohb_jax.testing.case import BrokenLawError
from mohb_jax.testing.fixtures import tables
from mohb_jax.testing.kit import CHECKS, CheckResult, check_method
from mohb_jax.testing.marks import parametrize_with_checks

__all__ = ["CHECKS", "BrokenLawError", "CheckResult", "check_method", "parametrize_with_checks", "tables"]
