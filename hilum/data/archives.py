"""Reading archives from elsewhere as a stream; nothing is ever extracted by the name that it carries.

Only regular files whose names match the expected pattern come out, as bytes in memory. A link, a device, an
absolute path, a ``..``, an encrypted member, more members or more bytes than expected: each ends the reading
with an error that names the member, because an archive of reports or films has no honest use for one.
"""

from __future__ import annotations

import bz2
import gzip
import lzma
import re
import stat
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO, BinaryIO, cast

from hilum.data.manifest import LeftOut
from hilum.errors import DataError

_HEADERS = 1 << 20
"""Bytes that may lie between two members of a tar: headers, long names, padding. A few KiB are usual."""
_XZ_MEMORY = 128 << 20
"""Bytes an xz may ask for. The strongest preset asks for 65 MiB; a header can ask for 4 GiB."""
_BROKEN = (
    tarfile.TarError, zipfile.BadZipFile, zlib.error, lzma.LZMAError, struct.error, EOFError, OSError,
    ValueError, IndexError, OverflowError, RuntimeError,
)  # fmt: skip
"""What the readers raise on damaged bytes, found by mutating archives (RuntimeError: a zip's unknown method)."""


class _Xz:
    """The content of an xz, as a file to read: ``lzma.LZMAFile`` knows no limit on the memory that it takes."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._decompressor = lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=_XZ_MEMORY)

    def read(self, size: int = -1) -> bytes:
        while not self._decompressor.eof:
            packed = self._file.read(1 << 16) if self._decompressor.needs_input else b""
            if self._decompressor.needs_input and not packed:
                raise EOFError("the compressed data ends too early")
            if data := self._decompressor.decompress(packed, size):
                return data
        if self._decompressor.unused_data.strip(b"\0") or self._file.read(1):
            raise lzma.LZMAError("more data after its end")
        return b""


_MAGIC: tuple[tuple[bytes, Callable[[BinaryIO], IO[bytes]]], ...] = (
    (b"\x1f\x8b", lambda file: cast(IO[bytes], gzip.GzipFile(fileobj=file))),
    (b"BZh", bz2.BZ2File),
    (b"\xfd7zXZ\x00", lambda file: cast(IO[bytes], _Xz(file))),
)


@dataclass(frozen=True, slots=True)
class Limits:
    """How much an archive may hold before it is refused: members, bytes of one member, bytes of all."""

    members: int = 100_000
    member_bytes: int = 256 << 20
    total_bytes: int = 256 << 30


def is_archive(path: Path) -> bool:
    """Whether ``path`` is a tar (plain or compressed) or a zip, judged by its content, not its name."""
    if not path.is_file():
        return False
    with path.open("rb") as file:
        head = file.read(512)
    return _is_zip(head) or _is_tar(head) or any(head.startswith(magic) for magic, _ in _MAGIC)


def stream(
    path: Path, wanted: re.Pattern[str], left_out: list[LeftOut], limits: Limits = Limits()
) -> Iterator[tuple[str, bytes]]:
    """Yields (name, content) of the regular files in ``path`` whose base name matches ``wanted`` in full.

    Regular files of other names are appended to ``left_out``. The order is the archive's; one member at a time
    is in memory.
    Raises DataError that names the member where one is unsafe or too large, and where the archive is broken.
    """
    if not path.is_file():
        raise DataError("no such file", where=path, fix="name the archive")
    try:
        with path.open("rb") as file:
            head = file.read(512)
            file.seek(0)
            if _is_zip(head):
                yield from _stream_zip(path, file, wanted, left_out, limits)
            else:
                yield from _stream_tar(path, file, head, wanted, left_out, limits)
    except _BROKEN as error:
        raise DataError(
            f"not a whole tar or zip archive ({error or type(error).__name__})",
            where=path, fix="obtain it anew",
        ) from None  # fmt: skip


def count(path: Path) -> int | None:
    """How many members ``path`` holds, where that is known without unpacking (zip, plain tar), else None."""
    try:
        with path.open("rb") as file:
            head = file.read(512)
        if _is_zip(head):
            with zipfile.ZipFile(path) as archive:
                return len(archive.infolist())
        if any(head.startswith(magic) for magic, _ in _MAGIC):
            return None
        with tarfile.open(path, "r:") as archive:
            return sum(member.isreg() for member in archive)
    except _BROKEN:
        return None


class _Metered:
    """A readable file that refuses to give more than its budget, so that no header can ask for all memory."""

    def __init__(self, file: IO[bytes], where: Path) -> None:
        self._file = file
        self._where = where
        self.budget = 0
        self.member = "the first header"
        self.last = b""
        """The last bytes given: zeros where a tar ends as it should."""

    def read(self, size: int = -1) -> bytes:
        data = self._file.read(size)
        self.budget -= len(data)
        self.last = (self.last + data)[-tarfile.BLOCKSIZE :] if data else self.last
        if self.budget < 0:
            raise DataError(f"more bytes than announced near member {self.member!r}", where=self._where)
        return data


def _stream_tar(
    path: Path, file: BinaryIO, head: bytes, wanted: re.Pattern[str], left_out: list[LeftOut], limits: Limits
) -> Iterator[tuple[str, bytes]]:
    opener = next((opener for magic, opener in _MAGIC if head.startswith(magic)), None)
    metered = _Metered(file if opener is None else opener(file), path)
    metered.budget = _HEADERS
    total = 0
    with tarfile.open(fileobj=cast(IO[bytes], metered), mode="r|") as archive:
        for number, member in enumerate(archive, start=1):
            # tarfile keeps every header it has read; a stream needs none of them
            archive.members = []  # type: ignore[attr-defined]
            metered.member = member.name[:200]
            total += member.size
            _refuse_place(path, member.name)
            _refuse_amount(path, member.name, number, member.size, total, limits)
            metered.budget = member.size + _HEADERS
            if member.isdir():
                continue
            if not member.isreg() or member.issparse():
                kind = "a link" if member.issym() or member.islnk() else "not a regular file"
                raise DataError(f"member {member.name!r} is {kind}", where=path, fix="it is not used")
            if _matches(member.name, wanted, left_out):
                content = archive.extractfile(member)
                assert content is not None  # it is a regular file
                data = content.read()
                if len(data) != member.size:
                    raise DataError(f"member {member.name!r} is cut short", where=path, fix="obtain it anew")
                yield member.name, data
    if metered.last.strip(b"\0"):
        raise DataError("the archive ends before its end mark", where=path, fix="obtain it anew")
    # tarfile reads no further than the end mark; the checksum of what was compressed stands behind it
    metered.budget, metered.member = _HEADERS, "the end mark"
    while rest := metered.read(1 << 16):
        if rest.strip(b"\0"):
            raise DataError("more data after the archive's end mark", where=path, fix="obtain it anew")


def _stream_zip(
    path: Path, file: BinaryIO, wanted: re.Pattern[str], left_out: list[LeftOut], limits: Limits
) -> Iterator[tuple[str, bytes]]:
    total = 0
    _refuse_directory(path, file, limits)
    with zipfile.ZipFile(file) as archive:
        for number, member in enumerate(archive.infolist(), start=1):
            total += member.file_size
            _refuse_place(path, member.filename)
            _refuse_amount(path, member.filename, number, member.file_size, total, limits)
            if member.is_dir():
                continue
            mode = member.external_attr >> 16
            if stat.S_IFMT(mode) not in (0, stat.S_IFREG):
                kind = "a link" if stat.S_ISLNK(mode) else "not a regular file"
                raise DataError(f"member {member.filename!r} is {kind}", where=path, fix="it is not used")
            if member.flag_bits & 0x1:
                raise DataError(f"member {member.filename!r} is encrypted", where=path)
            if _matches(member.filename, wanted, left_out):
                with archive.open(member) as content:
                    # the size in the directory may lie; one byte more than it tells the lie
                    data = content.read(member.file_size + 1)
                if len(data) != member.file_size:
                    raise DataError(
                        f"member {member.filename!r} is not of the size announced",
                        where=path,
                        fix="obtain it anew",
                    )
                yield member.filename, data


_ENTRY = struct.Struct("<4s24xHHH12x")
"""What is needed of a zip's directory entry: its mark, and the lengths of name, extra field and comment."""


