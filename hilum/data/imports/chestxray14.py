"""ChestX-ray14 of the NIH: frontal films with labels and without reports.

Wang et al., CVPR 2017. ``Data_Entry_2017.csv`` (also ``_v2020``): a row a film with its labels of fourteen, or "No
Finding", parted by ``|``; ``train_val_list.txt`` and ``test_list.txt``: the official split, by patients.
The paper defines the labels as a vector of fourteen values, each there or not: what a row does not name is absent,
as that collection means it (its labels were mined from reports by a program, and are wrong in places).
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from hilum.data import splits
from hilum.data.imports import source as sources
from hilum.data.imports import tables
from hilum.data.imports.found import Found, by_path, safe_path, without_suffix
from hilum.data.imports.source import File, Source
from hilum.data.manifest import LeftOut
from hilum.errors import DataError
from hilum.study import Label, Projection, State, Study, View
from hilum.text.findings import NO_FINDING

NAME = "chestx-ray14"
LICENCE = "NIH Clinical Center: free use with citation (Wang et al., CVPR 2017)"
SPLIT = "official"
LABELS = (
    "Atelectasis", "Cardiomegaly", "Effusion", "Infiltration", "Mass", "Nodule", "Pneumonia", "Pneumothorax",
    "Consolidation", "Edema", "Emphysema", "Fibrosis", "Pleural_Thickening", "Hernia",
)  # fmt: skip
TABLE = re.compile(r"Data_Entry_2017(?:_v2020)?\.csv|labels\.csv")
TRAINING, TEST = re.compile(r"train_val_list(?:_NIH)?\.txt"), re.compile(r"test_list(?:_NIH)?\.txt")
VALIDATION_SHARE = 1 / 8
_READ = re.compile(rf"{TABLE.pattern}|{TRAINING.pattern}|{TEST.pattern}|BBox_List_2017.*\.csv")
_IMAGE = ("image index", "image_index")
_FINDINGS = ("finding labels", "finding_labels")
_PATIENT = ("patient id", "patient_id")
_VIEW = ("view position", "view_position", "view")


def read(source: Source) -> Found:
    """The films in the table of ``source``, each a study, with the official split where its lists are there.

    Raises DataError where the table is not there or is none, and where a patient stands in both lists.
    """
    files = sources.gather(source, {"table": TABLE, "train": TRAINING, "test": TEST})
    name, data = sources.required(source, files["table"], "Data_Entry_2017.csv")
    table = tables.read_csv(data, source.path, name)
    columns = {
        names[0]: tables.first_of(table.columns, names) for names in (_IMAGE, _FINDINGS, _PATIENT, _VIEW)
    }
    image, findings, patient = (columns[names[0]] for names in (_IMAGE, _FINDINGS, _PATIENT))
    if image is None or findings is None or patient is None:
        missing = next(name for name in (_IMAGE[0], _FINDINGS[0], _PATIENT[0]) if columns[name] is None)
        raise DataError(f"no column {missing!r}", where=source.path / name, fix="is it the right table?")
    left_out = list(table.left_out)
    paths: dict[str, str] = {}
    studies: list[Study] = []
    for row in table.rows:
        where = f"{name}, line {row.line}"
        path = safe_path(row[image])
        named = tuple(word.strip() for word in row[findings].split("|"))
        strange = [word for word in named if word not in (*LABELS, NO_FINDING)]
        if path is None or "/" in path:
            left_out.append(LeftOut(where, f"{row[image][:60]!r} is not the name of a film"))
        elif strange or (NO_FINDING in named and len(named) > 1):
            left_out.append(LeftOut(where, f"its labels are {row[findings][:80]!r}"))
        elif without_suffix(path) in paths:
            left_out.append(LeftOut(where, f"image {path} stands twice"))
        else:
            id = without_suffix(path)
            paths[id] = id
            view = View(
                id,
                Projection.FRONTAL
                if row[columns[_VIEW[0]] or ""].upper() in ("PA", "AP")
                else Projection.UNKNOWN,
                height=tables.number(row["height]"]),
                width=tables.number(row["originalimage[width"]),
            )
            studies.append(Study(id, (view,), patient=row[patient], labels=labels(named)))
    part_of = _official(source, files, studies, left_out)
    return Found(
        NAME, "ChestX-ray14, NIH Clinical Center", LICENCE, tuple(studies), by_path(paths), tuple(left_out),
        parts={SPLIT: part_of} if part_of else {},
        made_from="train_val_list.txt, an eighth of its patients by hash for validation, and test_list.txt",
        read_files=_READ,
    )  # fmt: skip


def labels(named: tuple[str, ...]) -> tuple[Label, ...]:
    """The labels of a film of which the table names ``named``: those present, the other ones of fourteen absent."""
    nothing = (Label(NO_FINDING, State.PRESENT, NAME),) if NO_FINDING in named else ()
    return nothing + tuple(
        Label(word, State.PRESENT if word in named else State.ABSENT, NAME) for word in LABELS
    )


def _official(
    source: Source, files: Mapping[str, list[File]], studies: list[Study], left_out: list[LeftOut]
) -> dict[str, str]:
    """The part of each study by the official lists, of which there are two: train with validation, and test."""
    lists: dict[str, set[str]] = {}
    for part, wanted in (("train", TRAINING), ("test", TEST)):
        found = sources.at_most_one(source, files[part], wanted.pattern)
        if found is None:
            return {}
        lines = found[1].decode("utf-8", "replace").split()
        lists[part] = {without_suffix(line) for line in lines}
    known = {study.id for study in studies}
    for part, ids in lists.items():
        unknown = len(ids - known)
        if unknown:
            left_out.append(
                LeftOut(f"{unknown} names in the list of {part}", "no row of the table names them")
            )
    test_patients = {study.patient for study in studies if study.id in lists["test"]}
    crossing = sorted({s.patient for s in studies if s.id in lists["train"]} & test_patients)
    if crossing:
        raise DataError(
            f"patient {crossing[0]} stands in both lists of the split",
            where=source.path,
            fix="obtain them anew",
        )
    part_of: dict[str, str] = {}
    for study in studies:
        if study.id in lists["test"]:
            part_of[study.id] = "test"
        elif study.id in lists["train"]:
            held = splits.chance(splits.SEED, study.patient) < VALIDATION_SHARE
            part_of[study.id] = "validation" if held else "train"
    return part_of
