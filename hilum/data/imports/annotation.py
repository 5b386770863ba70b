"""R2Gen's ``annotation.json`` and ReXrank's study files, with their folders of images.

R2Gen (Chen et al., EMNLP 2020): ``{"train": [{"id", "report", "image_path": […], "split"}], "val": …, "test": …}``,
the report being the findings; of MIMIC-CXR an entry is one film, with ``study_id`` and ``subject_id``. Its texts are
whole: R2Gen cuts tokens at 60 when it loads them, not this file. ReXrank: ``{study: {"image_path": […],
"section_findings", "section_impression", "context", "frontal_lateral", "split"}}``.

The folders of Open-i in this form (``CXR2384_IM-0942/0.png``) keep no name of a film, so its projection is unknown
where the file does not say it, and a view is called by its path.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import msgspec

from hilum.data.imports import source as sources
from hilum.data.imports.found import Found, by_path, safe_path, without_suffix
from hilum.data.imports.source import Source
from hilum.data.imports.tables import BOM
from hilum.data.manifest import LeftOut
from hilum.data.openi import LICENCE
from hilum.errors import DataError
from hilum.study import Projection, Report, Study, View
from hilum.text import sections

R2GEN = re.compile(r".*annotation\.json", re.IGNORECASE)
REXRANK = re.compile(r"(?!hilum-export|dataset_info).*\.json", re.IGNORECASE)
UNKNOWN_LICENCE = "not stated in the file"
PARTS = {
    "train": "train",
    "val": "validation",
    "validate": "validation",
    "validation": "validation",
    "test": "test",
}
_OPENI = re.compile(r"(CXR\d{1,6})_(?:\d{1,6}_)?IM-[0-9-]{1,40}", re.ASCII)
_PROJECTION = {"frontal": Projection.FRONTAL, "lateral": Projection.LATERAL}


class _Entry(msgspec.Struct):
    """One entry of R2Gen's file; further keys are passed over."""

    id: str | int
    report: str
    image_path: list[str]
    study_id: str | int | None = None
    subject_id: str | int | None = None


class _Reported(msgspec.Struct):
    """One study of ReXrank's file."""

    image_path: list[str] = []
    section_findings: str | None = None
    section_impression: str | None = None
    report: str | None = None
    context: str | None = None
    frontal_lateral: list[str] | None = None
    split: str | None = None


@dataclass(frozen=True, slots=True)
class _Item:
    """An entry as a study, where it stands in the file, its part, and the path of every view."""

    where: str
    study: Study
    part: str | None
    paths: tuple[str, ...]


def read_r2gen(source: Source) -> Found:
    """The studies of the one annotation file in ``source``; its split comes along as ``r2gen``.

    Raises DataError where there is none, or where it is not of that form.
    """
    name, data = sources.table(source, R2GEN, "annotation.json")
    left_out: list[LeftOut] = []
    try:
        raw = msgspec.json.decode(data.removeprefix(BOM), type=dict[str, list[msgspec.Raw]])
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise DataError(
            f"not R2Gen's annotation ({error})", where=source.path / name, fix="is it the file?"
        ) from None
    strange = sorted(set(raw) - set(PARTS))
    if strange or not raw:
        said = f"it has a part {strange[0][:40]!r}" if strange else "it has no part"
        raise DataError(
            f"not R2Gen's annotation ({said})", where=source.path / name, fix="parts are train, val, test"
        )
    return _found("r2gen", source, name, _r2gen_items(raw, left_out), left_out, R2GEN)


def read_rexrank(source: Source) -> Found:
    """The studies of the one ReXrank file in ``source``; a split comes along where its studies say their part.

    Raises DataError where there is none, or where it is not of that form.
    """
    name, data = sources.table(source, REXRANK, "ReXrank studies (.json)")
    left_out: list[LeftOut] = []
    try:
        raw = json.loads(data.removeprefix(BOM), object_pairs_hook=_Pairs)
    except (ValueError, RecursionError) as error:
        raise DataError(
            f"not a ReXrank file ({error})", where=source.path / name, fix="is it the file?"
        ) from None
    if not isinstance(raw, _Pairs):
        raise DataError("not a ReXrank file (no object)", where=source.path / name, fix="is it the file?")
    return _found("rexrank", source, name, _rexrank_items(raw, left_out), left_out, REXRANK)


class _Pairs(list[tuple[str, Any]]):
    """A JSON object as its pairs, so that a study that stands twice is seen."""


