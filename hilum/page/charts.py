"""Charts as plain places on a canvas: what the templates need to draw histograms, curves, dots, bubbles, a word cloud

All places are in the chart's own units, which a page scales to the room it has.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from hilum.data.description import Size
from hilum.text import corpus
from hilum.text.corpus import Distribution, Phrase

WIDTH, HEIGHT = 460.0, 250.0
LEFT, RIGHT, TOP, BOTTOM = 64.0, 14.0, 26.0, 46.0
CLOUD_WIDTH, CLOUD_HEIGHT, LONGEST_WORD = 1100, 430, 28
DOT_LEFT, DOT_ROW, DOT_WIDTH = 215.0, 24.0, 785.0
KINDS = ("first", "second", "third", "fourth")
"""Classes of series, in order; the page gives each a colour and a shape of its own."""


@dataclass(frozen=True, slots=True)
class Frame:
    """The axes: where they lie, where their ticks are, and what they are called."""

    width: float
    height: float
    left: float
    right: float
    top: float
    bottom: float
    x_ticks: tuple[tuple[float, str], ...]
    y_ticks: tuple[tuple[float, str], ...]
    x_title: str
    y_title: str


@dataclass(frozen=True, slots=True)
class Column:
    """One column of a histogram; ``says`` is its tooltip."""

    x: float
    y: float
    width: float
    height: float
    says: str


@dataclass(frozen=True, slots=True)
class Histogram:
    """Columns, and where the median lies."""

    frame: Frame
    columns: tuple[Column, ...]
    median_x: float
    median: str


@dataclass(frozen=True, slots=True)
class Line:
    """One curve: its points as SVG wants them, and where it ends."""

    name: str
    kind: str
    points: str
    end_x: float
    end_y: float


@dataclass(frozen=True, slots=True)
class Curves:
    """Several curves over one axis."""

    frame: Frame
    lines: tuple[Line, ...]


@dataclass(frozen=True, slots=True)
class Mark:
    """A dot or a bubble; ``kind`` is one of ``KINDS``."""

    kind: str
    x: float
    y: float
    radius: float
    says: str


@dataclass(frozen=True, slots=True)
class Marks:
    """Dots of several series, or bubbles of one. ``rows`` are the names at the left, each with its height."""

    frame: Frame
    marks: tuple[Mark, ...]
    rows: tuple[tuple[float, str], ...] = ()


@dataclass(frozen=True, slots=True)
class CloudWord:
    """One word: its baseline's start, its size and its length, so that any typeface fills the same place."""

    text: str
    x: float
    y: float
    size: float
    length: float
    kind: str


@dataclass(frozen=True, slots=True)
class Cloud:
    """A word cloud: the larger a word, the oftener it stands."""

    width: float
    height: float
    words: tuple[CloudWord, ...]


def histogram(values: Distribution, x_title: str, y_title: str) -> Histogram | None:
    """The histogram of ``values``, or None where there are none."""
    if not values.bins or values.median is None:
        return None
    bins = values.bins
    step = (bins[0].high or bins[0].low + 1) - bins[0].low
    low, high = bins[0].low, bins[-1].low + step
    most = max(one.count for one in bins)
    y_ticks = _ticks(0, most)
    top = max(most, y_ticks[-1])
    frame = _frame(low, high, top, [], y_ticks, x_title, y_title)
    # bins of 1 hold whole numbers: their name stands under the column, not at its edge
    shift = 0.5 if step == 1 else 0.0
    labelled = [tick for tick in _ticks(low, high, 7) if low <= tick and tick + shift <= high]
    x_ticks = tuple((_x(frame, tick + shift, low, high), _number(tick)) for tick in labelled)
    columns = []
    for one in bins:
        left, right = _x(frame, one.low, low, high), _x(frame, one.low + step, low, high)
        y = _y(frame, one.count, top)
        ends = f"{_number(one.low)} and more" if one.high is None else _range(one.low, one.high)
        columns.append(
            Column(left + 0.5, y, max(right - left - 1, 0.5), frame.bottom - y, f"{ends}: {one.count:,}")
        )
    return Histogram(
        replace(frame, x_ticks=x_ticks),
        tuple(columns),
        _x(frame, min(values.median + shift, high), low, high),
        _number(values.median),
    )


def curves(
    series: Mapping[str, Sequence[tuple[float, float]]], x_title: str, y_title: str, *, share: bool = False
) -> Curves | None:
    """Curves through the (x, y) of each named series, both axes from 0; None where no series has two points.

    With ``share`` the y are shares of 1, written in percent.
    """
    drawn = {name: points for name, points in series.items() if len(points) > 1}
    if not drawn:
        return None
    high = max(x for points in drawn.values() for x, _ in points)
    most = max(y for points in drawn.values() for _, y in points) or 1.0
    y_ticks = _ticks(0, most * (100 if share else 1))
    top = max(most, y_ticks[-1] / (100 if share else 1))
    frame = _frame(0, high, top, _ticks(0, high, 5), [], x_title, y_title)
    marks = tuple(
        (_y(frame, tick / (100 if share else 1), top), f"{_number(tick)}{' %' if share else ''}")
        for tick in y_ticks
    )
    lines = []
    for kind, (name, points) in zip(KINDS, drawn.items(), strict=False):
        places = [(_x(frame, x, 0, high), _y(frame, y, top)) for x, y in points]
        lines.append(Line(name, kind, " ".join(f"{x:.1f},{y:.1f}" for x, y in places), *places[-1]))
    return Curves(replace(frame, y_ticks=marks), tuple(lines))


