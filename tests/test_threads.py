"""Work in threads: results in order, and nothing goes on that nobody waits for."""

import threading
import time
from typing import Any

import pytest

from mohb_jax.threads import map_in_threads, one_ahead

pytestmark = pytest.mark.fast


def always(item: Any, following: Any) -> bool:
    return True


def test_results_come_in_the_order_of_the_items():
    assert map_in_threads(abs, [-3, 2, -1]) == [3, 2, 1]
    assert list(one_ahead(abs, [-3, 2, -1], always)) == [3, 2, 1]
    assert list(one_ahead(abs, [], always)) == []


@pytest.mark.parametrize("allowed", [True, False])
def test_the_next_item_is_begun_while_one_is_worked_on(allowed):
    both = threading.Barrier(2)

    def meets(item: int) -> bool:
        try:
            both.wait(10 if allowed else 0.1)
        except threading.BrokenBarrierError:
            return False
        return True

    assert list(one_ahead(meets, [0, 1], lambda *items: allowed)) == [allowed, allowed]


def test_no_more_than_two_are_worked_on():
    busy: list[int] = []

    def count(item: int) -> int:
        busy.append(item)
        time.sleep(0.02)
        found = len(busy)
        busy.remove(item)
        return found

    assert max(one_ahead(count, range(6), always)) == 2


def endless(begun: threading.Event, ended: threading.Event) -> None:
    begun.set()
    try:
        while True:
            time.sleep(0.001)
    finally:
        ended.set()


@pytest.mark.parametrize("end", ["error", "close"])
def test_what_was_begun_ahead_ends_with_the_rest(end):
    begun, ended = threading.Event(), threading.Event()

    def work(item: int) -> int:
        if item == 1:
            endless(begun, ended)
        begun.wait(10)
        if end == "error":
            raise ValueError("item 0")
        return item

    results = one_ahead(work, [0, 1], always)
    if end == "error":
        with pytest.raises(ValueError, match="item 0"):
            next(results)
    else:
        assert next(results) == 0
        results.close()
    assert ended.is_set()


def test_an_error_comes_when_its_item_is_asked_for():
    def work(item: int) -> int:
        if item == 1:
            raise ValueError("item 1")
        return item

    results = one_ahead(work, [0, 1, 2], always)
    assert next(results) == 0
    with pytest.raises(ValueError, match="item 1"):
        next(results)
