"""Named splits: which studies are learned from, which are chosen on, which are kept for the test.

A split is a function of the studies' ids, texts and a seed, and of nothing else: neither of their order nor
of the machine. ``splits/NAME.json`` in the data set's folder holds its ids and their SHA-256, to be named
beside a score.
"""

from __future__ import annotations

import hashlib
import importlib.resources
import re
from bisect import bisect
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec
import numpy as np

from hilum import atomic
from hilum.data import duplicates
from hilum.data.manifest import Dataset
from hilum.errors import DataError
from hilum.study import Study
from hilum.text.normal import normalise

PARTS = ("train", "validation", "test")
SHARES = (0.7, 0.1, 0.2)
_BOUNDS = (0.7, 0.8)
SEED = 0
MOST_COMPARED = 40_000
"""Near duplicates are sought among at most so many reports: each is held against each, a few minutes for so many."""
_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,40}")


@dataclass(frozen=True, slots=True)
class Split:
    """Study ids by part, each in the order of their numbers; ``outside`` holds the studies in no part.

    ``sha256`` is that of the three parts (``digest``); ``made_from`` says what the split was made from.
    """

    name: str
    train: tuple[str, ...]
    validation: tuple[str, ...]
    test: tuple[str, ...]
    sha256: str
    outside: tuple[str, ...] = ()
    made_from: str = ""

    def part(self, name: str) -> tuple[str, ...]:
        """The ids of ``train``, ``validation``, ``test`` or ``outside``; DataError for another name."""
        if name not in (*PARTS, "outside"):
            raise DataError(
                f"split {self.name} has no part {name!r}", fix=f"choose one of {', '.join(PARTS)}"
            )
        ids: tuple[str, ...] = getattr(self, name)
        return ids


def digest(train: Iterable[str], validation: Iterable[str], test: Iterable[str]) -> str:
    """SHA-256 over the lines ``part␠id`` of the three parts, each part sorted by code point."""
    lines = [
        f"{part} {study}\n"
        for part, ids in zip(PARTS, (train, validation, test), strict=True)
        for study in sorted(ids)
    ]
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def r2gen(studies: Sequence[Study]) -> Split:
    """The split of R2Gen (Chen et al., EMNLP 2020) as far as ``studies`` reach: 2,069 / 296 / 590 in full.

    Nearly every paper on this collection uses it. Studies that are in none of its parts are ``outside``.
    """
    return _published("r2gen", studies)


def random(studies: Sequence[Study], seed: int = SEED) -> Split:
    """Studies with a report at random, about 70/10/20, as many papers did; duplicated texts cross it.

    Each study's part is a function of its id and the seed alone: other studies that come or go never move it.
    """
    part_of = {s.id: PARTS[bisect(_BOUNDS, chance(seed, s.id))] for s in studies if s.report is not None}
    return _split("random", studies, part_of, f"random 70/10/20, seed {seed}")


def patients(studies: Sequence[Study], seed: int = SEED) -> Split:
    """Studies with a report or labels, about 70/10/20 of the patients: none has studies in two parts.

    A patient's part is a function of the patient and the seed alone (of the study's id where no patient is named), so
    studies that come or go never move others. Repeated texts cross it; for reports see ``clean``.
    """
    part_of = {
        s.id: PARTS[bisect(_BOUNDS, chance(seed, s.patient or s.id))]
        for s in studies
        if s.report is not None or s.labels
    }
    return _split("patients", studies, part_of, f"random 70/10/20 of the patients, seed {seed}")


def given(name: str, studies: Sequence[Study], part_of: dict[str, str], made_from: str) -> Split:
    """The split that a collection brings: ``part_of`` holds the part of each study by id; the rest is ``outside``."""
    return _split(name, studies, part_of, made_from)


def crossing(split: Split, studies: Iterable[Study]) -> list[str]:
    """The patients that have studies in two parts of ``split``, sorted."""
    part_of = {study: part for part in PARTS for study in split.part(part)}
    parts: dict[str, set[str]] = {}
    for study in studies:
        if study.patient and study.id in part_of:
            parts.setdefault(study.patient, set()).add(part_of[study.id])
    return sorted(patient for patient, found in parts.items() if len(found) > 1)


