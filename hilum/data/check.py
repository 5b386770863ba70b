"""``hilum data check``: is a data set whole, are its films films, and do its splits keep apart what they should?"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from hilum import ahead
from hilum.data import duplicates, fetch, manifest, openi_reports, splits, suspicions
from hilum.data.splits import Split
from hilum.data.suspicions import Alike, Look, Suspicions
from hilum.errors import DataError, ImageError
from hilum.imaging.film import MOST_PIXELS
from hilum.imaging.pixels import read_film, read_header
from hilum.progress import track
from hilum.study import Study, View

FILM_SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".dcm"})
PATIENTS_APART = frozenset({"clean", "patients", "official"})
"""Splits that promise to keep the studies of a patient in one part."""
ASPECT_TOLERANCE = 0.02
"""Relative; a film's copy in its own shape agrees with the header table to 0.002."""


@dataclass(frozen=True, slots=True)
class Difference:
    """A count that is not that of the whole collection."""

    what: str
    here: int
    whole: int


@dataclass(frozen=True, slots=True)
class Leakage:
    """How much of ``part`` (``validation`` or ``test``) stands in the training part too, in normal form.

    ``verbatim`` counts studies whose findings equal those of a training study, ``near`` those whose findings
    or whole report are a near duplicate of a training study's (equal ones included), ``same_film`` those with
    a film whose file equals one of a training study's, ``near_film`` those with a film that is nearly the same as one
    of a training study's (equal ones included), ``same_patient`` those whose patient has a training study (of the
    ``with_patient`` whose patient the data set names). Where ``near_sought`` is False there are more texts than are
    held against each other, and ``near`` counts equal ones alone.
    """

    part: str
    studies: int
    with_findings: int
    verbatim: int
    near: int
    same_film: int
    near_film: int
    with_patient: int
    same_patient: int
    near_sought: bool = True


@dataclass(frozen=True, slots=True)
class SplitCheck:
    """One split: its sizes, its SHA-256 and what crosses it."""

    name: str
    sizes: dict[str, int]
    sha256: str
    leakage: tuple[Leakage, ...]


@dataclass(frozen=True, slots=True)
class CheckReport:
    """What a check found. ``problems`` are faults of this copy; everything else is for information,
    ``suspicions`` (of single films, and films that are nearly the same) for a person to look at."""

    root: Path
    name: str
    simulated: bool
    counts: dict[str, int]
    differences: tuple[Difference, ...]
    left_out: dict[str, int]
    splits: tuple[SplitCheck, ...]
    suspicions: Suspicions
    problems: tuple[str, ...]

    @property
    def ok(self) -> bool:
        """Whether no problem was found."""
        return not self.problems

    def lines(self) -> list[str]:
        """The report as plain lines, problems last."""
        pixels = "simulated pixels" if self.simulated else "real pixels"
        out = [f"{self.root}: data set {self.name!r}, {pixels}"]
        out += [f"  {what}: {number}" for what, number in self.counts.items()]
        out += [
            f"  differs from the whole collection: {d.what} {d.here}, whole {d.whole}"
            for d in self.differences
        ]
        out += [f"  left out: {number} because {reason}" for reason, number in self.left_out.items()]
        for split in self.splits:
            sizes = ", ".join(f"{part} {size}" for part, size in split.sizes.items())
            out.append(f"  split {split.name}: {sizes}, SHA-256 {split.sha256[:12]}")
            for leak in split.leakage:
                near = (
                    "near duplicates"
                    if leak.near_sought
                    else "equal texts (near ones not sought among so many)"
                )
                out.append(
                    f"    {leak.part}: findings verbatim in train {leak.verbatim} of {leak.with_findings}"
                    f"{_percent(leak.verbatim, leak.with_findings)}, {near} "
                    f"{leak.near} of {leak.studies}"
                    f"{_percent(leak.near, leak.studies)}, same film {leak.same_film}, "
                    f"nearly the same {leak.near_film}, "
                    + (
                        f"same patient {leak.same_patient} of {leak.with_patient}"
                        if leak.with_patient
                        else "patients not named"
                    )
                )
        out += [f"  {line}" for line in self.suspicions.lines()]
        out += [f"  PROBLEM: {problem}" for problem in self.problems]
        out.append(
            "  whole" if self.ok else f"  {len(self.problems)} problem{'s' * (len(self.problems) > 1)}"
        )
        return out


@dataclass(frozen=True, slots=True)
class _Films:
    """What is known of the films: by view id the SHA-256 of their files and what they look like; which are alike."""

    digests: dict[str, str]
    looks: dict[str, Look]
    alike: Alike


@dataclass(frozen=True, slots=True)
class _Texts:
    """One text per study, and the near duplicates of each distinct one."""

    of_study: Sequence[str]
    near: dict[str, set[str]]
    sought: bool


