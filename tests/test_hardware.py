"""The hardware catalogue against the figures published with its source."""

import numpy as np
import pytest
from mohb_jax.benchmarks import hardware
from mohb_jax.benchmarks.normalise import non_dominated

from mohb_jax.errors import InputError

pytestmark = pytest.mark.fast


def test_check_numbers_of_the_measurements():
    relative = hardware.relative_times()
    cost = relative * hardware.prices()
    names = [kind.name for kind in hardware.instances()]
    assert len(names) == len(set(names)) == 37
    assert (names[relative.argmin()], names[relative.argmax()]) == ("ml.g4dn.12xlarge", "ml.m5.large")
    assert (relative.min(), relative.max(), relative.mean()) == pytest.approx((0.284, 7.62, 2.02), abs=0.005)
    assert relative.mean() / relative.min() == pytest.approx(7.1, abs=0.05)
    assert (names[cost.argmin()], names[cost.argmax()]) == ("ml.g4dn.xlarge", "ml.m4.16xlarge")
    assert (cost.min(), cost.max(), cost.mean()) == pytest.approx((0.311, 16.47, 3.39), abs=0.005)
    assert cost.mean() / cost.min() == pytest.approx(10.9, abs=0.05)


def test_five_types_are_on_the_front_of_time_and_cost():
    relative = hardware.relative_times()
    front = non_dominated(np.stack([relative, relative * hardware.prices()], axis=1))
    found = {kind.name for kind, on_front in zip(hardware.instances(), front, strict=True) if on_front}
    assert found == {f"ml.g4dn.{size}xlarge" for size in ("", "2", "4", "8", "12")}


def test_every_entry_is_complete():
    for kind in hardware.instances():
        assert kind.vcpus >= 1
        assert kind.memory_gib > 0
        assert kind.gpus >= 0
        assert kind.price > 0
        assert 1 <= kind.num_measurements <= 8
    assert sum(kind.num_measurements for kind in hardware.instances()) == 134


def test_lookup_by_name():
    kind = hardware.instance("ml.p2.xlarge")
    assert (kind.vcpus, kind.gpus, kind.price) == (4, 1, 1.125)
    with pytest.raises(
        InputError, match=r"unknown instance type 'ml.p2.xlrge' \(did you mean 'ml.p2.xlarge'\?\)"
    ):
        hardware.instance("ml.p2.xlrge")


def test_crossing_scales_time_and_price():
    seconds, dollars = hardware.cross(np.array([[10.0, 3600.0]]))
    assert seconds.shape == dollars.shape == (1, 2, 37)
    base = hardware.instance_column().levels.index("ml.p2.xlarge")
    np.testing.assert_allclose(seconds[0, :, base], [10, 3600])
    assert dollars[0, 1, base] == pytest.approx(1.125)
    np.testing.assert_allclose(dollars, seconds * hardware.prices() / 3600)


def test_the_base_can_be_another_type():
    levels = hardware.instance_column().levels
    seconds, _ = hardware.cross(np.array([5.0]), base="ml.m5.large")
    assert seconds[0, levels.index("ml.m5.large")] == pytest.approx(5.0)
    assert seconds[0, levels.index("ml.p2.xlarge")] == pytest.approx(5.0 / 7.6177, rel=1e-4)
