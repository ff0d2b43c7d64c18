"""Floats as integers of the same order."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from mohb_jax.kernels.sortable import from_sortable, to_sortable

pytestmark = pytest.mark.fast

NUMBERS = st.floats(allow_nan=False)
COMPILED = jax.jit(to_sortable)


@given(hnp.arrays(np.float64, 12, elements=NUMBERS))
def test_integers_have_the_order_of_the_floats(values):
    integers = np.asarray(COMPILED(jnp.asarray(values)))
    np.testing.assert_array_equal(integers[:, None] < integers, values[:, None] < values)
    np.testing.assert_array_equal(integers[:, None] == integers, values[:, None] == values)


@given(hnp.arrays(np.float64, 12, elements=NUMBERS))
def test_the_way_back_gives_the_same_bits_but_for_the_sign_of_zero(values):
    back = np.asarray(from_sortable(COMPILED(jnp.asarray(values))))
    assert back.tobytes() == (values + 0.0).tobytes()


@pytest.mark.parametrize(("floating", "integer"), [(np.float32, np.int32), (np.float64, np.int64)])
def test_extremes_in_both_precisions(variant, floating, integer):
    info = np.finfo(floating)
    tiny = info.smallest_normal
    values = np.array([-np.inf, info.min, -1, -tiny, -0.0, tiny, 1, 1 + info.eps, info.max, np.inf], floating)
    integers = np.asarray(variant(to_sortable)(jnp.asarray(values)))
    assert integers.dtype == integer
    assert (np.diff(integers) > 0).all()
    assert integers[4] == 0  # compilers take x + 0.0 for x, and leave -0.0 as it is
    back = np.asarray(variant(from_sortable)(jnp.asarray(integers)))
    assert back.dtype == floating
    np.testing.assert_array_equal(back, values)
