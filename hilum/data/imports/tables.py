"""Tables of strangers: CSV and lines of JSON to rows of text, with what cannot be used said by its line."""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from hilum.data.manifest import LeftOut
from hilum.errors import DataError

BOM = b"\xef\xbb\xbf"


@dataclass(frozen=True, slots=True)
class Row:
    """One row: its cells by column (small letters, no spaces around), and the line on which it ends."""

    line: int
    cells: Mapping[str, str]

    def __getitem__(self, column: str) -> str:
        """The cell without spaces around; ``""`` where there is no such column."""
        return self.cells.get(column, "").strip()


@dataclass(frozen=True, slots=True)
class Table:
    """A table that was read: ``columns`` in order, ``rows`` that can be used, ``left_out`` those that cannot."""

    name: str
    columns: tuple[str, ...]
    rows: tuple[Row, ...]
    left_out: tuple[LeftOut, ...]


def read_csv(data: bytes, source: Path, name: str, needed: Iterable[str] = (), delimiter: str = ",") -> Table:
    """The CSV file ``name`` of ``source``; ``needed`` are columns that must be there, in small letters.

    Blank lines are passed over; a row with more or fewer cells than the header is left out, except for cells that
    are all empty. Raises DataError where it is no such table: not UTF-8, a cell of more than 128 KiB, a quote that is
    never closed, a needed column absent, a column twice.
    """
    where = source / name
    try:
        text = data.removeprefix(BOM).decode()
        lines = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
        cells = [(lines.line_num, row) for row in lines]
    except UnicodeDecodeError as error:
        raise DataError(f"not UTF-8 text (byte {error.start})", where=where, fix="save it as UTF-8") from None
    except csv.Error as error:
        raise DataError(f"cannot be read as a table ({error})", where=where, fix="mend it") from None
    if not cells:
        raise DataError("the table is empty", where=where, fix="is it the right one?")
    header = tuple(column.strip().lower() for column in cells[0][1])
    twice = sorted(column for column, number in Counter(header).items() if column and number > 1)
    if twice:
        raise DataError(f"column {twice[0]!r} stands twice", where=where, fix="name each column once")
    missing = sorted(set(needed) - set(header))
    if missing:
        raise DataError(f"no column {', '.join(missing)}", where=where, fix="is it the right table?")
    rows: list[Row] = []
    left_out: list[LeftOut] = []
    for line, row in cells[1:]:
        if not any(cell.strip() for cell in row):
            continue
        if len(row) < len(header) or any(cell.strip() for cell in row[len(header) :]):
            reason = f"it has {len(row)} cells, the header {len(header)}"
            left_out.append(LeftOut(f"{name}, line {line}", reason))
        else:
            rows.append(Row(line, dict(zip(header, row, strict=False))))
    return Table(name, header, tuple(rows), tuple(left_out))


def number(text: str) -> int | None:
    """A count of pixels in ``text``; None where it is none."""
    value = int(text) if text.isascii() and text.isdecimal() and len(text) < 7 else 0
    return value or None


def first_of(columns: Sequence[str], names: Iterable[str]) -> str | None:
    """The first of ``names`` that is among ``columns``."""
    return next((name for name in names if name in columns), None)
