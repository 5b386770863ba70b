"""The formats that can be imported, each with its reader: ``hilum data import FORMAT SRC --to DIR``."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from hilum.data import openi, provenance
from hilum.data.exchange import Format
from hilum.data.imports import annotation, chestxray14, covid, folder, kaggle, mimic, writing
from hilum.data.imports import source as sources
from hilum.data.imports.found import Found
from hilum.data.imports.source import Source
from hilum.data.manifest import Dataset
from hilum.errors import InputError


@dataclass(frozen=True, slots=True)
class Options:
    """What some formats can be told; what is not told is None or empty.

    ``reports``: the archive of reports or its folder (openi, mimic-cxr) · ``projections``: a listing (openi) ·
    ``table``, ``columns``, ``licence``: a plain folder's · ``link``: films are linked, not copied (all but openi).
    """

    reports: Path | None = None
    projections: Path | None = None
    table: str | None = None
    columns: Mapping[str, str] = field(default_factory=dict)
    licence: str | None = None
    link: bool = False


_FOR: dict[str, tuple[Format, ...]] = {
    "reports": (Format.OPENI, Format.MIMIC),
    "projections": (Format.OPENI,),
    "table": (Format.FOLDER,),
    "columns": (Format.FOLDER,),
    "licence": (Format.FOLDER,),
    "link": tuple(format for format in Format if format is not Format.OPENI),
}
_EXPORTED = (Format.R2GEN, Format.REXRANK, Format.FOLDER)
"""What exports of Hilum come back by, with a note of what they are."""


def run(format: Format, source: Path, to: Path, options: Options = Options()) -> Dataset:
    """Imports ``source``, a folder or an archive in the layout ``format``, as a data set in ``to``.

    Raises InputError for an option that the format does not have and for a ``to`` in the source, and what its reader
    and ``writing.write`` raise.
    """
    for name, formats in _FOR.items():
        if getattr(options, name) and format not in formats:
            raise InputError(f"{format} has no --{name}", fix=f"it is for {', '.join(formats)}")
    if source.is_dir() and to.resolve().is_relative_to(source.resolve()):
        raise InputError("it lies in the source", where=to, fix="name a folder beside it")
    if format is Format.OPENI:
        return openi.import_images(source, to, reports=options.reports, projections=options.projections)
    opened = sources.opened(source)
    found = read(format, opened, options)
    exported = None
    if format in _EXPORTED:
        exported = sources.optional_table(opened, re.compile(re.escape(provenance.FILE)), provenance.FILE)
    return writing.write(
        found, opened, to, f"hilum data import {format}", link=options.link,
        exported=None if exported is None else provenance.parse(exported[1], source / exported[0]),
    )  # fmt: skip


def read(format: Format, source: Source, options: Options = Options()) -> Found:
    """What the tables of ``source`` say, by the reader of ``format``; of Open-i see ``hilum.data.openi``."""
    if format is Format.KAGGLE:
        return kaggle.read(source)
    if format is Format.R2GEN:
        return annotation.read_r2gen(source)
    if format is Format.REXRANK:
        return annotation.read_rexrank(source)
    if format is Format.MIMIC:
        return mimic.read(source, options.reports)
    if format is Format.COVID:
        return covid.read(source)
    if format in (Format.NIH, Format.CHESTXRAY14):
        return chestxray14.read(source)
    if format is Format.FOLDER:
        return folder.read(source, options.table, options.columns, options.licence or "not stated")
    raise InputError(f"{format} has a way of its own", fix="see hilum.data.openi.import_images")
