"""Progress for people who wait: a bar with rate and time left; plain lines where nobody watches."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sized
from contextlib import contextmanager
from typing import TypeVar

from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)
from rich.progress import Task as RichTask
from rich.text import Text

Item = TypeVar("Item")
PLAIN_SECONDS = 10.0
"""How often a plain line is printed where the output is not a terminal."""


class _Rate(ProgressColumn):
    def render(self, task: RichTask) -> Text:
        speed = task.finished_speed or task.speed
        return Text("" if speed is None else f"{speed:.1f}/s", style="cyan")


def track(items: Iterable[Item], what: str, total: int | None = None, done: int = 0) -> Iterator[Item]:
    """Yields ``items`` while showing, on standard error, how many are done, the rate and the time left.

    ``total`` defaults to ``len(items)``; ``done`` is how many were finished before this call (a resumed run).
    """
    if total is None:
        total = done + len(items) if isinstance(items, Sized) else None
    console = Console(stderr=True)
    if console.is_terminal:
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), _Rate())
        with Progress(*columns, TimeRemainingColumn(), console=console) as progress:
            task = progress.add_task(what, total=total, completed=done)
            for item in items:
                yield item
                progress.advance(task)
        return
    started = last = time.monotonic()
    count = 0
    for item in items:
        yield item
        count += 1
        now = time.monotonic()
        if now - last >= PLAIN_SECONDS:
            last = now
            rate = count / (now - started)
            left = "" if total is None else f", {max(0.0, (total - done - count) / rate):.0f} s left"
            of = "" if total is None else f"/{total}"
            print(f"{what}: {done + count}{of}, {rate:.1f}/s{left}", file=sys.stderr, flush=True)  # noqa: T201
    if count and time.monotonic() - started >= PLAIN_SECONDS:
        print(f"{what}: {done + count} done in {time.monotonic() - started:.0f} s", file=sys.stderr)  # noqa: T201


@contextmanager
def transfer(what: str, total: int | None, done: int = 0) -> Iterator[Callable[[int], None]]:
    """Shows, on standard error, bytes on their way: how many are there, the rate and the time left.

    Yields a function to be told, as often as one likes, how many bytes are there in all by now. ``total`` is how
    many there will be, where that is known; ``done`` how many were there before (a resumed transfer).
    """
    console = Console(stderr=True)
    if console.is_terminal:
        columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
        with Progress(*columns, TimeRemainingColumn(), console=console) as progress:
            task = progress.add_task(what, total=total, completed=done)
            yield lambda there: progress.update(task, completed=there)
        return
    started = last = time.monotonic()

    def tell(there: int) -> None:
        nonlocal last
        now = time.monotonic()
        if now - last < PLAIN_SECONDS:
            return
        last = now
        rate = max(0, there - done) / (now - started)
        of = "" if total is None else f" of {total / 1e6:,.1f}"
        left = f", {(total - there) / rate:.0f} s left" if total is not None and rate else ""
        line = f"{what}: {there / 1e6:,.1f}{of} MB, {rate / 1e6:.1f} MB/s{left}"
        print(line, file=sys.stderr, flush=True)  # noqa: T201

    yield tell
