"""Writing files so that a reader sees the old one or the new one, never half of either; and one writer at a time."""

from __future__ import annotations

import errno
import os
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import IO

import msgspec

from hilum.errors import HilumError


@contextmanager
def replacing(path: Path, *, durable: bool = True) -> Iterator[Path]:
    """Yields a temporary path beside ``path``; on a clean exit it is synced and renamed to ``path``.

    On an exception the temporary file is removed and ``path`` stays as it was. Parent folders are made.
    The temporary name keeps the suffix, for writers that choose a format by it. Without ``durable`` nothing is
    synced: a killed process leaves no half file all the same, and one who writes thousands calls ``settle`` once,
    before the file that says they are there.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.stem}.", suffix=path.suffix)
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        temporary.chmod(0o666 & ~_umask())
        if durable:
            with temporary.open("rb+") as file:
                os.fsync(file.fileno())
        temporary.replace(path)
        if durable:
            _sync_folder(path.parent)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def write_bytes(path: Path, data: bytes, *, durable: bool = True) -> None:
    """Writes ``data`` to ``path`` atomically; ``durable`` as in ``replacing``."""
    with replacing(path, durable=durable) as temporary:
        temporary.write_bytes(data)


def write_text(path: Path, text: str) -> None:
    """Writes ``text`` to ``path`` atomically, in UTF-8 with the line ends it has."""
    write_bytes(path, text.encode())


def write_json_lines(path: Path, items: Iterable[object]) -> None:
    """Writes ``items`` to ``path`` atomically, each as JSON on a line of its own."""
    encoder = msgspec.json.Encoder()
    write_bytes(path, b"".join(encoder.encode(item) + b"\n" for item in items))


@contextmanager
def alone(folder: Path) -> Iterator[bool]:
    """Whether no other process is within it with this ``folder``, whose own lock it takes: nothing is left behind.

    The folder is made, and taken away again where it was not there before and nothing was put into it. Raises OSError
    where it cannot be made.
    """
    there = folder.exists()
    folder.mkdir(parents=True, exist_ok=True)
    opened = os.open(folder, os.O_RDONLY) if hasattr(os, "O_DIRECTORY") else None  # Windows opens no folder
    try:
        yield opened is None or lock(opened)
    finally:
        if opened is not None:
            os.close(opened)
        if not there:
            with suppress(OSError):
                folder.rmdir()


@contextmanager
def only_one(folder: Path, raising: type[HilumError], busy: str) -> Iterator[None]:
    """``alone``, or else a line: raises ``raising`` with the words ``busy`` where another process is within it, or
    where the folder cannot be made."""
    with ExitStack() as stack:
        try:
            free = stack.enter_context(alone(folder))
        except OSError as error:
            raise raising(f"cannot be made ({error.strerror})", where=folder) from None
        if not free:
            raise raising(busy, where=folder, fix="wait until it has ended")
        yield


def lock(file: IO[bytes] | int) -> bool:
    """Takes the lock of an open ``file`` (or of what is open under that number) for this opening of it; False where
    another one has it.

    It is let go when the file is closed or the process ends. Where there are no such locks (Windows, some file
    systems) it is as if they were always free.
    """
    try:
        import fcntl
    except ImportError:  # Windows
        return True
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError as error:
        if error.errno not in (errno.ENOLCK, errno.ENOTSUP, errno.ENOSYS):
            raise
    return True


def settle() -> None:
    """Waits until everything written so far is on the disk (POSIX; elsewhere a no-op)."""
    if hasattr(os, "sync"):
        os.sync()


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def _sync_folder(folder: Path) -> None:
    """Makes the rename itself durable (POSIX; a no-op where folders cannot be opened)."""
    if not hasattr(os, "O_DIRECTORY"):
        return
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