def _r2gen_items(raw: Mapping[str, list[msgspec.Raw]], left_out: list[LeftOut]) -> Iterator[_Item]:
    decoder = msgspec.json.Decoder(_Entry)
    for part, entries in raw.items():
        for number, entry in enumerate(entries, start=1):
            where = f"{part}, entry {number}"
            try:
                item = decoder.decode(entry)
            except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
                left_out.append(LeftOut(where, str(error)))
                continue
            id = _study_id(str(item.id)) if item.study_id is None else prefixed("s", item.study_id)
            patient = "" if item.subject_id is None else prefixed("p", item.subject_id)
            text = item.report.strip()
            study = Study(id, report=Report(findings=text) if text else None, patient=patient)
            yield _Item(f"{where} ({item.id})", study, PARTS[part], tuple(item.image_path))


def _rexrank_items(raw: _Pairs, left_out: list[LeftOut]) -> Iterator[_Item]:
    for number, (id, entry) in enumerate(raw, start=1):
        try:
            id.encode()
            item = msgspec.convert(dict(entry) if isinstance(entry, _Pairs) else entry, _Reported)
            msgspec.json.encode(item)
        except UnicodeEncodeError:
            left_out.append(LeftOut(f"study {number}", "it holds half a character (a lone surrogate)"))
            continue
        except msgspec.ValidationError as error:
            left_out.append(LeftOut(id, str(error)))
            continue
        report = Report((item.section_findings or "").strip(), (item.section_impression or "").strip())
        if report == Report() and item.report:
            told = sections.split(item.report)
            report = Report(told.findings, told.impression)
        asked = sections.split(item.context or "")
        projections = [
            _PROJECTION.get(side.lower(), Projection.UNKNOWN) for side in item.frontal_lateral or ()
        ]
        if len(projections) != len(item.image_path):
            projections = [Projection.UNKNOWN] * len(item.image_path)
        study = Study(
            _study_id(id),
            views=tuple(View("", projection) for projection in projections),
            indication=asked.indication,
            history=asked.history,
            comparison=asked.comparison,
            report=report if report != Report() else None,
        )
        yield _Item(id, study, PARTS.get((item.split or "").lower()), tuple(item.image_path))


def prefixed(letter: str, number: str | int) -> str:
    """A number of MIMIC-CXR as its folders have it: ``s50414267`` a study, ``p10000032`` a patient."""
    text = str(number)
    return text if text.startswith(letter) else f"{letter}{text}"


def _study_id(id: str) -> str:
    """The study's own id: of Open-i's folders (``CXR2384_IM-0942``) the first part."""
    match = _OPENI.fullmatch(id)
    return id if match is None else match[1]


def _found(
    format: str,
    source: Source,
    name: str,
    items: Iterator[_Item],
    left_out: list[LeftOut],
    table: re.Pattern[str],
) -> Found:
    """What ``items`` come to: views named by their paths, entries of one study joined."""
    studies: dict[str, Study] = {}
    paths: dict[str, str] = {}
    part_of: dict[str, str] = {}
    of_openi = True
    for item in items:
        id = item.study.id
        of_openi = of_openi and re.fullmatch(r"CXR\d+", id) is not None
        known = studies.get(id)
        if not id:
            left_out.append(LeftOut(item.where, "its id is empty"))
        elif known is None:
            studies[id] = replace(item.study, views=_views(item, paths, left_out))
            if item.part is not None:
                part_of[id] = item.part
        elif replace(known, views=()) == replace(item.study, views=()) and part_of.get(id) == item.part:
            studies[id] = replace(known, views=(*known.views, *_views(item, paths, left_out)))
        else:
            left_out.append(LeftOut(item.where, f"a second, different entry of study {id}"))
    return Found(
        name=f"openi-{format}" if of_openi else format,
        source=f"{name}, in the form of {'R2Gen' if format == 'r2gen' else 'ReXrank'}",
        licence=LICENCE if of_openi else UNKNOWN_LICENCE,
        studies=tuple(studies.values()),
        view_of=by_path(paths),
        left_out=tuple(left_out),
        parts={format: part_of} if part_of else {},
        made_from=f"the parts in {sources.base(name)}",
        read_files=table,
    )


def _views(item: _Item, paths: dict[str, str], left_out: list[LeftOut]) -> tuple[View, ...]:
    """The views of ``item``, named by their paths, which are noted in ``paths`` too; what cannot be one is listed."""
    planned = item.study.views or (View(""),) * len(item.paths)
    views: list[View] = []
    for path, view in zip(item.paths, planned, strict=True):
        safe = safe_path(path)
        key = None if safe is None else without_suffix(safe)
        if key is None:
            left_out.append(LeftOut(item.where, f"the path {path[:60]!r} leaves the folder of images"))
        elif key in paths:
            left_out.append(LeftOut(item.where, f"image {path[:60]} stands twice"))
        else:
            paths[key] = key.replace("/", "_")
            views.append(replace(view, id=paths[key]))
    return tuple(views)
