"""The files of a source, be it a folder or an archive: tables and texts by name, films one after another."""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from hilum.data import archives
from hilum.data.manifest import LeftOut
from hilum.errors import DataError

FILM_NAME = re.compile(r"(?i:[^/\x00-\x1f]{1,200}\.(?:png|jpe?g|dcm))")
LARGEST_TABLE = 1 << 30
"""Bytes; the largest table of the known collections, MIMIC-CXR's annotation in R2Gen's form, has a quarter of it."""


def require(source: Path) -> None:
    """Raises DataError where ``source`` is neither a folder nor a file."""
    if not source.exists():
        raise DataError("no such file or folder", where=source, fix="name the folder or archive of the films")


def table(source: Path, wanted: re.Pattern[str], what: str) -> tuple[str, bytes]:
    """(path in the source, content) of the one file whose base name matches ``wanted`` in full.

    Raises DataError where there is none or several; ``what`` names it then.
    """
    found = optional_table(source, wanted, what)
    if found is None:
        raise DataError(f"no {what} in it", where=source, fix="name the folder or archive that holds it")
    return found


def optional_table(source: Path, wanted: re.Pattern[str], what: str) -> tuple[str, bytes] | None:
    """As ``table``, None where there is none."""
    found = [(name, data) for name, data in files(source, wanted)]
    if len(found) > 1:
        names = ", ".join(name for name, _ in found[:3])
        raise DataError(f"{len(found)} files could be {what}: {names}", where=source, fix="leave one of them")
    if not found:
        return None
    name, data = found[0]
    return name, unpacked(data, source, name)


def files(source: Path, wanted: re.Pattern[str]) -> Iterator[tuple[str, bytes]]:
    """(path in the source, content) of every file whose base name matches ``wanted`` in full; folders by path.

    Raises DataError where one is larger than ``LARGEST_TABLE`` or cannot be read, and what ``archives.stream`` does.
    """
    if not source.is_dir():
        yield from archives.stream(source, wanted, [], archives.Limits(members=2_000_000))
        return
    for path in every_file(source):
        if wanted.fullmatch(path.name):
            try:
                if path.stat().st_size > LARGEST_TABLE:
                    raise DataError("larger than 1 GiB", where=path, fix="is it the right file?")
                yield path.relative_to(source).as_posix(), path.read_bytes()
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


def films(source: Path, left_out: list[LeftOut]) -> Iterator[tuple[str, bytes]]:
    """(path in the source, content) of every file that is named like a film; others go to ``left_out``."""
    if not source.is_dir():
        yield from archives.stream(source, FILM_NAME, left_out, archives.Limits(members=2_000_000))
        return
    for path in every_file(source):
        name = path.relative_to(source).as_posix()
        if not FILM_NAME.fullmatch(path.name):
            left_out.append(LeftOut(name, "its name is not of the expected form"))
        elif path.stat().st_size > archives.Limits().member_bytes:
            left_out.append(LeftOut(name, f"larger than {archives.Limits().member_bytes} bytes"))
        else:
            try:
                yield name, path.read_bytes()
            except OSError as error:
                left_out.append(LeftOut(name, f"cannot be read ({error.strerror})"))


def count(source: Path) -> int | None:
    """How many files there are, where that is known without unpacking."""
    return len(every_file(source)) if source.is_dir() else archives.count(source)


def every_file(folder: Path) -> list[Path]:
    """The files below ``folder``, by path."""
    return sorted(path for path in folder.rglob("*") if path.is_file())


def base(name: str) -> str:
    """The last part of a path in the source."""
    return PurePosixPath(name).name
