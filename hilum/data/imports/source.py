"""The files of a source, be it a folder or an archive: tables and texts by name, films one after another.

Folders of this field have half a million files, archives half a terabyte: a folder is listed once, and a reader that
wants files of several kinds has them of one pass (``gather``).
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from hilum.data import archives
from hilum.data.manifest import LeftOut
from hilum.errors import DataError
from hilum.imaging.film import LARGEST_FILE

FILM_NAME = re.compile(r"(?i:[^/\x00-\x1f]{1,200}\.(?:png|jpe?g|dcm))")
LARGEST_TABLE = 1 << 30
"""Bytes; the largest table of the known collections, MIMIC-CXR's annotation in R2Gen's form, has a quarter of it."""

LIMITS = archives.Limits(members=2_000_000, member_bytes=LARGEST_TABLE, total_bytes=8 << 40)
"""Of an archive: MIMIC-CXR, the largest of the known collections, is 377,110 films and 227,835 reports, several
terabytes as DICOM."""

File = tuple[str, bytes]
"""Path in the source, content."""


@dataclass(frozen=True, slots=True)
class Source:
    """A folder or an archive at ``path``; ``listed`` holds the files of a folder by their paths below it, in order,
    and is None for an archive."""

    path: Path
    listed: tuple[str, ...] | None


def opened(path: Path) -> Source:
    """The source at ``path``, a folder listed with its subfolders. Raises DataError where nothing is there."""
    if not path.exists():
        raise DataError("no such file or folder", where=path, fix="name the folder or archive of the films")
    return Source(path, tuple(every_file(path)) if path.is_dir() else None)


def every_file(folder: Path) -> list[str]:
    """The files below ``folder``, by path."""
    paths = sorted(path for path in folder.rglob("*") if path.is_file())
    return [path.relative_to(folder).as_posix() for path in paths]


def table(source: Source, wanted: re.Pattern[str], what: str) -> File:
    """The one file whose base name matches ``wanted`` in full, unpacked where it is gzip.

    Raises DataError where there is none or several; ``what`` names it then.
    """
    return required(source, files(source, wanted), what)


def optional_table(source: Source, wanted: re.Pattern[str], what: str) -> File | None:
    """As ``table``, None where there is none."""
    return at_most_one(source, files(source, wanted), what)


def required(source: Source, found: Iterable[File], what: str) -> File:
    """As ``at_most_one``; raises DataError where there is none."""
    one = at_most_one(source, found, what)
    if one is None:
        raise DataError(f"no {what} in it", where=source.path, fix="name the folder or archive that holds it")
    return one


def at_most_one(source: Source, found: Iterable[File], what: str) -> File | None:
    """The one of the files ``found`` in ``source``, unpacked where it is gzip; None where there is none.

    Raises DataError where there are several; ``what`` names it then.
    """
    found = list(found)
    if len(found) > 1:
        names = ", ".join(name for name, _ in found[:3])
        raise DataError(
            f"{len(found)} files could be {what}: {names}", where=source.path, fix="leave one of them"
        )
    if not found:
        return None
    name, data = found[0]
    return name, unpacked(data, source.path, name)


def gather(source: Source, wanted: Mapping[str, re.Pattern[str]]) -> dict[str, list[File]]:
    """The files of each kind in ``wanted``, known by their base names; the first pattern that matches in full counts.

    An archive is read once for all of them. Patterns have no flags but those that stand in them. Raises DataError as
    ``files`` does.
    """
    found: dict[str, list[File]] = {kind: [] for kind in wanted}
    for name, data in files(source, re.compile("|".join(f"(?:{one.pattern})" for one in wanted.values()))):
        kind = next(kind for kind, pattern in wanted.items() if pattern.fullmatch(base(name)))
        found[kind].append((name, data))
    return found


def files(source: Source, wanted: re.Pattern[str]) -> Iterator[File]:
    """Every file whose base name matches ``wanted`` in full; those of a folder by path.

    Raises DataError where one is larger than ``LARGEST_TABLE`` or cannot be read, and what ``archives.stream`` does.
    """
    if source.listed is None:
        yield from archives.stream(source.path, wanted, [], LIMITS)
        return
    for name in source.listed:
        if wanted.fullmatch(base(name)):
            path = source.path / name
            try:
                if path.stat().st_size > LARGEST_TABLE:
                    raise DataError("larger than 1 GiB", where=path, fix="is it the right file?")
                yield name, path.read_bytes()
            except OSError as error:
                raise DataError(f"cannot be read ({error.strerror})", where=path) from None


def unpacked(data: bytes, source: Path, name: str) -> bytes:
    """``data``, decompressed where it is gzip. Raises DataError where it is broken or larger than it may be."""
    if not data.startswith(b"\x1f\x8b"):
        return data
    out: list[bytes] = []
    size = 0
    try:
        while data:
            stream = zlib.decompressobj(zlib.MAX_WBITS | 16)
            out.append(stream.decompress(data, LARGEST_TABLE + 1 - size))
            size += len(out[-1])
            if size > LARGEST_TABLE:
                raise DataError("larger than 1 GiB when unpacked", where=source / name)
            if not stream.eof:
                raise zlib.error("it ends too early")
            data = stream.unused_data
    except zlib.error as error:
        raise DataError(f"not whole gzip data ({error})", where=source / name, fix="obtain it anew") from None
    return b"".join(out)


def films(source: Source, left_out: list[LeftOut]) -> Iterator[File]:
    """Every file that is named like a film; others, and those that cannot be read, go to ``left_out``."""
    if source.listed is None:
        yield from archives.stream(source.path, FILM_NAME, left_out, LIMITS)
        return
    for name in source.listed:
        if not FILM_NAME.fullmatch(base(name)):
            left_out.append(LeftOut(name, "its name is not of the expected form"))
            continue
        path = source.path / name
        try:
            if path.stat().st_size > LARGEST_FILE:
                left_out.append(LeftOut(name, f"larger than {LARGEST_FILE} bytes"))
                continue
            data = path.read_bytes()
        except OSError as error:
            left_out.append(LeftOut(name, f"cannot be read ({error.strerror})"))
        else:
            yield name, data


def count(source: Source) -> int | None:
    """How many files there are, where that is known without unpacking."""
    return archives.count(source.path) if source.listed is None else len(source.listed)


def base(name: str) -> str:
    """The last part of a path in the source."""
    return PurePosixPath(name).name