def clean_openi(studies: Sequence[Study]) -> Split:
    """The clean split of the Open-i reports as far as ``studies`` reach: 2,747 / 394 / 786 in full.

    Made once with ``clean`` and kept as a list of ids, so that neither a change of the normal form nor the
    absence of some films moves a study from one part to another.
    """
    return _published("clean", studies)


def clean(studies: Sequence[Study], seed: int = SEED, threshold: float = duplicates.THRESHOLD) -> Split:
    """About 70/10/20 of the studies with a report, such that no report has a near duplicate in another part, and
    no patient has studies in two.

    Near duplicates (``duplicates.clusters`` of findings + impression, and of the findings alone, in normal
    form) stay together; studies whose MeSH says ``normal`` and the others are spread in the same proportion.
    """
    reported = sorted((s for s in studies if s.report is not None), key=lambda s: s.id)
    whole, findings = texts(reported)
    members: dict[int, list[Study]] = {}
    groups = duplicates.clusters(whole, findings, threshold, [study.patient for study in reported])
    for study, number in zip(reported, groups.tolist(), strict=True):
        members.setdefault(number, []).append(study)
    total = np.array([sum(is_normal(s) for s in reported), sum(not is_normal(s) for s in reported)], float)
    wanted_PS = np.outer(SHARES, total)
    held_PS = np.zeros_like(wanted_PS)
    part_of: dict[str, str] = {}
    # the largest groups first, while every part still has room for them
    for group in sorted(members.values(), key=lambda g: (-len(g), min(chance(seed, s.id) for s in g))):
        normal = sum(is_normal(s) for s in group)
        added_S = np.array([normal, len(group) - normal], float)
        room_P = ((wanted_PS - held_PS) * added_S / np.maximum(wanted_PS, 1)).sum(axis=1)
        part = int(np.argmax(room_P))
        held_PS[part] += added_S
        part_of |= {study.id: PARTS[part] for study in group}
    return _split(
        "clean", studies, part_of,
        f"near duplicates together (Jaccard of word pairs ≥ {threshold}), seed {seed}",
    )  # fmt: skip


def texts(studies: Sequence[Study]) -> tuple[list[str], list[str]]:
    """(findings + impression, findings) of each study in normal form, ``""`` where there is none."""
    whole, findings = [], []
    for study in studies:
        report = study.report
        findings.append("" if report is None else normalise(report.findings))
        rest = "" if report is None else normalise(report.impression)
        whole.append(f"{findings[-1]} {rest}".strip())
    return whole, findings


def is_normal(study: Study) -> bool:
    """Whether the annotators called the study normal."""
    return any(descriptor.lower() == "normal" for descriptor in study.mesh)


def write(root: Path, split: Split) -> Path:
    """Writes ``split`` to ``root/splits/NAME.json`` atomically and returns that path."""
    path = _path(root, split.name)
    atomic.write_bytes(path, msgspec.json.format(msgspec.json.encode(split), indent=1) + b"\n")
    return path


def remove(root: Path, name: str) -> None:
    """Removes the split ``name``, where it is there, from the data set in ``root``."""
    _path(root, name).unlink(missing_ok=True)


def read(dataset_root: Path, name: str) -> Split:
    """The split ``name`` of a data set.

    Raises DataError where there is none of that name (naming those there are), where the file is broken,
    where a study is in two parts, and where the ids are not those of its SHA-256.
    """
    path = _path(dataset_root, name)
    if not path.is_file():
        there = ", ".join(names(dataset_root)) or "none"
        raise DataError(f"no split {name!r}", where=dataset_root, fix=f"there is: {there}")
    try:
        split = msgspec.json.decode(path.read_bytes(), type=Split)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise DataError(f"not a split ({error})", where=path, fix="make the data set anew") from None
    if split.name != name:
        raise DataError(f"it calls itself {split.name!r}", where=path, fix="make the data set anew")
    every = [study for part in (*PARTS, "outside") for study in split.part(part)]
    if len(set(every)) != len(every):
        doubled = sorted({study for study in every if every.count(study) > 1})
        raise DataError(f"study {doubled[0]} stands in it twice", where=path, fix="make the data set anew")
    if digest(split.train, split.validation, split.test) != split.sha256:
        raise DataError("its ids are not those of its SHA-256", where=path, fix="make the data set anew")
    return split


