"""A plain folder of films with a table: CSV, TSV or lines of JSON, its columns found by name or named by the user.

A row is a study or a film; rows of one study are joined. Paths of films are relative to the table's own folder or to
the source. A Hugging Face ``imagefolder`` (``train/metadata.jsonl`` with ``file_names``) is such a folder: of several
tables called ``metadata`` each is read, and the folder in which it lies is the part of its studies.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import PurePosixPath

import msgspec

from hilum.data.imports import source as sources
from hilum.data.imports import tables
from hilum.data.imports.annotation import PARTS as _PARTS
from hilum.data.imports.found import Found, safe_path, without_suffix
from hilum.data.imports.mimic import cells_as_labels
from hilum.data.imports.mimic import projection as view_position
from hilum.data.imports.source import File, Source
from hilum.data.manifest import LeftOut
from hilum.errors import DataError
from hilum.study import Label, Projection, Report, State, Study, View
from hilum.text import sections
from hilum.text.findings import OBSERVATIONS

SPLIT = "given"
COLUMNS: dict[str, tuple[str, ...]] = {
    "id": ("id", "study_id", "study", "uid", "accession"),
    "image": ("image", "images", "file_name", "file_names", "filename", "file", "image_path", "path"),
    "view_id": ("view_id", "view_ids", "image_id"),
    "projection": ("projection", "projections", "frontal/lateral", "view_position", "view"),
    "height": ("height", "heights"),
    "width": ("width", "widths"),
    "findings": ("findings",),
    "impression": ("impression",),
    "report": ("report", "text"),
    "indication": ("indication",),
    "history": ("history",),
    "comparison": ("comparison",),
    "mesh": ("mesh",),
    "labels": ("labels",),
    "patient": ("patient", "patient_id", "patientid", "subject_id"),
    "split": ("split", "part"),
}
"""What a column may hold, and the names by which it is found; the first that is there counts."""
PARTS = {**_PARTS, "valid": "validation", "dev": "validation", "training": "train"}
_WORDS = {
    "frontal": Projection.FRONTAL, "lateral": Projection.LATERAL, "l": Projection.LATERAL,
    "unknown": Projection.UNKNOWN,
}  # fmt: skip
_TABLE = re.compile(r".*\.(?:csv|tsv|jsonl)", re.IGNORECASE)
_METADATA = re.compile(r"metadata\.(?:csv|tsv|jsonl)", re.IGNORECASE)
_LABEL = re.compile(r"(?P<name>[^=]{1,60})=(?P<state>present|absent|uncertain)(?:@(?P<by>.{1,60}))?")


@dataclass(slots=True)
class _Reading:
    """What was read so far."""

    studies: dict[str, Study] = field(default_factory=dict)
    part_of: dict[str, str] = field(default_factory=dict)
    views: dict[str, str] = field(default_factory=dict)
    """The path of a film in the source, as the table's folder has it, to the id of its view."""
    also: dict[str, str] = field(default_factory=dict)
    """The same by other paths that may have been meant."""
    taken: set[str] = field(default_factory=set)
    """The ids of views."""
    left_out: list[LeftOut] = field(default_factory=list)


def read(
    source: Source,
    table: str | None = None,
    columns: Mapping[str, str] | None = None,
    licence: str = "not stated",
) -> Found:
    """The studies in the table of ``source``: the file ``table``, else the ``metadata`` files, else the only table.

    ``columns`` names columns that are not found by ``COLUMNS``, by what they hold. Raises DataError where there is no
    table or more than one, where it is none, and where no column holds films.
    """
    chosen = {what: name.strip().lower() for what, name in (columns or {}).items()}
    strange = sorted(set(chosen) - set(COLUMNS))
    if strange:
        raise DataError(f"no column is known as {strange[0]!r}", fix=f"there is: {', '.join(COLUMNS)}")
    reading = _Reading()
    names = []
    for name, data in _tables(source, table):
        names.append(name)
        _read_table(source, name, sources.unpacked(data, source.path, name), chosen, reading)
    return Found(
        "folder", f"the folder {source.path.name}", licence, tuple(reading.studies.values()),
        _finder({**reading.also, **reading.views}), tuple(reading.left_out),
        parts={SPLIT: reading.part_of} if reading.part_of else {}, made_from="the parts in the table",
        read_files=re.compile("|".join(re.escape(sources.base(name)) for name in names)),
    )  # fmt: skip


