"""Checks as tests of pytest, one for each law."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

from mohb_jax.methods import Method
from mohb_jax.testing.case import BrokenLawError
from mohb_jax.testing.kit import CHECKS, judged, remembered_case
from mohb_jax.testing.laws import Check


class _Bound(NamedTuple):
    """A check as a test calls it."""

    check: Check
    expected: str | None

    def __call__(self, method: Method | str) -> None:
        """Fails the test if the law does not hold, skips it if the law does not concern the method."""
        import pytest

        result = judged(self.check, remembered_case(method), self.expected)
        if result.ok is False:
            raise BrokenLawError(result.reason)
        if result.ok is None:
            pytest.skip(result.reason)


def parametrize_with_checks(
    methods: Iterable[Method | str], expected_failures: Mapping[str, str] | None = None
) -> Callable[[Any], Any]:
    """A decorator that makes one test for each method and check.

    Args:
        methods: to check, or their names.
        expected_failures: name of a check -> why it is known to fail; the test is skipped with that reason,
            and fails if the law holds after all.

    Examples:
        @parametrize_with_checks([my_module.my_method], expected_failures={"chunks": "one list per call"})
        def test_my_method(method, check):
            check(method)
    """
    import pytest

    expected = expected_failures or {}
    pairs = [
        pytest.param(method, _Bound(check, expected.get(name)), id=f"{_name(method)}-{name}")
        for method in methods
        for name, check in CHECKS.items()
    ]
    return pytest.mark.parametrize(("method", "check"), pairs)


def _name(method: Method | str) -> str:
    return method if isinstance(method, str) else method.name
