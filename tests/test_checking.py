"""Calls of the package are checked in all tests: types, and that an axis has one size."""

import jax.numpy as jnp
import numpy as np
import pytest
from jaxtyping import Float

from mohb_jax.kernels.dominance import dominance_matrix
from mohb_jax.schedule import asha_rungs
from tests.checking import MOST_TIMES, checked

pytestmark = pytest.mark.fast
ARGUMENT = r"parameter .* violates type hint"


def test_types_and_axes_of_the_package_are_checked():
    with pytest.raises(TypeError, match=ARGUMENT):
        asha_rungs((1, 3), "three")
    with pytest.raises(TypeError, match=ARGUMENT):
        dominance_matrix(jnp.zeros((3, 2)), jnp.ones(4, bool))


@checked
def doubled(values: Float[np.ndarray, " n"], wrong: bool) -> Float[np.ndarray, " n"]:
    return np.append(values, values) if wrong else 2 * values


def test_an_axis_has_one_size_within_a_call_and_any_in_the_next():
    for size in (3, 4):
        doubled(np.ones(size), False)
        with pytest.raises(TypeError, match=r"return .* violates type hint"):
            doubled(np.ones(size), True)


def test_what_is_made_anew_is_checked_a_few_times():
    def make():
        @checked
        def inner(value: int) -> int:
            return value

        return inner

    for _ in range(MOST_TIMES):
        with pytest.raises(TypeError, match=ARGUMENT):
            make()("one")
    assert make()("one") == "one"