def _finder(paths: Mapping[str, str]) -> Callable[[str], str | None]:
    def view_of(name: str) -> str | None:
        safe = safe_path(name)
        return None if safe is None else paths.get(safe, paths.get(without_suffix(safe)))

    return view_of


def _tables(source: Source, table: str | None) -> list[File]:
    if table is not None:
        wanted = safe_path(table)
        base = re.compile(re.escape(PurePosixPath(table).name))
        found = [
            item
            for item in sources.files(source, base)
            if item[0] == wanted or wanted == sources.base(item[0])
        ]
    else:
        found = list(sources.files(source, _METADATA)) or list(sources.files(source, _TABLE))
    if not found:
        raise DataError(
            f"no {table or 'table'} in it", where=source.path,
            fix="a .csv, .tsv or .jsonl, or name one with --table",
        )  # fmt: skip
    metadata = all(_METADATA.fullmatch(sources.base(name)) for name, _ in found)
    if len(found) > 1 and not metadata:
        names = ", ".join(name for name, _ in found[:3])
        raise DataError(f"{len(found)} tables in it: {names}", where=source.path, fix="name one with --table")
    return found


def _read_table(source: Source, name: str, data: bytes, chosen: Mapping[str, str], reading: _Reading) -> None:
    if name.lower().endswith(".jsonl"):
        rows = list(_lines(data, source, name, reading.left_out))
        header = tuple(dict.fromkeys(column for _, cells in rows for column in cells))
    else:
        table = tables.read_csv(
            data, source.path, name, delimiter="\t" if name.lower().endswith(".tsv") else ","
        )
        reading.left_out += table.left_out
        rows = [(row.line, {column: [cell] for column, cell in row.cells.items()}) for row in table.rows]
        header = table.columns
    missing = sorted(column for column in chosen.values() if column not in header)
    if missing:
        raise DataError(
            f"no column {missing[0]!r}", where=source.path / name, fix=f"there is: {', '.join(header)}"
        )
    column_of = {what: chosen.get(what, tables.first_of(header, names)) for what, names in COLUMNS.items()}
    if column_of["image"] is None:
        raise DataError(
            "no column holds films", where=source.path / name, fix="name it with --column image=NAME"
        )
    folder = PurePosixPath(name).parent
    for line, cells in rows:
        of = {what: cells.get(column, []) for what, column in column_of.items() if column is not None}
        observed = tables.Row(line, {column: "".join(cell) for column, cell in cells.items()})
        _read_row(source, folder, f"{name}, line {line}", of, observed, reading)


def _lines(
    data: bytes, source: Source, name: str, left_out: list[LeftOut]
) -> Iterator[tuple[int, dict[str, list[str]]]]:
    """(line, cells by column) of every line of JSON that is an object of texts, numbers and lists of them."""
    cell = str | int | float | bool | None
    decoder = msgspec.json.Decoder(dict[str, cell | list[cell]])
    for number, line in enumerate(data.removeprefix(tables.BOM).split(b"\n"), start=1):
        if not line.strip():
            continue
        try:
            item = decoder.decode(line)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            left_out.append(LeftOut(f"{name}, line {number}", str(error)))
            continue
        yield number, {
            key.strip().lower(): _as_cells(value) for key, value in item.items()
        }  # fmt: skip


def _as_cells(value: object) -> list[str]:
    """A value of JSON as cells of text; a list of one as JSON, so that its item is not taken apart."""
    if isinstance(value, list):
        texts = ["" if one is None else str(one) for one in value]
        return [msgspec.json.encode(texts).decode()] if len(texts) == 1 else texts
    return [] if value is None else [str(value)]


