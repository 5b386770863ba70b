"""The manifest: the only seam between data and learning.

A data set is a folder:

    dataset.json       what it is: name, source, licence, whether its pixels are simulated
    studies.jsonl      one ``Study`` a line
    images/…           the films, where there are any; ``View.file`` is relative to the folder
    films.sha256       the SHA-256 of every film as it came, in the form that ``sha256sum -c`` reads
    splits/NAME.json   named splits (see ``hilum.data.splits``)
    left_out.jsonl     what the source held and this folder does not, with the reason, one object a line
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import msgspec

from hilum import atomic
from hilum.errors import DataError
from hilum.study import Study, View

FORMAT = "hilum-dataset-1"
DIGESTS = "films.sha256"
MEMBERS = frozenset({"dataset.json", "studies.jsonl", "left_out.jsonl", "images", "masks", "splits", DIGESTS})
"""What may lie in the folder of a data set, by name."""


@dataclass(frozen=True, slots=True)
class DatasetInfo:
    """What a data set says of itself. ``made_by`` holds the command and the versions that made it."""

    name: str
    source: str
    licence: str
    simulated: bool
    made_by: str = ""
    format: str = FORMAT


@dataclass(frozen=True, slots=True)
class LeftOut:
    """Something the source held that the data set does not."""

    what: str
    reason: str


@dataclass(frozen=True, slots=True)
class Dataset:
    """A data-set folder, read whole. Studies are in the manifest's order; ids are distinct."""

    root: Path
    info: DatasetInfo
    studies: tuple[Study, ...]

    def path(self, view: View) -> Path:
        """The file of ``view``. Raises DataError where only the text is at hand."""
        if view.file is None:
            raise DataError(f"image {view.id} is not at hand", where=self.root, fix="import the images first")
        return self.root / view.file

    def by_id(self) -> dict[str, Study]:
        """The studies by their id."""
        return {study.id: study for study in self.studies}


_DIGEST_LINE = re.compile(r"([0-9a-f]{64})  (\S.*)")


def write(
    root: Path,
    info: DatasetInfo,
    studies: Iterable[Study],
    left_out: Sequence[LeftOut] = (),
    digests: Mapping[str, str] | None = None,
) -> Dataset:
    """Writes ``studies`` as a data set; ``dataset.json`` comes last, so a folder that has it is whole.

    ``digests`` holds the SHA-256 of each film by ``View.file``, where whoever obtained them knows it.
    Raises DataError where two studies share an id.
    """
    studies = tuple(studies)
    seen: set[str] = set()
    doubled = sorted({s.id for s in studies if s.id in seen or seen.add(s.id)})  # type: ignore[func-returns-value]
    if doubled:
        raise DataError(f"{len(doubled)} study ids occur twice: {', '.join(doubled[:5])}", where=root)
    atomic.write_json_lines(root / "studies.jsonl", studies)
    write_left_out(root, left_out)
    if digests:
        lines = (f"{digest}  {file}\n" for file, digest in sorted(digests.items()))
        atomic.write_text(root / DIGESTS, "".join(lines))
    else:
        (root / DIGESTS).unlink(missing_ok=True)
    atomic.write_bytes(root / "dataset.json", msgspec.json.format(msgspec.json.encode(info)) + b"\n")
    return Dataset(root, info, studies)


def sha256(root: Path) -> str:
    """The digest of the studies of the data set in ``root``: what a run notes of the data that it has learnt from."""
    return hashlib.sha256((root / "studies.jsonl").read_bytes()).hexdigest()


def read(root: Path, *, need_images: bool = False) -> Dataset:
    """Reads the data set in ``root``. With ``need_images`` every view's file must exist.

    Raises DataError that lists every broken line and every missing image.
    """
    info = read_info(root)
    studies_path = root / "studies.jsonl"
    if not studies_path.is_file():
        raise _not_a_data_set(root, studies_path.name)
    studies, problems = scan(studies_path)
    if need_images:
        for study in studies:
            for view in study.views:
                if view.file is None:
                    problems.append(f"study {study.id}: image {view.id} is not at hand")
                elif not (root / view.file).is_file():
                    problems.append(f"study {study.id}: no file {view.file}")
    if problems:
        raise DataError(
            f"{len(problems)} problem{'s' if len(problems) > 1 else ''} in the manifest",
            where=studies_path, fix="mend these or make the data set anew", problems=problems,
        )  # fmt: skip
    return Dataset(root, info, tuple(studies))


