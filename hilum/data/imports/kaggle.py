"""Kaggle's copy of Open-i: ``indiana_reports.csv``, ``indiana_projections.csv`` and ``images_normalized``.

The studies are those of Open-i that have a film (3,851 of 3,955), under the same ids; MeSH descriptors stand in one
cell, parted by semicolons. The films are smaller copies in their own shape, so the file's height and width count.
"""

from __future__ import annotations

import re

from hilum.data import openi_views
from hilum.data.imports import source as sources
from hilum.data.imports import tables
from hilum.data.imports.found import Found, by_name
from hilum.data.imports.source import File, Source
from hilum.data.manifest import LeftOut
from hilum.data.openi import COLLECTION, LICENCE
from hilum.study import Projection, Report, Study, View

NAME = "openi-kaggle"
SOURCE = f"{COLLECTION}, as copied to Kaggle"
REPORTS = re.compile(r"indiana_reports\.csv")
PROJECTIONS = re.compile(r"indiana_projections\.csv")
_PROJECTION = {"frontal": Projection.FRONTAL, "lateral": Projection.LATERAL}


def read(source: Source) -> Found:
    """The studies in the two tables of ``source``. Raises DataError where a table is not there or is none."""
    left_out: list[LeftOut] = []
    files = sources.gather(source, {"reports": REPORTS, "projections": PROJECTIONS})
    views = _views(source, files["projections"], left_out)
    name, data = sources.required(source, files["reports"], "indiana_reports.csv")
    table = tables.read_csv(data, source.path, name, ("uid", "mesh", "findings", "impression"))
    left_out += table.left_out
    studies: list[Study] = []
    for row in table.rows:
        uid = row["uid"]
        if not re.fullmatch(r"\d{1,6}", uid, re.ASCII):
            left_out.append(LeftOut(f"{name}, line {row.line}", f"its uid is {uid[:40]!r}"))
            continue
        report = Report(row["findings"], row["impression"])
        studies.append(
            Study(
                id=f"CXR{uid}",
                views=tuple(views.pop(f"CXR{uid}", {}).values()),
                indication=row["indication"],
                comparison=row["comparison"],
                report=report if report != Report() else None,
                mesh=tuple(term for part in row["mesh"].split(";") if (term := part.strip())),
            )
        )
    left_out += [LeftOut(view, "no report of its study") for rest in views.values() for view in rest]
    return Found(
        NAME, SOURCE, LICENCE, tuple(studies), by_name(openi_views.view_id), tuple(left_out),
        read_files=re.compile(f"{REPORTS.pattern}|{PROJECTIONS.pattern}"),
    )  # fmt: skip


def _views(source: Source, files: list[File], left_out: list[LeftOut]) -> dict[str, dict[str, View]]:
    """The views by id, by the id of their study."""
    name, data = sources.required(source, files, "indiana_projections.csv")
    table = tables.read_csv(data, source.path, name, ("uid", "filename", "projection"))
    left_out += table.left_out
    found: dict[str, dict[str, View]] = {}
    for row in table.rows:
        where = f"{name}, line {row.line}"
        view = openi_views.view_id(row["filename"])
        projection = _PROJECTION.get(row["projection"].lower(), Projection.UNKNOWN)
        if view is None or view.partition("_")[0] != f"CXR{row['uid']}":
            left_out.append(
                LeftOut(where, f"{row['filename'][:60]!r} is no image of study {row['uid'][:40]!r}")
            )
        elif view in found.setdefault(f"CXR{row['uid']}", {}):
            left_out.append(LeftOut(where, f"image {view} stands twice"))
        else:
            found[f"CXR{row['uid']}"][view] = View(view, projection)
    return found