def _read_row(
    source: Source,
    folder: PurePosixPath,
    where: str,
    of: Mapping[str, Sequence[str]],
    row: tables.Row,
    reading: _Reading,
) -> None:
    def one(what: str) -> str:
        return " ".join(part.strip() for part in of.get(what, ())).strip()

    images = several(of.get("image", ()))
    if not images:
        reading.left_out.append(LeftOut(where, "it names no film"))
        return
    report = Report(one("findings"), one("impression"))
    told = sections.split(one("report")) if report == Report() else sections.Sections()
    report = Report(report.findings or told.findings, report.impression or told.impression)
    labels, strange = _labels(of.get("labels", ()), row)
    reading.left_out += [LeftOut(where, f"{column} is no state of a label") for column in strange]
    study = Study(
        one("id"), (), one("indication") or told.indication, one("history") or told.history,
        one("comparison") or told.comparison, report if report != Report() else None,
        tuple(several(of.get("mesh", ()))), patient=one("patient"), labels=labels,
    )  # fmt: skip
    known = reading.studies.get(study.id)
    if known is not None and replace(known, views=()) != study:
        reading.left_out.append(LeftOut(where, f"a second, different row of study {study.id}"))
        return
    views = _views(source, folder, where, images, of, reading)
    if known is None and views and not study.id:
        study = replace(study, id=views[0].id)
    if not views:
        reading.left_out.append(LeftOut(where, "none of its films can be used"))
    elif known is None and study.id in reading.studies:
        reading.left_out.append(LeftOut(where, f"its film is called as study {study.id} is"))
    else:
        reading.studies[study.id] = replace(study, views=(*(known.views if known else ()), *views))
        _note_part(one("split"), folder, where, study.id, reading)


def _note_part(said: str, folder: PurePosixPath, where: str, id: str, reading: _Reading) -> None:
    """Notes the part of study ``id``: as its row says, else as its table's folder is called."""
    word = said or folder.name
    part = PARTS.get(word.lower())
    if part is None:
        if said and said.lower() != "outside":
            reading.left_out.append(LeftOut(where, f"no part {said[:40]!r}: its study stands in none"))
    elif reading.part_of.setdefault(id, part) != part:
        reading.left_out.append(
            LeftOut(where, f"study {id} stands in {reading.part_of[id]} too, and stays there")
        )


def several(cells: Sequence[str]) -> list[str]:
    """The items of a list, or those of one cell: a list in JSON, or parted by ``;`` or ``|``."""
    if len(cells) == 1:
        cell = cells[0].strip()
        if cell.startswith("["):
            try:
                return [item.strip() for item in msgspec.json.decode(cell, type=list[str]) if item.strip()]
            except (msgspec.DecodeError, UnicodeError, RecursionError):
                pass
        return [item.strip() for item in re.split(r"[;|]", cell) if item.strip()]
    return [cell.strip() for cell in cells if cell.strip()]


def _views(
    source: Source, folder: PurePosixPath, where: str, images: Sequence[str], of: Mapping[str, Sequence[str]],
    reading: _Reading,
) -> list[View]:  # fmt: skip
    """The views of a row; their paths are noted, and what cannot be a film is listed."""

    def each(what: str) -> list[str]:
        cells = of.get(what, ())
        found = list(cells) if len(cells) == len(images) > 1 else several(cells)
        return found if len(found) == len(images) else [""] * len(images)

    views: list[View] = []
    details = zip(*map(each, ("view_id", "projection", "height", "width")), strict=True)
    for image, (given, projection, height, width) in zip(images, details, strict=True):
        path = safe_path(image)
        if path is None:
            reading.left_out.append(LeftOut(where, f"the path {image[:60]!r} leaves the folder"))
            continue
        here = (folder / path).as_posix()
        if here in reading.views:
            reading.left_out.append(LeftOut(where, f"image {path[:60]} stands twice"))
            continue
        id = given or without_suffix(path).replace("/", "_")
        if id in reading.taken:
            id = here.replace("/", "_")
        if id in reading.taken:
            reading.left_out.append(LeftOut(where, f"image id {id[:60]} stands twice"))
            continue
        reading.views[here] = id
        reading.taken.add(id)
        reading.also.setdefault(path, id)
        top, _, below = path.partition("/")
        if top == source.path.name and below:
            reading.also.setdefault(below, id)
        word = _WORDS.get(projection.lower()) or view_position(projection)
        views.append(View(id, word, None, tables.number(height), tables.number(width)))
    return views


def _labels(cells: Sequence[str], row: tables.Row) -> tuple[tuple[Label, ...], list[str]]:
    """(labels, what is none): from columns called as CheXpert's observations, and from ``Name=state@labeller``."""
    labels, strange = cells_as_labels(row, "table")
    written: list[Label] = []
    for text in several(cells):
        match = _LABEL.fullmatch(text)
        if match is None:
            strange.append(text[:60])
        else:
            written.append(Label(match["name"], State(match["state"]), match["by"] or "table"))
    return (*labels, *written), strange


assert {name.lower() for name in OBSERVATIONS}.isdisjoint(
    name for names in COLUMNS.values() for name in names
)
