"""What people who wait are shown."""

from __future__ import annotations

import io
from collections.abc import Iterator

import pytest
from rich.console import Console

from hilum import progress


@pytest.mark.parametrize("items", [[], [1], list(range(50))])
def test_yields_what_it_was_given_in_order(items: list[int]) -> None:
    assert list(progress.track(items, "x")) == items
    assert list(progress.track(iter(items), "x")) == items


def test_takes_items_only_as_they_are_asked_for() -> None:
    taken: list[int] = []

    def source() -> Iterator[int]:
        for n in range(10):
            taken.append(n)
            yield n

    iterator = progress.track(source(), "x")
    next(iterator)
    next(iterator)
    assert taken == [0, 1]


def test_short_work_prints_nothing_where_nobody_watches(capsys: pytest.CaptureFixture[str]) -> None:
    list(progress.track(range(1000), "x"))
    assert capsys.readouterr() == ("", "")


def test_long_work_prints_plain_lines(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    now = iter(range(0, 1000, 5))
    monkeypatch.setattr(progress.time, "monotonic", lambda: float(next(now)))
    list(progress.track(range(6), "films", done=4))
    out, err = capsys.readouterr()
    lines = err.splitlines()
    assert out == ""
    # five seconds an item, a line each ten: after items 2, 4 and 6 of this run
    assert lines[0] == "films: 6/10, 0.2/s, 20 s left"
    assert lines[1] == "films: 8/10, 0.2/s, 10 s left"
    assert lines[-1].startswith("films: 10 done in ")
    assert "\x1b" not in err and "\r" not in err


def test_unknown_total_has_no_time_left(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    now = iter(range(0, 1000, 10))
    monkeypatch.setattr(progress.time, "monotonic", lambda: float(next(now)))
    list(progress.track(iter(range(2)), "films"))
    first = capsys.readouterr().err.splitlines()[0]
    assert first == "films: 1, 0.1/s"


def test_terminal_shows_a_bar_with_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    screen = io.StringIO()
    monkeypatch.setattr(
        progress,
        "Console",
        lambda **_: Console(file=screen, force_terminal=True, width=100, _environ={"TERM": "xterm"}),
    )
    assert list(progress.track(range(3), "films", done=2)) == [0, 1, 2]
    assert "films" in screen.getvalue()
    assert "5/5" in screen.getvalue()


def test_an_error_in_the_work_comes_through() -> None:
    with pytest.raises(ZeroDivisionError):
        for item in progress.track([1, 0], "x"):
            1 // item


def test_bytes_on_their_way(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter([0.0, 1.0, 11.0, 12.0, 30.0])
    monkeypatch.setattr(progress.time, "monotonic", lambda: next(clock))
    with progress.transfer("films.tgz", 1_360_000_000, 100_000_000) as tell:
        for there in (150_000_000, 210_000_000, 220_000_000, 700_000_000):
            tell(there)
    assert capsys.readouterr() == ("", (
        "films.tgz: 210.0 of 1,360.0 MB, 10.0 MB/s, 115 s left\n"
        "films.tgz: 700.0 of 1,360.0 MB, 20.0 MB/s, 33 s left\n"
    ))  # fmt: skip


def test_bytes_without_an_end_and_without_any(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = iter([0.0, 20.0, 0.0, 20.0])
    monkeypatch.setattr(progress.time, "monotonic", lambda: next(clock))
    with progress.transfer("a", None) as tell:
        tell(40_000_000)
    with progress.transfer("b", 10_000_000) as tell:
        tell(0)
    assert capsys.readouterr().err == "a: 40.0 MB, 2.0 MB/s\nb: 0.0 of 10.0 MB, 0.0 MB/s\n"


def test_bytes_on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    screen = io.StringIO()
    console = Console(file=screen, force_terminal=True, width=100)
    monkeypatch.setattr(progress, "Console", lambda **_: console)
    with progress.transfer("films.tgz", 2_000_000) as tell:
        tell(1_000_000)
        tell(2_000_000)
    assert "films.tgz" in screen.getvalue() and "2.0/2.0 MB" in screen.getvalue()