def check(root: Path) -> CheckReport:
    """Checks the data set in ``root``: manifest, films, counts, splits and what leaks through them.

    Every film is decoded. Near duplicates follow ``hilum.data.duplicates``; leakage through a patient with several
    studies is seen where the data set names its patients (Open-i gives every study its own).
    Raises DataError only where ``root`` holds no data set at all; every other fault is a line in ``problems``.
    """
    info = manifest.read_info(root)
    studies_path = root / "studies.jsonl"
    if not studies_path.is_file():
        raise DataError("no studies.jsonl in it, so this is not a data set", where=root, fix="make it anew")
    studies, problems = manifest.scan(studies_path)
    problems = [f"studies.jsonl: {problem}" for problem in problems]
    problems += _check_truth(studies)
    problems += _check_labels(studies)
    noted = _noted(root, problems)
    films = _check_films(root, studies, noted, problems)
    try:
        left_out = dict(Counter(item.reason for item in manifest.read_left_out(root)).most_common())
    except DataError as error:
        left_out = {}
        problems.append(str(error))
    counts = openi_reports.counts(studies)
    differences = [
        Difference(what, counts[what], whole)
        for what, whole in openi_reports.WHOLE.items()
        if info.name == "openi" and counts[what] != whole
    ]
    return CheckReport(
        root=root,
        name=info.name,
        simulated=info.simulated,
        counts={
            "studies": len(studies),
            **{what: number for what, number in counts.items() if number and what != "reports"},
            **{what: number for what, number in _further_counts(studies).items() if number},
            "films at hand": sum(view.file is not None for study in studies for view in study.views),
            **({"films with a noted SHA-256": len(noted)} if noted else {}),
        },
        differences=tuple(differences),
        left_out=left_out,
        splits=tuple(_check_splits(root, studies, films, problems)),
        suspicions=suspicions.gather(studies, films.looks, films.alike),
        problems=tuple(problems),
    )


def _check_truth(studies: Sequence[Study]) -> list[str]:
    """What is wrong with the drawn regions: each must lie in a simulated view of its own study."""
    problems: list[str] = []
    for study in studies:
        views = {view.id: view for view in study.views}
        for finding in study.truth:
            for region in finding.regions:
                view = views.get(region.view)
                x0, y0, x1, y1 = region.box
                if view is None or not view.simulated:
                    problems.append(
                        f"study {study.id}: {finding.kind} is drawn in {region.view}, no view of it"
                    )
                elif not (0 <= x0 < x1 <= (view.width or x1) and 0 <= y0 < y1 <= (view.height or y1)):
                    problems.append(
                        f"study {study.id}: the box of {finding.kind} leaves the film {region.view}"
                    )
    return problems


def _check_labels(studies: Sequence[Study]) -> list[str]:
    """What is wrong with the labels: of one labeller a word can have one state in a study."""
    problems: list[str] = []
    for study in studies:
        stands = Counter((label.by, label.name) for label in study.labels)
        problems += [
            f"study {study.id}: {by} labels {name} {number} times"
            for (by, name), number in stands.items()
            if number > 1
        ]
    return problems


def _further_counts(studies: Sequence[Study]) -> dict[str, int]:
    """Counts that Open-i has no part in: labels that came along, patients that have several studies."""
    named = [study.patient for study in studies if study.patient]
    patients = len(set(named))
    return {
        "with labels": sum(bool(study.labels) for study in studies),
        "patients": patients if patients < len(named) else 0,
    }


def _noted(root: Path, problems: list[str]) -> dict[str, str]:
    try:
        return manifest.read_digests(root)
    except DataError as error:
        problems.append(str(error))
        return {}


def _check_films(
    root: Path, studies: Sequence[Study], noted: Mapping[str, str], problems: list[str]
) -> _Films:
    """What is known of every film; a line in ``problems`` for each that cannot be used.

    ``noted`` holds the digests that the films had when they came, by file; empty where nobody noted them.
    """
    items = [(study, view) for study in studies for view in study.views if view.file is not None]
    by_file = Counter(view.file for _, view in items)
    by_id = Counter(view.id for _, view in items)
    problems += [f"file {file} stands in {count} views" for file, count in by_file.items() if count > 1]
    problems += [f"image id {view} stands in {count} views" for view, count in by_id.items() if count > 1]
    digests: dict[str, str] = {}
    looks: dict[str, Look] = {}
    workers, room = ahead.cores(), ahead.Room(MOST_PIXELS)
    checked = ahead.in_order(lambda item: _check_film(root, item[1], room), items, workers, most=4 * workers)
    for (study, view), (digest, look, problem) in zip(
        items, track(checked, "checking films", len(items)), strict=True
    ):
        if digest:
            digests[view.id] = digest
        if look is not None:
            looks[view.id] = look
        if problem:
            problems.append(f"study {study.id}: {problem}")
        elif digest and noted and noted.get(view.file or "") != digest:
            was = "has no digest" if view.file not in noted else "is not the one that came: another SHA-256"
            problems.append(f"study {study.id}: {view.file} {was} in {manifest.DIGESTS}")
    known = {root / file for file in by_file if file is not None}
    stray = sorted(
        path
        for path in (root / "images").rglob("*")
        if path.suffix.lower() in FILM_SUFFIXES and path.is_file() and path not in known
    )
    problems += [f"{path.relative_to(root).as_posix()} belongs to no study" for path in stray]
    return _Films(digests, looks, suspicions.alike(looks))