def dots(rows: Mapping[str, Mapping[str, float | None]], x_title: str) -> Marks | None:
    """A row of dots for each name, one for each series that has a share (of 1) there; None without rows."""
    names = list(dict.fromkeys(series for each in rows.values() for series in each))
    values = [value for each in rows.values() for value in each.values() if value is not None]
    if not values:
        return None
    ticks = _ticks(0, 100 * max(values) or 1.0, 8)
    high = max(100 * max(values), ticks[-1]) / 100
    height = TOP + DOT_ROW * len(rows) + BOTTOM
    bottom = height - BOTTOM
    frame = Frame(DOT_WIDTH, height, DOT_LEFT, DOT_WIDTH - 24, TOP, bottom, (), (), x_title, "")
    marks, labels = [], []
    for place, (name, each) in enumerate(rows.items()):
        y = TOP + DOT_ROW * (place + 0.5)
        labels.append((y, name))
        for series, value in each.items():
            if value is not None:
                kind = KINDS[names.index(series) % len(KINDS)]
                marks.append(
                    Mark(kind, _x(frame, value, 0, high), y, 5.0, f"{name}, {series}: {100 * value:.1f} %")
                )
    x_ticks = tuple((_x(frame, tick / 100, 0, high), f"{_number(tick)} %") for tick in ticks)
    return Marks(replace(frame, x_ticks=x_ticks), tuple(marks), tuple(labels))


def bubbles(grid: Sequence[Size], cell: int) -> Marks | None:
    """Films by width and height: each cell a bubble whose area says how many; None without films."""
    if not grid:
        return None
    high = float(max(max(one.width, one.height) for one in grid) + cell)
    most = max(one.films for one in grid)
    ticks = _ticks(0, high, 6)
    side = 330.0
    frame = Frame(
        LEFT + side + RIGHT, TOP + side + BOTTOM, LEFT, LEFT + side, TOP, TOP + side,
        (), (), "width, pixels", "height, pixels",
    )  # fmt: skip
    largest = max(6.0, 0.9 * side * cell / high)
    marks = []
    for one in grid:
        x = _x(frame, one.width + cell / 2, 0, high)
        y = _y(frame, one.height + cell / 2, high)
        said = one.films, _range(one.width, one.width + cell), _range(one.height, one.height + cell)
        says = "{:,} films {} wide, {} high".format(*said)
        marks.append(Mark("first", x, y, max(1.6, largest * math.sqrt(one.films / most)), says))
    x_ticks = tuple((_x(frame, tick, 0, high), _number(tick)) for tick in ticks)
    y_ticks = tuple((_y(frame, tick, high), _number(tick)) for tick in ticks)
    return Marks(replace(frame, x_ticks=x_ticks, y_ticks=y_ticks), tuple(marks))


def cloud(words: Sequence[Phrase]) -> Cloud | None:
    """A word cloud, the same every time; None where there is no word, or the package ``wordcloud`` is not there."""
    try:
        from wordcloud import WordCloud
    except ImportError:
        return None
    import matplotlib
    from PIL import ImageFont

    counts = {one.words: one.count for one in words if len(one.words) <= LONGEST_WORD}
    font = f"{matplotlib.get_data_path()}/fonts/ttf/DejaVuSans.ttf"
    try:
        made = WordCloud(
            font_path=font, width=CLOUD_WIDTH, height=CLOUD_HEIGHT, margin=5, prefer_horizontal=1.0,
            min_font_size=11, max_font_size=96, relative_scaling=0.5, random_state=0,
            color_func=lambda *_, **__: "black",
        ).generate_from_frequencies(counts)  # fmt: skip
    except ValueError:  # no word, or none that fits
        return None
    placed = []
    for number, ((word, _), size, (row, column), _, _) in enumerate(made.layout_):
        face = ImageFont.truetype(font, size)
        # a place is that of the ink's upper left corner; SVG wants where the baseline starts
        left, top, _, _ = face.getbbox(word, anchor="ls")
        kind = KINDS[0 if number < 12 else 1 + number % 2]
        length = face.getlength(word)
        placed.append(
            CloudWord(word, float(column - left), float(row - top), float(size), float(length), kind)
        )
    return Cloud(float(CLOUD_WIDTH), float(CLOUD_HEIGHT), tuple(placed))


def _frame(
    low: float, high: float, most: float, x: Sequence[float], y: Sequence[float], x_title: str, y_title: str
) -> Frame:
    bare = Frame(WIDTH, HEIGHT, LEFT, WIDTH - RIGHT, TOP, HEIGHT - BOTTOM, (), (), x_title, y_title)
    x_ticks = tuple((_x(bare, tick, low, high), _number(tick)) for tick in x)
    y_ticks = tuple((_y(bare, tick, most), _number(tick)) for tick in y)
    return replace(bare, x_ticks=x_ticks, y_ticks=y_ticks)


def _x(frame: Frame, value: float, low: float, high: float) -> float:
    return frame.left + (frame.right - frame.left) * (value - low) / (high - low)


def _y(frame: Frame, value: float, most: float) -> float:
    return frame.bottom - (frame.bottom - frame.top) * value / most


def _ticks(low: float, high: float, most: int = 5) -> list[float]:
    """Round numbers from ``low`` on: at most ``most`` + 1 of them, the last one at or below ``high``."""
    if high <= 1:
        return [0.0, 1.0] if low <= 0 else [low]
    step = next(step for step in corpus.steps() if (high - low) / step <= most)
    first = math.ceil(low / step) * step
    return [float(tick) for tick in range(first, int(high) + 1, step)]


def _number(value: float) -> str:
    return f"{value:,.0f}" if float(value).is_integer() else f"{value:,.1f}"


def _range(low: float, high: float) -> str:
    """The whole numbers in [low, high)."""
    return _number(low) if high - low <= 1 else f"{_number(low)}–{_number(high - 1)}"
