"""Results in order, never more at a time than asked for, and an end that leaves nothing running."""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hilum.ahead import Room, cores, in_order


@given(st.integers(0, 30), st.integers(0, 4), st.integers(1, 6), st.integers(0, 10_000))
@settings(deadline=None, max_examples=20)
def test_results_come_in_order_and_no_more_than_asked_for_at_a_time(
    count: int, workers: int, most: int, seed: int
) -> None:
    taken, lock, begun, running = 0, threading.Lock(), 0, 0

    def source() -> Iterator[int]:
        for item in range(count):
            assert item < taken + most + 1  # read no further; one may be in the caller's hands
            yield item

    def work(item: int) -> int:
        nonlocal begun, running
        with lock:
            begun, running = begun + 1, running + 1
            assert running <= max(1, workers) and begun <= taken + most + 1
        time.sleep((item * 7919 + seed) % 5 / 10_000)
        with lock:
            running -= 1
        return item * item

    results = []
    for result in in_order(work, source(), workers, most):
        results.append(result)
        taken += 1
    assert results == [item * item for item in range(count)] and begun == count


@pytest.mark.parametrize("workers", [0, 1, 2, 3])
@pytest.mark.parametrize("error", [ValueError, SystemExit, KeyboardInterrupt])
def test_what_is_raised_comes_in_its_place_and_ends_it_all(workers: int, error: type[BaseException]) -> None:
    threads, begun = threading.active_count(), []

    def work(item: int) -> int:
        begun.append(item)
        if item == 3:
            raise error("the fourth")
        return item

    results = in_order(work, itertools.count(), workers, 4)
    assert [next(results) for _ in range(3)] == [0, 1, 2]
    with pytest.raises(error, match="the fourth"):
        next(results)
    assert len(begun) <= 3 + 1 + 4 and threading.active_count() == threads
    assert not list(results)


def test_one_who_has_had_enough_leaves_nothing_running() -> None:
    threads = threading.active_count()
    results = in_order(lambda item: item, itertools.count(), 3, 6)
    assert next(results) == 0
    results.close()
    assert threading.active_count() == threads


def test_two_threads_work_at_once() -> None:
    both = threading.Barrier(2, timeout=10)
    assert sorted(in_order(lambda item: both.wait(), range(4), 2, 2)) == [0, 0, 1, 1]


def test_a_room_is_never_overfull_and_what_is_too_large_is_let_in_alone() -> None:
    room, lock, inside, seen = Room(10), threading.Lock(), [], []

    def stay(wanted: int) -> None:
        with room.of(wanted):
            with lock:
                inside.append(wanted)
                seen.append(list(inside))
            time.sleep(0.001)
            with lock:
                inside.remove(wanted)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(stay, [3, 9, 4, 25, 1, 10, 5, 5, 11, 2, 2, 2] * 4))
    assert len(seen) == 48 and all(sum(some) <= 10 or len(some) == 1 for some in seen)
    assert max(len(some) for some in seen) > 1


def test_a_room_is_left_after_an_error() -> None:
    room = Room(1)
    with pytest.raises(ValueError), room.of(1):
        raise ValueError
    with room.of(1):
        pass


def test_there_is_a_core() -> None:
    assert cores() >= 1
