"""The simulated clock against plain event loops; durations that are compared exactly are whole numbers."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mohb_jax.kernels.clock import Layout, list_schedule, overlap_schedule
from tests import reference

pytestmark = [pytest.mark.usefixtures("strict_broadcasting"), pytest.mark.fast]

NUM_JOBS = 24
COMPILED = jax.jit(list_schedule)


def jobs(seed, num_jobs=NUM_JOBS):
    """Whole seconds, some 0; which jobs exist; and before which of these all workers must be idle."""
    rng = np.random.default_rng(seed)
    valid = rng.random(num_jobs) < 0.8
    return rng.integers(8, size=num_jobs).astype(float), valid, valid & (rng.random(num_jobs) < 0.2)


@pytest.mark.parametrize("num_workers", [1, 2, 7, NUM_JOBS + 5])
def test_list_schedule_equals_the_plain_loop(variant, num_workers):
    kernel = variant(list_schedule)
    for seed in range(4):
        durations, valid, waits = jobs(seed)
        start_free = np.random.default_rng(seed).integers(5, size=num_workers).astype(float)
        free, timeline = kernel(durations, valid, waits, jnp.asarray(start_free))
        expected_free, expected = reference.list_schedule(durations[valid], waits[valid], start_free.tolist())
        ran = zip(*(np.asarray(field)[valid].tolist() for field in timeline), strict=True)
        assert list(ran) == expected, f"{seed=}"
        assert np.asarray(free).tolist() == expected_free


def test_ties_go_to_the_lowest_worker():
    durations = jnp.array([2.0, 1, 1, 2, 1, 0, 0])
    nothing = jnp.zeros(7, bool)
    _, timeline = COMPILED(durations, ~nothing, nothing, jnp.zeros(3))
    assert timeline.worker.tolist() == [0, 1, 2, 1, 2, 0, 0]
    assert timeline.start.tolist() == [0, 0, 0, 1, 1, 2, 2]


def test_one_worker_sums_and_workers_enough_leave_durations():
    durations, _, _ = jobs(5)
    everything, nothing = np.ones(NUM_JOBS, bool), np.zeros(NUM_JOBS, bool)
    _, alone = COMPILED(durations, everything, nothing, jnp.zeros(1))
    np.testing.assert_array_equal(alone.end, np.cumsum(durations))
    _, side_by_side = COMPILED(durations + 1, everything, nothing, jnp.zeros(NUM_JOBS + 5))
    np.testing.assert_array_equal(side_by_side.end, durations + 1)
    np.testing.assert_array_equal(side_by_side.worker, np.arange(NUM_JOBS))


def test_padding_takes_no_time_and_no_worker():
    durations, valid, waits = jobs(6)
    free, timeline = COMPILED(durations, valid, waits, jnp.zeros(7))
    others = np.where(valid, durations, 1e9)
    free_too, timeline_too = COMPILED(others, valid, waits, jnp.zeros(7))
    np.testing.assert_array_equal(free, free_too)
    jax.tree.map(np.testing.assert_array_equal, timeline, timeline_too)
    np.testing.assert_array_equal(np.asarray(timeline.end)[~valid], np.asarray(timeline.start)[~valid])


def test_a_schedule_goes_on_where_the_last_one_ended():
    durations, valid, waits = jobs(7)
    whole_free, whole = COMPILED(durations, valid, waits, jnp.zeros(2))
    middle, first = COMPILED(durations[:12], valid[:12], waits[:12], jnp.zeros(2))
    free, second = COMPILED(durations[12:], valid[12:], waits[12:], middle)
    np.testing.assert_array_equal(free, whole_free)
    for parts in zip(first, second, whole, strict=True):
        np.testing.assert_array_equal(np.concatenate(parts[:2]), parts[2])


SIZES = ((9, 3, 1), (4, 2), (3,), (9, 3, 1), (4, 2), (3,))
"""Two passes over three brackets."""
NUM_SLOTS = sum(map(sum, SIZES))


def layout_of(sizes):
    size = np.array([rungs + (0,) * (3 - len(rungs)) for rungs in sizes], np.int32)
    return Layout((np.cumsum(size) - size.ravel()).reshape(size.shape).astype(np.int32), size)


def schedule(num_workers, sizes=SIZES):
    """A function of durations and the mask of jobs."""
    return functools.partial(overlap_schedule, layout=layout_of(sizes), num_workers=num_workers)


def overlap_cases(num_cases):
    """Whole seconds, some 0, and masks: everything, some jobs missing, the table exhausted after the 40th."""
    rng = np.random.default_rng(num_cases)
    durations = rng.integers(12, size=(num_cases, NUM_SLOTS)).astype(float)
    durations[::4] = rng.integers(1, 3, size=durations[::4].shape)  # many workers are free at once
    valid = np.ones(durations.shape, bool)
    valid[1::3] = rng.random(valid[1::3].shape) < 0.7
    valid[2::3, 20:] = False
    return durations, valid


def expected_overlap(durations, valid, num_workers):
    """The plain loop's jobs, and how the rungs are nested."""
    layout, brackets = layout_of(SIZES), []
    for firsts, sizes in zip(layout.first, layout.size, strict=True):
        spans = [slice(first, first + size) for first, size in zip(firsts, sizes, strict=True)]
        brackets.append([durations[span][valid[span]].astype(int).tolist() for span in spans])
    return reference.overlap_schedule(brackets, num_workers)


