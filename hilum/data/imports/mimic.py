"""MIMIC-CXR: reports as text files, films as JPEG or DICOM, tables of headers, split and labels.

Johnson et al., MIMIC-CXR-JPG (arXiv 1901.07042), version 2.0.0 and later: ``mimic-cxr-2.0.0-metadata.csv.gz`` (a row
a film), ``-split`` (train, validate, test), ``-chexpert`` and ``-negbio`` (a row a study: 1.0 present, 0.0 absent,
-1.0 uncertain, empty where not mentioned); ``files/p10/p10000032/s50414267.txt`` the report,
``files/p10/p10000032/s50414267/<dicom_id>.jpg`` or ``.dcm`` its films. Sections are Hilum's own (``text.sections``).
"""

from __future__ import annotations

import re
from collections.abc import Container, Iterable, Mapping
from pathlib import Path

from hilum.data import archives
from hilum.data.imports import source as sources
from hilum.data.imports import tables
from hilum.data.imports.found import Found, by_path
from hilum.data.imports.source import File, Source
from hilum.data.manifest import LeftOut
from hilum.errors import DataError
from hilum.study import Label, Projection, Report, State, Study, View
from hilum.text import sections
from hilum.text.findings import OBSERVATIONS

NAME = "mimic-cxr"
LICENCE = "PhysioNet Credentialed Health Data License 1.5.0"
SPLIT = "official"
LABELLERS = ("chexpert", "negbio")
PARTS = {"train": "train", "validate": "validation", "test": "test"}
_REPORT = re.compile(r"s[0-9]{1,12}\.txt")
_TABLES = {
    kind: re.compile(rf"mimic-cxr-[0-9.]{{1,12}}-{kind}\.csv(?:\.gz)?")
    for kind in ("metadata", "split", *LABELLERS)
}
_READ = re.compile(rf"mimic-cxr-.*\.csv(?:\.gz)?|{_REPORT.pattern}|index\.html|cxr-.*-list\.csv(?:\.gz)?")
_STATES = {1.0: State.PRESENT, 0.0: State.ABSENT, -1.0: State.UNCERTAIN}
_FRONTAL = frozenset({"PA", "AP", "PA LLD", "PA RLD", "AP LLD", "AP RLD", "AP AXIAL"})
_LATERAL = frozenset({"LATERAL", "LL", "RL", "XTABLE LATERAL"})


def read(source: Source, reports: Path | None = None) -> Found:
    """The studies that the tables in ``source`` name, with their reports, labels and official split.

    ``reports`` is the folder or archive with the texts (``mimic-cxr-reports.zip``), ``source`` where None. Without
    texts a study has labels alone. Raises DataError where the table of headers is not there, a table is none, or a
    patient stands in two parts of the split.
    """
    left_out: list[LeftOut] = []
    texts = source if reports is None else _opened_reports(reports)
    files = sources.gather(source, {**_TABLES, **({"reports": _REPORT} if texts is source else {})})
    metadata = sources.required(source, files["metadata"], "mimic-cxr-…-metadata.csv")
    films = _table(source, metadata, ("dicom_id", "subject_id", "study_id", "viewposition"), left_out)
    views: dict[str, list[View]] = {}
    patient_of: dict[str, str] = {}
    paths: dict[str, str] = {}
    for row in films.rows:
        dicom, study, patient = row["dicom_id"], row["study_id"], row["subject_id"]
        where = f"{films.name}, line {row.line}"
        if not (re.fullmatch(r"[0-9A-Za-z-]{1,80}", dicom) and study.isdecimal() and patient.isdecimal()):
            left_out.append(LeftOut(where, "its dicom_id, study_id or subject_id is none"))
        elif patient_of.setdefault(f"s{study}", f"p{patient}") != f"p{patient}":
            left_out.append(LeftOut(where, f"study s{study} belongs to another patient"))
        elif dicom in paths:
            left_out.append(LeftOut(where, f"image {dicom} stands twice"))
        else:
            paths[dicom] = dicom
            size = tables.number(row["rows"]), tables.number(row["columns"])
            views.setdefault(f"s{study}", []).append(
                View(dicom, projection(row["viewposition"]), None, *size)
            )
    labels = _labels(source, files, left_out)
    told = _reports(files["reports"] if texts is source else sources.files(texts, _REPORT), views, left_out)
    studies = []
    for id, films_of in views.items():
        text = told.get(id, sections.Sections())
        report = Report(text.findings, text.impression)
        studies.append(
            Study(
                id, tuple(films_of), text.indication, text.history, text.comparison,
                report if report != Report() else None, patient=patient_of[id], labels=labels.get(id, ()),
            )
        )  # fmt: skip
    if told:
        left_out += [
            LeftOut(id, "no report of it, its films and labels stay") for id in views if id not in told
        ]
    part_of = _split(source, files, patient_of, left_out)
    return Found(
        NAME, "MIMIC-CXR (Johnson et al.)", LICENCE, tuple(studies), by_path(paths), tuple(left_out),
        parts={SPLIT: part_of} if part_of else {}, made_from="the split that comes with MIMIC-CXR-JPG",
        read_files=_READ,
    )  # fmt: skip