def names(dataset_root: Path) -> list[str]:
    """The names of the splits of a data set, sorted."""
    return sorted(
        path.stem for path in (dataset_root / "splits").glob("*.json") if _NAME.fullmatch(path.stem)
    )


def write_all(dataset: Dataset, came_along: Sequence[Split] = ()) -> list[Split]:
    """Writes every split that makes sense for ``dataset`` (``every``) and returns them."""
    made = every(dataset.studies, came_along)
    for split in made:
        write(dataset.root, split)
    return made


def every(studies: Sequence[Study], came_along: Sequence[Split] = ()) -> list[Split]:
    """Every split that makes sense for ``studies``.

    ``clean`` and ``random`` where there are reports, ``r2gen`` where studies of it are there, ``patients`` instead of
    ``random`` where a patient has several studies or no study has a report. Where every study is one of Open-i,
    ``clean`` is ``clean_openi``; it is not made of more than ``MOST_COMPARED`` reports. Splits that ``came_along``
    with the collection are as they are, and stand for others of their name.
    """
    made: dict[str, Split] = {}
    reports = sum(study.report is not None for study in studies)
    of_openi = _universe("clean").issuperset(study.id for study in studies)
    if reports and of_openi:
        made["clean"] = clean_openi(studies)
    elif 0 < reports <= MOST_COMPARED:
        made["clean"] = clean(studies)
    if reports and not _patients_return(studies):
        made["random"] = random(studies)
    elif any(study.report is not None or study.labels for study in studies):
        made["patients"] = patients(studies)
    if _universe("r2gen").intersection(study.id for study in studies):
        made["r2gen"] = r2gen(studies)
    made |= {split.name: split for split in came_along}
    return list(made.values())


class _Resource(msgspec.Struct):
    source: str
    sha256: str
    train: tuple[str, ...]
    validation: tuple[str, ...]
    test: tuple[str, ...]
    outside: tuple[str, ...] = ()


def _resource(name: str) -> _Resource:
    resource = importlib.resources.files("hilum.data").joinpath(f"{name}_split.json")
    return msgspec.json.decode(resource.read_bytes(), type=_Resource)


def _universe(name: str) -> frozenset[str]:
    """Every study that a published split knows of."""
    resource = _resource(name)
    return frozenset((*resource.train, *resource.validation, *resource.test, *resource.outside))


def _published(name: str, studies: Sequence[Study]) -> Split:
    resource = _resource(name)
    part_of = {study: part for part in PARTS for study in getattr(resource, part)}
    return _split(name, studies, part_of, f"{resource.source}; SHA-256 of the whole split {resource.sha256}")


def _split(name: str, studies: Sequence[Study], part_of: dict[str, str], made_from: str) -> Split:
    ids = sorted((study.id for study in studies), key=_natural)
    parts = {part: tuple(i for i in ids if part_of.get(i) == part) for part in PARTS}
    outside = tuple(i for i in ids if i not in part_of)
    return Split(name, **parts, sha256=digest(**parts), outside=outside, made_from=made_from)


def _path(root: Path, name: str) -> Path:
    if not _NAME.fullmatch(name):
        raise DataError(f"{name!r} is not the name of a split", where=root, fix="small letters and digits")
    return root / "splits" / f"{name}.json"


def chance(seed: int, study: str) -> float:
    """A number in [0, 1) that looks random and is the same everywhere: from the SHA-256 of seed and id."""
    return int.from_bytes(hashlib.sha256(f"{seed} {study}".encode()).digest()[:6]) / (1 << 48)


def _patients_return(studies: Sequence[Study]) -> bool:
    named = [study.patient for study in studies if study.patient]
    return len(set(named)) < len(named)


def _natural(study: str) -> tuple[str, int, str]:
    match = re.fullmatch(r"(\D*)(\d{1,18})(.*)", study, re.DOTALL)
    return (study, 0, "") if match is None else (match[1], int(match[2]), match[3])
