"""``check_method``: all laws, on all tables that serve a method."""

import functools
import time
from collections.abc import Collection, Mapping
from typing import Literal, NamedTuple

from mohb_jax.benchmarks.contract import AnyTable
from mohb_jax.errors import InputError, did_you_mean
from mohb_jax.methods import Method, method_named
from mohb_jax.precision import in_64_bits
from mohb_jax.testing import method_checks, rule_checks, searcher_checks
from mohb_jax.testing.case import BrokenLawError, Case
from mohb_jax.testing.causes import Cause, cause_of
from mohb_jax.testing.fixtures import tables as all_tables
from mohb_jax.testing.laws import Check

ORDER = (
    *("rows", "random-repeat", "batch", "alone", "chunks", "state", "invalid-result", "held-out"),
    *("unpaid", "failures"),
    *("no-retrace", "traceable", "promotion-basic", "promotion-units", "promotion-permutation"),
    *("promotion-dominance", "steady-one-worker", "budget", "speed"),
)
_ALL = {check.name: check for check in (*searcher_checks.CHECKS, *rule_checks.CHECKS, *method_checks.CHECKS)}
CHECKS: Mapping[str, Check] = {name: _ALL[name] for name in ORDER}
"""Every check by name, in the order in which they are made."""


NOT_MADE = "not made"
"""How the reason begins where an earlier check found that no run is possible."""


class CheckResult(NamedTuple):
    """What a check found.

    Attributes:
        name: of the check.
        ok: True if the law holds, False if not, None if it does not concern the method, was expected to fail,
            or was not made since no run is possible.
        reason: what was seen and what to do; why the check was not made; what it measured.
        seconds: that it took, compilation included.
    """

    name: str
    ok: bool | None
    reason: str
    seconds: float


def check_method(
    method: Method | str,
    tables: Mapping[str, AnyTable] | None = None,
    checks: Collection[str] | None = None,
    expected_failures: Mapping[str, str] | None = None,
    on_fail: Literal["raise", "report"] = "raise",
) -> list[CheckResult]:
    """Checks a method against the laws that all methods of this package keep.

    Args:
        method: to check, or its name as ``simulate`` takes it.
        tables: to check it on, by name; the ten of ``tables()`` if None. Those that lack what the method
            needs are passed over.
        checks: names of checks; all if None.
        expected_failures: name of a check -> why it is known to fail. One that holds after all fails.
        on_fail: ``raise`` an ``AssertionError`` with all findings, or ``report`` them only.

    Returns:
        One result per check, in the order of ``CHECKS``.

    Raises:
        BrokenLawError: an ``AssertionError`` with one line per law that does not hold.
        InputError: an unknown check, or no table that serves the method.

    Examples:
        >>> from mohb_jax.testing import check_method, tables
        >>> few = {"tiny": tables()["tiny"]}
        >>> [result.ok for result in check_method("random", few, checks=["rows", "budget"])]
        [True, True]
    """
    case = case_of(method, tables)
    expected = dict(expected_failures or {})
    _require_checks(expected)
    results = [judged(check, case, expected.get(check.name)) for check in chosen(checks)]
    failed = [f"{result.name}: {result.reason}" for result in results if result.ok is False]
    if failed and on_fail == "raise":
        raise BrokenLawError(f"method {case.method.name!r} breaks {len(failed)} law(s)\n" + "\n".join(failed))
    return results


@in_64_bits
def case_of(method: Method | str, tables: Mapping[str, AnyTable] | None = None) -> Case:
    """What checks look at; ``InputError`` if no table serves the method."""
    found = method_named(method) if isinstance(method, str) else method
    case = Case(found, all_tables() if tables is None else tables)
    _ = case.served  # for its error
    return case


def chosen(names: Collection[str] | None) -> list[Check]:
    """The checks of those names, in order; all if None, ``InputError`` if one is unknown."""
    _require_checks(names or ())
    return [check for name, check in CHECKS.items() if names is None or name in names]


@in_64_bits
def judged(check: Check, case: Case, expected: str | None = None) -> CheckResult:
    """The result of one check, which never raises for what a method does."""
    start = time.perf_counter()
    concerns = check.concern(case)
    if concerns is not None:
        return CheckResult(check.name, None, concerns, 0.0)
    cause = cause_of(case)
    if cause is not None and case.told not in ([], [check.name]):
        return CheckResult(check.name, None, f"{NOT_MADE}: {cause.short}", 0.0)
    breach, note = check.breach(case) if cause is None else _no_run(check, case, cause)
    seconds = time.perf_counter() - start
    if expected is None:
        return CheckResult(check.name, breach is None, breach or note, seconds)
    if breach is None:
        return CheckResult(check.name, False, f"It was expected to fail ({expected}) and holds", seconds)
    return CheckResult(check.name, None, f"fails as expected: {expected}", seconds)


def _no_run(check: Check, case: Case, cause: Cause) -> tuple[str, str]:
    """What the first check tells where no run is possible; those after it are not made."""
    case.told[:] = [check.name]
    return f"{check.law}. No run is possible: {cause.text}", ""


def _require_checks(names: Collection[str]) -> None:
    for name in names:
        if name not in CHECKS:
            near = did_you_mean(name, CHECKS)
            raise InputError(f"check {name!r} is unknown{near}: accepted are {', '.join(CHECKS)}")


@functools.lru_cache(maxsize=2)
def remembered_case(method: Method | str) -> Case:
    """The case of a method on the ten tables, for checks that are made one by one."""
    return case_of(method)