@pytest.mark.parametrize("num_workers", [1, 2, 7, NUM_SLOTS + 3])
def test_overlap_schedule_equals_a_loop_over_seconds(num_workers):
    durations, valid = overlap_cases(12)
    timelines = jax.jit(jax.vmap(schedule(num_workers)))(durations, valid)
    for case in range(12):
        mask = valid[case]
        ran = zip(*(np.asarray(field[case])[mask].tolist() for field in timelines), strict=True)
        assert list(ran) == expected_overlap(durations[case], mask, num_workers), f"{case=}"


def test_overlap_schedule_in_every_variant(variant):
    durations, valid = (cases[1] for cases in overlap_cases(12))
    timeline = variant(schedule(2))(durations, valid)
    ran = zip(*(np.asarray(field)[valid].tolist() for field in timeline), strict=True)
    assert list(ran) == expected_overlap(durations, valid, 2)


@pytest.mark.parametrize("num_workers", [2, 5])
def test_no_rung_starts_early_and_no_worker_idles_while_a_job_may_run(num_workers):
    durations = np.random.default_rng(num_workers).exponential(size=(6, NUM_SLOTS))
    timelines = jax.jit(jax.vmap(schedule(num_workers)))(durations, np.ones(durations.shape, bool))
    layout, num_waits = layout_of(SIZES), 0
    for start, end, worker in zip(*map(np.asarray, timelines), strict=True):
        for mine in (worker == number for number in range(num_workers)):
            by_start = np.argsort(start[mine])
            assert (start[mine][by_start][1:] >= end[mine][by_start][:-1]).all()
        for firsts, sizes in zip(layout.first, layout.size, strict=True):
            ready = 0.0
            for first, size in zip(firsts, sizes, strict=True):
                rung = slice(first, first + size)
                assert (start[rung] >= ready).all()
                for launch in start[rung]:  # from ready to launch, all workers are busy
                    busy = np.minimum(end, launch) - np.maximum(start, ready)
                    total = busy.clip(0).sum()
                    assert total == pytest.approx(num_workers * (launch - ready), abs=1e-9)
                    num_waits += launch > ready
                ready = end[rung].max(initial=ready)
    assert num_waits > 50  # there was something to test


@pytest.mark.parametrize("num_workers", [1, 3])
def test_a_single_bracket_is_list_scheduling_with_barriers(num_workers):
    sizes = ((9, 3, 1),)
    durations = np.random.default_rng(0).integers(1, 9, size=13).astype(float)
    everything, waits = np.ones(13, bool), np.isin(np.arange(13), [0, 9, 12])
    alone = jax.jit(schedule(num_workers, sizes))(durations, everything)
    _, barrier = COMPILED(durations, everything, waits, jnp.zeros(num_workers))
    np.testing.assert_array_equal(alone.start, barrier.start)
    np.testing.assert_array_equal(alone.end, barrier.end)
