"""Which way the beam went in each Open-i film, and how large the film was.

The reports do not say which of their images is the frontal one. Sources, in order of preference:

1. a listing given by the user (Kaggle's ``indiana_projections.csv``);
2. View Position (0018,5101) of the DICOM header, where it says AP or one of the lateral words. ``PA`` says
   nothing: the laterals of one hospital carry it too;
3. the view table that ships with the packaged reports;
4. Acquisition Device Processing Code (0018,1401), which names the examination on these readers;
5. in a study of two films of which one is known, the other one;
6. the series number inside the file's name.

What none of them settles is ``UNKNOWN``. ``docs/data.md`` holds the measured agreement of each step.
"""

from __future__ import annotations

import csv
import gzip
import io
import re
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from hilum.errors import DataError
from hilum.study import Projection

_F, _L = Projection.FRONTAL, Projection.LATERAL
_POSITION = {"AP": _F, "LL": _L, "RL": _L, "LATERAL": _L, "LARGE LATERAL": _L}
_PROCESSING = {
    "60025": _F, "60003": _L, "1": _F, "2": _F, "3": _L, "4": _L, "0200": _F, "720F": _L, "": _F
}  # fmt: skip
_SUFFIX = {"1001": _F, "2001": _L, "1002": _L, "3003": _L, "4004": _F}
_TABLE = {"PA": _F, "L": _L}
_LISTING = {"frontal": _F, "lateral": _L}

IMAGE_ID = re.compile(r"(?:CXR)?(\d{1,6})_(?:\1_)?(IM-\d{1,6}(?:-\d{1,8}){0,3})", re.ASCII)
_SUFFIXES = re.compile(r"(?:\.dcm)?(?:\.(?:png|jpe?g|dcm))?", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Film:
    """What the DICOM header table says of one film; ``None`` and ``""`` where it says nothing."""

    height: int | None
    width: int | None
    view_position: str
    processing_code: str | None
    patient: str = ""


@dataclass(frozen=True, slots=True)
class Tables:
    """The three tables about films, each by view id; empty where it is not at hand."""

    films: Mapping[str, Film]
    packaged: Mapping[str, Projection]
    listing: Mapping[str, Projection]


def view_id(name: str) -> str | None:
    """The view id that an image name stands for, or None where it is not an Open-i image name.

    An image has up to four names: ``CXR1_1_IM-0001-3001`` (``parentImage@id`` of the first report; two images
    have this doubled form), ``CXR1_IM-0001-3001`` (all others, and the PNG release), ``1_IM-0001-3001.dcm``
    (the DICOM release) and ``1_IM-0001-3001.dcm.png`` (Kaggle). The view id is the second form.
    """
    match = IMAGE_ID.match(name)
    if match is None or not _SUFFIXES.fullmatch(name, match.end()):
        return None
    return f"CXR{match[1]}_{match[2]}"


def projections(views: Mapping[str, Sequence[str]], tables: Tables) -> dict[str, Projection]:
    """The projection of every view: ``views`` holds the view ids of each study by study id."""
    known, _ = projections_by_step(views, tables)
    return {view: known.get(view, Projection.UNKNOWN) for ids in views.values() for view in ids}


def projections_by_step(
    views: Mapping[str, Sequence[str]], tables: Tables
) -> tuple[dict[str, Projection], dict[str, str]]:
    """(view id → projection, view id → the step that settled it) for all views that any step settles."""
    known: dict[str, Projection] = {}
    step_of: dict[str, str] = {}
    partner = {ids[i]: ids[1 - i] for ids in views.values() if len(ids) == 2 for i in (0, 1)}

    def position(view: str) -> Projection | None:
        film = tables.films.get(view)
        return None if film is None else _POSITION.get(film.view_position)

    def processing(view: str) -> Projection | None:
        film = tables.films.get(view)
        return None if film is None or film.processing_code is None else _PROCESSING.get(film.processing_code)

    def other(view: str) -> Projection | None:
        opposite = {_F: _L, _L: _F}
        return opposite.get(known[partner[view]]) if partner.get(view) in known else None

    steps: tuple[tuple[str, Callable[[str], Projection | None]], ...] = (
        ("listing", tables.listing.get),
        ("view position", position),
        ("packaged view table", tables.packaged.get),
        ("processing code", processing),
        ("the other of two", other),
        ("series number", lambda view: _SUFFIX.get(view.rpartition("-")[2])),
    )
    for name, step in steps:
        settled = {view: step(view) for ids in views.values() for view in ids if view not in known}
        for view, projection in settled.items():
            if projection is not None:
                known[view] = projection
                step_of[view] = name
    return known, step_of


def read_metadata(path: Path) -> dict[str, Film]:
    """The DICOM header table (``nlmcxr_dicom_metadata.csv.gz``) by view id. Raises DataError if not."""
    films: dict[str, Film] = {}
    for row in _rows(
        path, {"imageid", "Rows", "Columns", "View Position", "Acquisition Device Processing Code"}
    ):
        view = view_id(row["imageid"])
        if view is not None:
            films[view] = Film(
                _pixels(row["Rows"]), _pixels(row["Columns"]), row["View Position"].strip().upper(),
                row["Acquisition Device Processing Code"], row.get("Patient ID", "").strip(),
            )  # fmt: skip
    return films


def read_packaged(path: Path) -> dict[str, Projection]:
    """The packaged view table (``nlmcxr_tsne_pa.csv.gz``) by view id. Raises DataError if it is none."""
    return _read_table(path, "imageid", "tsne-view", _TABLE)


def read_listing(path: Path) -> dict[str, Projection]:
    """A listing with the columns of Kaggle's ``indiana_projections.csv``, by view id. Raises DataError."""
    return _read_table(path, "filename", "projection", _LISTING)


def _read_table(path: Path, name: str, column: str, words: Mapping[str, Projection]) -> dict[str, Projection]:
    found: dict[str, Projection] = {}
    problems: list[str] = []
    for number, row in enumerate(_rows(path, {name, column}), start=2):
        view = view_id(row[name])
        projection = words.get(row[column]) or words.get(row[column].strip().lower())
        if view is None:
            problems.append(f"line {number}: {row[name]!r} is not the name of an Open-i image")
        elif projection is None:
            problems.append(f"line {number}: {column} is {row[column]!r}, expected one of {', '.join(words)}")
        else:
            found[view] = projection
    if problems:
        raise DataError(
            f"{len(problems)} rows cannot be used", where=path, fix="mend them", problems=problems[:20]
        )
    return found


def _rows(path: Path, needed: set[str]) -> list[dict[str, str]]:
    try:
        data = path.read_bytes()
    except OSError as error:
        raise DataError(f"cannot be read ({error.strerror})", where=path, fix="check the name") from None
    try:
        if data.startswith(b"\x1f\x8b"):
            data = gzip.decompress(data)
        reader = csv.DictReader(io.StringIO(data.decode("utf-8-sig"), newline=""), restval="")
        rows = list(reader)
    except (OSError, EOFError, zlib.error, UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"cannot be read as a table ({error})", where=path, fix="obtain it anew") from None
    missing = needed - set(reader.fieldnames or ())
    if missing:
        raise DataError(f"no column {', '.join(sorted(missing))}", where=path, fix="is it the right table?")
    return rows


def _pixels(text: str) -> int | None:
    value = int(text) if text.isdecimal() and len(text) < 7 else 0
    return value or None