def read_info(root: Path) -> DatasetInfo:
    """What the data set in ``root`` says of itself. Raises DataError if it is none, or of another format."""
    if not root.is_dir():
        raise DataError(
            "no such folder", where=root, fix="make one with `hilum data phantom` or `hilum data import`"
        )
    path = root / "dataset.json"
    if not path.is_file():
        raise _not_a_data_set(root, path.name)
    try:
        info = msgspec.json.decode(path.read_bytes(), type=DatasetInfo)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise DataError(
            f"not a data-set description ({error})", where=path, fix="make the data set anew"
        ) from None
    if info.format != FORMAT:
        raise DataError(f"its format is {info.format!r}, this version reads {FORMAT!r}", where=path)
    return info


def refuse_other(to: Path, name: str) -> None:
    """Refuses to write the data set ``name`` where it would mix with something else.

    Raises DataError where ``to`` is a file, holds another data set, or anything that is no part of one.
    """
    if to.exists() and not to.is_dir():
        raise DataError("a file, not a folder", where=to, fix="name a folder")
    if (to / "dataset.json").is_file():
        there = read_info(to).name
        if there != name:
            raise DataError(f"already holds the data set {there!r}", where=to, fix="name another folder")
    elif to.is_dir():
        foreign = sorted({path.name for path in to.iterdir()} - MEMBERS)
        if foreign:
            raise not_empty(to, foreign[0])


def written_alone(to: Path) -> AbstractContextManager[None]:
    """Keeps other processes from writing a data set into ``to`` at the same time.

    Raises DataError where one is at work there, or where the folder cannot be made (``atomic.only_one``).
    """
    return atomic.only_one(to, DataError, "another process writes a data set there")


def not_empty(to: Path, foreign: str) -> DataError:
    """That ``to`` holds something named ``foreign`` which no data set of ours would."""
    what = f"not empty ({foreign!r} is there) and not a data set"
    return DataError(what, where=to, fix="name an empty folder")


def write_left_out(root: Path, left_out: Sequence[LeftOut]) -> None:
    """Writes the list of what was left out into ``root``; of nothing there is no file."""
    path = root / "left_out.jsonl"
    if left_out:
        atomic.write_json_lines(path, left_out)
    else:
        path.unlink(missing_ok=True)


def read_left_out(root: Path) -> tuple[LeftOut, ...]:
    """What the source held and the data set in ``root`` does not; empty where nothing was left out.

    Raises DataError that names the first broken line.
    """
    path = root / "left_out.jsonl"
    if not path.is_file():
        return ()
    left_out: list[LeftOut] = []
    for number, line in enumerate(path.read_bytes().splitlines(), start=1):
        try:
            left_out.append(msgspec.json.decode(line, type=LeftOut))
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise DataError(f"line {number}: {error}", where=path, fix="make the data set anew") from None
    return tuple(left_out)


def read_digests(root: Path) -> dict[str, str]:
    """The SHA-256 of each film by ``View.file``, as it was when it came; empty where nobody noted it.

    Raises DataError that names the first line that cannot be read.
    """
    path = root / DIGESTS
    if not path.is_file():
        return {}
    digests: dict[str, str] = {}
    for number, line in enumerate(path.read_text(encoding="utf-8", errors="replace").splitlines(), start=1):
        found = _DIGEST_LINE.fullmatch(line)
        if found is None:
            raise DataError(f"line {number} is no digest and name", where=path, fix="import the films anew")
        digests[found[2]] = found[1]
    return digests


def _not_a_data_set(root: Path, missing: str) -> DataError:
    return DataError(
        f"no {missing} in it, so this is not a data set", where=root, fix="see `hilum data --help`"
    )


def scan(path: Path) -> tuple[list[Study], list[str]]:
    """(the studies that can be used, a line on each that cannot) of a ``studies.jsonl``; nothing is raised."""
    decoder = msgspec.json.Decoder(Study)
    studies: list[Study] = []
    problems: list[str] = []
    first_line: dict[str, int] = {}
    for number, line in enumerate(path.read_bytes().splitlines(), start=1):
        if not line.strip():
            continue
        try:
            study = decoder.decode(line)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            problems.append(f"line {number}: {error}")
            continue
        outside = [v.file for v in study.views if v.file and _leaves_folder(PurePosixPath(v.file))]
        if outside:
            problems.append(f"line {number}: {outside[0]} points outside the folder")
        elif study.id in first_line:
            problems.append(f"line {number}: study {study.id} stands on line {first_line[study.id]} too")
        else:
            first_line[study.id] = number
            studies.append(study)
    if not studies and not problems:
        problems.append("it holds no study")
    return studies, problems


def _leaves_folder(path: PurePosixPath) -> bool:
    return path.is_absolute() or ".." in path.parts
