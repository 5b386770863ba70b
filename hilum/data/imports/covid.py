"""covid-chestxray-dataset: films out of publications, a row of ``metadata.csv`` each.

Cohen et al., COVID-19 Image Data Collection (arXiv 2006.11988). A study is what one patient had on one day (the same
``patientid`` and ``offset``); a film without an offset is a study of its own. CT is left out. What is known is
``finding``, a path such as ``Pneumonia/Viral/COVID-19``; ``clinical_notes`` are about the patient's course, written
by various people, and are no report, so they are not read. Each film has a licence of its own.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import replace
from pathlib import PurePosixPath

from hilum.data.imports import source as sources
from hilum.data.imports import tables
from hilum.data.imports.found import Found, by_path, safe_path, without_suffix
from hilum.data.imports.source import Source
from hilum.data.manifest import LeftOut
from hilum.study import Label, Projection, State, Study, View

NAME = "covid-chestxray-dataset"
TABLE = re.compile(r"metadata\.csv")
_FILM = re.compile(r".*\.(?:png|jpe?g|dcm)", re.IGNORECASE)
_PROJECTION = {
    "PA": Projection.FRONTAL, "AP": Projection.FRONTAL, "AP SUPINE": Projection.FRONTAL, "APS": Projection.FRONTAL,
    "AP ERECT": Projection.FRONTAL, "L": Projection.LATERAL, "LATERAL": Projection.LATERAL,
}  # fmt: skip
_CT = frozenset({"AXIAL", "CORONAL", "CT"})
_NOTHING_KNOWN = frozenset({"", "todo", "unknown"})


def read(source: Source) -> Found:
    """The films in the table of ``source`` by study. Raises DataError where the table is not there or is none."""
    name, data = sources.table(source, TABLE, "metadata.csv")
    table = tables.read_csv(data, source.path, name, ("patientid", "finding", "view", "filename"))
    left_out = list(table.left_out)
    paths: dict[str, str] = {}
    studies: dict[str, Study] = {}
    licences: Counter[str] = Counter()
    for row in table.rows:
        where = f"{name}, line {row.line}"
        path = safe_path(row["filename"])
        view = " ".join(row["view"].upper().split())
        modality = row["modality"]
        id = "" if path is None else without_suffix(PurePosixPath(path).name)
        if modality.lower() not in ("", "x-ray", "xray") or view in _CT:
            left_out.append(
                LeftOut(row["filename"] or where, f"its modality is {modality or view}, not X-ray")
            )
        elif path is None or not _FILM.fullmatch(path):
            left_out.append(LeftOut(where, f"{row['filename'][:60]!r} is not the name of a film"))
        elif not row["patientid"]:
            left_out.append(LeftOut(row["filename"], "its patient is not named"))
        elif id in paths:
            left_out.append(LeftOut(row["filename"], "it stands in the table twice"))
        else:
            paths[id] = id
            licences[row["license"] or "not stated"] += 1
            taken = row["offset"]
            study = f"{row['patientid']}-{taken}" if taken else f"{row['patientid']}-{id}"
            known = studies.get(study, Study(study, patient=row["patientid"]))
            film = View(id, _PROJECTION.get(view, Projection.UNKNOWN))
            labels = known.labels
            if row["finding"].lower() not in _NOTHING_KNOWN:
                labels = tuple(dict.fromkeys((*labels, Label(row["finding"], State.PRESENT, NAME))))
            studies[study] = replace(known, views=(*known.views, film), labels=labels)
    by_film = ", ".join(f"{licence} ({number})" for licence, number in licences.most_common())
    return Found(
        NAME, "covid-chestxray-dataset (Cohen et al., arXiv 2006.11988)", f"by film: {by_film}",
        tuple(studies.values()), by_path(paths), tuple(left_out), read_files=TABLE,
    )  # fmt: skip