def _refuse_directory(path: Path, file: BinaryIO, limits: Limits) -> None:
    """Counts the members of a zip one by one, since ``zipfile`` keeps them all before anybody can count them.

    The places of the directory's end are those of the ZIP specification (APPNOTE 6.3.10, sections 4.3.14 to 4.3.16).
    """
    end = file.seek(0, 2)
    file.seek(max(0, end - (1 << 16) - 22))
    tail = file.read()
    at = tail.rfind(b"PK\x05\x06")
    if at < 0 or len(tail) - at < 22:
        raise zipfile.BadZipFile("it has no directory")
    size = int.from_bytes(tail[at + 12 : at + 16], "little")
    at_end = end - len(tail) + at
    if size == 0xFFFFFFFF:  # the numbers are in the record of zip64, which stands before its locator
        at_end -= 20 + 56
        file.seek(at_end)
        record = file.read(56)
        if not record.startswith(b"PK\x06\x06"):
            raise zipfile.BadZipFile("its directory is not where it should be")
        size = int.from_bytes(record[40:48], "little")
    elif tail[at - 20 : at].startswith(b"PK\x06\x07"):
        at_end -= 20 + 56
    if size > at_end:
        raise zipfile.BadZipFile("its directory is larger than the file")
    file.seek(at_end - size)
    number = 0
    while file.tell() < at_end:
        entry = file.read(_ENTRY.size)
        if len(entry) < _ENTRY.size or not entry.startswith(b"PK\x01\x02"):
            raise zipfile.BadZipFile("its directory is damaged")
        _, name, extra, comment = _ENTRY.unpack(entry)
        shown = file.read(name).decode("cp437")
        file.seek(extra + comment, 1)
        number += 1
        _refuse_amount(path, shown, number, 0, 0, limits)
    file.seek(0)


def _matches(name: str, wanted: re.Pattern[str], left_out: list[LeftOut]) -> bool:
    if wanted.fullmatch(PurePosixPath(name).name):
        return True
    left_out.append(LeftOut(name, "its name is not of the expected form"))
    return False


def _refuse_place(path: Path, name: str) -> None:
    plain = name.replace("\\", "/")
    if plain.startswith("/") or ".." in plain.split("/") or re.match(r"[A-Za-z]:", plain) or "\0" in name:
        raise DataError(f"member {name[:200]!r} points outside the archive", where=path, fix="it is not used")


def _refuse_amount(path: Path, name: str, number: int, size: int, total: int, limits: Limits) -> None:
    if number > limits.members:
        raise DataError(f"more than {limits.members} members, at {name[:200]!r}", where=path)
    if size > limits.member_bytes:
        raise DataError(
            f"member {name[:200]!r} claims {size} bytes, {limits.member_bytes} are expected at most",
            where=path,
        )
    if total > limits.total_bytes:
        raise DataError(f"more than {limits.total_bytes} bytes in all, at {name[:200]!r}", where=path)


def _is_zip(head: bytes) -> bool:
    return head.startswith((b"PK\x03\x04", b"PK\x05\x06"))


def _is_tar(head: bytes) -> bool:
    return head[257:262] == b"ustar"