def _check_film(root: Path, view: View, room: ahead.Room) -> tuple[str, Look | None, str]:
    """(SHA-256 of the file, what the film looks like, what is wrong with it), empty where there is nothing to say.

    It is decoded when there is ``room`` for its pixels.
    """
    assert view.file is not None  # the caller chose these
    path = root / view.file
    if not path.is_file():
        return "", None, f"no file {view.file}"
    try:
        digest = fetch.sha256(path)
        height, width = read_header(path)
        with room.of(height * width):
            film = read_film(path)
            look = suspicions.look(film, view)
    except ImageError as error:
        return "", None, f"{view.file}: {error.what}"
    except OSError as error:
        return "", None, f"{view.file}: cannot be read ({error.strerror})"
    if view.height and view.width and height != width:
        ratio = (height / width) / (view.height / view.width)
        # a square may be a stretched copy; another shape has to be the film's own
        if abs(ratio - 1) > ASPECT_TOLERANCE:
            shapes = f"{height}×{width}, but {view.height}×{view.width} as it was taken"
            return digest, look, f"{view.file}: its shape is {shapes}"
    return digest, look, ""


def _check_splits(
    root: Path, studies: Sequence[Study], films: _Films, problems: list[str]
) -> list[SplitCheck]:
    known = {study.id: number for number, study in enumerate(studies)}
    whole, findings = splits.texts(studies)
    texts = [_texts(column) for column in (findings, whole)]
    found: list[SplitCheck] = []
    for name in splits.names(root):
        try:
            split = splits.read(root, name)
        except DataError as error:
            problems.append(str(error))
            continue
        every = [study for part in (*splits.PARTS, "outside") for study in split.part(part)]
        unknown = [study for study in every if study not in known]
        if unknown:
            problems.append(f"split {name}: {len(unknown)} ids are no study here, {unknown[0]!r} first")
        missing = len(known) - (len(every) - len(unknown))
        if missing:
            problems.append(f"split {name}: {missing} studies stand in no part of it")
        leakage = tuple(
            _leakage(split, part, studies, known, texts, films)
            for part in ("validation", "test")
            if split.part(part)
        )
        if name == "clean":
            problems += [
                f"split clean: {leak.near} studies of {leak.part} have near duplicates in train"
                for leak in leakage
                if leak.near
            ]
        if name in PATIENTS_APART:
            problems += [
                f"split {name}: {leak.same_patient} studies of {leak.part} have their patient in train"
                for leak in leakage
                if leak.same_patient
            ]
        sizes = {part: len(split.part(part)) for part in (*splits.PARTS, "outside")}
        found.append(SplitCheck(name, sizes, split.sha256, leakage))
    return found


def _texts(column: Sequence[str]) -> _Texts:
    sought = len(set(column)) <= splits.MOST_COMPARED
    return _Texts(column, duplicates.neighbours(column) if sought else {}, sought)


def _leakage(
    split: Split,
    part: str,
    studies: Sequence[Study],
    known: dict[str, int],
    texts: Sequence[_Texts],
    films: _Films,
) -> Leakage:
    train = [known[study] for study in split.train if study in known]
    held = [known[study] for study in split.part(part) if study in known]
    findings = texts[0].of_study
    near: set[int] = set()
    for column in texts:
        there = {column.of_study[number] for number in train} - {""}
        reached = there.union(*(column.near[text] for text in there if text in column.near))
        near |= {number for number in held if column.of_study[number] in reached}
    verbatim = {findings[number] for number in train} - {""}
    patients = {studies[number].patient for number in train} - {""}
    learnt = [view.id for number in train for view in studies[number].views]
    files = {films.digests[view] for view in learnt if view in films.digests}
    alike = films.alike.reached(learnt)
    return Leakage(
        part=part,
        studies=len(held),
        with_findings=sum(bool(findings[number]) for number in held),
        verbatim=sum(findings[number] in verbatim for number in held),
        near=len(near),
        same_film=sum(
            any(films.digests.get(view.id) in files for view in studies[number].views) for number in held
        ),
        near_film=sum(
            any(films.alike.number.get(view.id) in alike for view in studies[number].views) for number in held
        ),
        with_patient=sum(bool(studies[number].patient) for number in held),
        same_patient=sum(studies[number].patient in patients for number in held),
        near_sought=all(column.sought for column in texts),
    )


def _percent(part: int, whole: int) -> str:
    return f" ({100 * part / whole:.1f} %)" if whole else ""
