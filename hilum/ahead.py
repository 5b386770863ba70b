"""Work done ahead of who needs it: results in order, by a few threads, so much at a time and no more."""

from __future__ import annotations

import os
import threading
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from itertools import islice
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


def in_order(
    function: Callable[[Item], Result], items: Iterable[Item], workers: int, most: int
) -> Generator[Result, None, None]:
    """Yields ``function(item)`` of each of ``items``, in their order, made ahead by ``workers`` threads.

    At most ``most`` results are being made or wait to be taken; ``items`` is read no further than that. Without
    workers each result is made when it is asked for. What ``function`` raises is raised in place of its result, and
    then, as when the iterator is closed, nothing more is begun; what was begun is waited for.

    Threads do: decoders, NumPy and PyTorch let others run while they work on pixels.
    """
    if not workers:
        yield from map(function, items)
        return
    pool, source = ThreadPoolExecutor(workers), iter(items)
    try:
        made: deque[Future[Result]] = deque(pool.submit(function, item) for item in islice(source, most))
        while made:
            result = made.popleft().result()
            made.extend(pool.submit(function, item) for item in islice(source, 1))
            yield result
    finally:
        pool.shutdown(cancel_futures=True)


class Room:
    """Room for so much at a time: who wants a part of it waits until there is as much.

    What wants more than there is in all waits until it is alone, and is let in.
    """

    def __init__(self, most: int) -> None:
        self._most, self._taken, self._changed = most, 0, threading.Condition()

    @contextmanager
    def of(self, wanted: int) -> Iterator[None]:
        """Within it ``wanted`` is taken."""
        with self._changed:
            self._changed.wait_for(lambda: not self._taken or self._taken + wanted <= self._most)
            self._taken += wanted
        try:
            yield
        finally:
            with self._changed:
                self._taken -= wanted
                self._changed.notify_all()


def cores() -> int:
    """How many processor cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1  # macOS, Windows