def projection(position: str) -> Projection:
    """The projection that View Position (0018,5101) names; obliques and what is empty are unknown."""
    word = " ".join(position.upper().split())
    if word in _FRONTAL:
        return Projection.FRONTAL
    return Projection.LATERAL if word in _LATERAL else Projection.UNKNOWN


def _opened_reports(reports: Path) -> Source:
    if not reports.is_dir() and not archives.is_archive(reports):
        raise DataError("no folder or archive of reports", where=reports, fix="name mimic-cxr-reports.zip")
    return sources.opened(reports)


def _table(source: Source, file: File, needed: tuple[str, ...], left_out: list[LeftOut]) -> tables.Table:
    table = tables.read_csv(file[1], source.path, file[0], needed)
    left_out += table.left_out
    return table


def _labels(
    source: Source, files: Mapping[str, list[File]], left_out: list[LeftOut]
) -> dict[str, tuple[Label, ...]]:
    """The labels of both labellers by study; an empty cell is no label."""
    found: dict[str, tuple[Label, ...]] = {}
    for by in LABELLERS:
        file = sources.at_most_one(source, files[by], f"mimic-cxr-…-{by}.csv")
        if file is None:
            continue
        table = _table(source, file, ("study_id",), left_out)
        seen: set[str] = set()
        for row in table.rows:
            id = f"s{row['study_id']}"
            labels, strange = cells_as_labels(row, by)
            if strange or id in seen:
                said = f"{strange[0]} is {row[strange[0]]!r}" if strange else f"study {id} stands twice"
                left_out.append(LeftOut(f"{table.name}, line {row.line}", said))
                continue
            seen.add(id)
            found[id] = (*found.get(id, ()), *labels)
    return found


def cells_as_labels(row: tables.Row, by: str) -> tuple[tuple[Label, ...], list[str]]:
    """(labels, columns that hold something else) of a row with CheXpert's columns: 1, 0, -1 or empty."""
    labels: list[Label] = []
    strange: list[str] = []
    for name in OBSERVATIONS:
        cell = row[name.lower()]
        if not cell:
            continue
        try:
            labels.append(Label(name, _STATES[float(cell)], by))
        except (ValueError, KeyError):
            strange.append(name.lower())
    return tuple(labels), strange


def _reports(
    files: Iterable[File], known: Container[str], left_out: list[LeftOut]
) -> dict[str, sections.Sections]:
    """The sections of every report of a ``known`` study."""
    found: dict[str, sections.Sections] = {}
    for name, data in files:
        id = Path(sources.base(name)).stem
        if id not in known:
            left_out.append(LeftOut(name, "no film of its study is in the tables"))
        elif id in found:
            left_out.append(LeftOut(name, f"a second report of {id}"))
        else:
            try:
                found[id] = sections.split(data.decode())
            except UnicodeDecodeError as error:
                left_out.append(LeftOut(name, f"not UTF-8 text (byte {error.start})"))
    return found


def _split(
    source: Source, files: Mapping[str, list[File]], patient_of: Mapping[str, str], left_out: list[LeftOut]
) -> dict[str, str]:
    """The part of each study. Raises DataError where a patient stands in two."""
    file = sources.at_most_one(source, files["split"], "mimic-cxr-…-split.csv")
    if file is None:
        return {}
    table = _table(source, file, ("study_id", "split"), left_out)
    part_of: dict[str, str] = {}
    of_patient: dict[str, str] = {}
    for row in table.rows:
        id, part = f"s{row['study_id']}", PARTS.get(row["split"].lower())
        if id not in patient_of or part is None:
            said = "no film of its study is in the tables" if part else f"no part {row['split'][:40]!r}"
            left_out.append(LeftOut(f"split, line {row.line}", said))
            continue
        patient = patient_of[id]
        if of_patient.setdefault(patient, part) != part:
            raise DataError(
                f"patient {patient} stands in {of_patient[patient]} and {part}",
                where=source.path / table.name, fix="obtain it anew",
            )  # fmt: skip
        part_of[id] = part
    return part_of
