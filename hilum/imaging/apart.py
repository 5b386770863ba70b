"""DICOM files are read in processes apart: this starts them, asks them, and ends those that take too long.

A file that means harm can then do no more than cost one line (``hilum.imaging.worker``). A process serves one
thread at a time and is kept for the next file; it ends with this one.
"""

from __future__ import annotations

import atexit
import json
import math
import os
import signal
import struct
import subprocess
import sys
import threading
from contextlib import suppress
from pathlib import Path
from typing import IO, Any

import numpy as np
import numpy.typing as npt

from hilum.errors import ImageError
from hilum.imaging.film import Film, check_pixels, check_size
from hilum.study import Projection

SECONDS = 180.0
"""How long one file may take by the clock; its processor time is limited more narrowly."""
_STARTING_SECONDS = 60.0
_HOME = Path(__file__).parents[2]
"""Where this ``hilum`` lies: the process must be of the same code, from wherever it was imported."""
_AGAIN = "get the file again"


def read(path: Path) -> Film:
    """The film in the DICOM file ``path``: see ``hilum.imaging.dicom.read``.

    Raises ImageError, one line, where the file is no chest radiograph that can be shown, where reading it takes
    too long or too much memory, and where it brings the process down that reads it.
    """
    said, (pixels_HW,) = _asked("film", path)
    return _film(said, pixels_HW, path)


def read_with_values(path: Path) -> tuple[Film, npt.NDArray[Any]]:
    """The film in the DICOM file ``path`` and its stored values: see ``hilum.imaging.dicom.read_with_values``.

    Raises ImageError as ``read`` does.
    """
    said, (pixels_HW, values) = _asked("film and values", path)
    return _film(said, pixels_HW, path), values


def _film(said: dict[str, Any], pixels_HW: npt.NDArray[Any], path: Path) -> Film:
    found: dict[str, Any] = said["film"]
    found |= {name: tuple(found[name]) for name in ("warnings", "orientation")}
    found["projection"] = Projection(found["projection"])
    return Film(pixels_HW=check_pixels(pixels_HW, str(path)), **found)


def read_size(path: Path) -> tuple[int, int]:
    """(height, width) in pixels, as the header of the DICOM file says. Raises ImageError as ``read`` does."""
    said, _ = _asked("size", path)
    height, width = said["size"]
    return check_size(height, width, str(path))


class _Worker:
    """One process of ``hilum.imaging.worker``."""

    def __init__(self) -> None:
        search = os.pathsep.join([str(_HOME), *(folder for folder in sys.path if folder)])
        self.process = subprocess.Popen(
            [sys.executable, "-P", "-m", "hilum.imaging.worker"],
            env={**os.environ, "PYTHONPATH": search, "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            start_new_session=True,  # an interrupt is for us to handle, and its forks end with it
        )
        self.fresh = True

    def ask(self, request: bytes) -> bytearray | None:
        """The answer; ``None`` where the fork that worked on it came to no end. Raises EOFError where all is lost."""
        assert self.process.stdin is not None and self.process.stdout is not None
        if self.fresh:
            _frame(self.process.stdout)
            self.fresh = False
        self.process.stdin.write(struct.pack(">I", len(request)) + request)
        self.process.stdin.flush()
        whole = bytearray()
        while chunk := _frame(self.process.stdout):
            whole += chunk
        return whole if _exactly(self.process.stdout, 1) == b"\0" else None

    def end(self) -> None:
        """Ends it and its forks at once."""
        if self.process.poll() is None:
            if hasattr(os, "killpg"):
                os.killpg(self.process.pid, signal.SIGKILL)
            else:
                self.process.kill()
        self.close()

    def close(self) -> None:
        """Lets it end by itself."""
        for stream in (self.process.stdin, self.process.stdout):
            if stream is not None:
                with suppress(OSError):  # what was not sent any more
                    stream.close()
        self.process.wait()


_idle: list[_Worker] = []
"""Processes that wait for the next file: what costs half a second to start is kept."""
_anothers: list[_Worker] = []
"""In a fork of this process: those that belong to the process it was forked from."""


def _forked() -> None:
    _anothers.extend(_idle)
    _idle.clear()


@atexit.register
def _leave() -> None:
    while _idle:
        _idle.pop().close()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forked)


def _asked(do: str, path: Path) -> tuple[dict[str, Any], list[npt.NDArray[Any]]]:
    """The answer to one request: the JSON object, and the arrays behind it. Raises ImageError as ``read`` does."""
    worker = _taken()
    late = threading.Event()

    def end_late() -> None:
        late.set()
        worker.end()

    timer = threading.Timer(SECONDS + worker.fresh * _STARTING_SECONDS, end_late)
    timer.daemon = True
    timer.start()
    whole: bytearray | None = None
    kept = False
    try:
        whole = worker.ask(json.dumps({"do": do, "path": str(path.absolute())}).encode())
        kept = worker.process.poll() is None
    except (EOFError, OSError, ValueError):  # ValueError: ended late, its streams closed
        if worker.fresh and not late.is_set():
            raise ImageError(
                "the process that reads DICOM files cannot be started", where=path, fix="see `hilum doctor`"
            ) from None
    finally:
        timer.cancel()
        if kept and not late.is_set():
            _idle.append(worker)
        else:
            worker.end()
    if late.is_set():
        raise ImageError("the DICOM file takes too long to read", where=path, fix="convert it first")
    if not whole:
        raise ImageError("the DICOM file is damaged: reading it fails", where=path, fix=_AGAIN)
    (length,) = struct.unpack_from(">I", whole)
    said = json.loads(whole[4 : 4 + length])
    if "error" in said:
        raise ImageError(said["error"]["what"], where=path, fix=said["error"]["fix"])
    arrays: list[npt.NDArray[Any]] = []
    at = 4 + length
    for kind, shape in said["arrays"]:
        check_size(shape[0], shape[1], str(path))
        arrays.append(np.frombuffer(whole, kind, math.prod(shape), at).reshape(shape))
        at += arrays[-1].nbytes
    return said, arrays


def _taken() -> _Worker:
    while _idle:
        try:
            worker = _idle.pop()
        except IndexError:  # another thread was faster
            break
        if worker.process.poll() is None:
            return worker
        worker.close()
    return _Worker()


def _frame(stream: IO[bytes]) -> bytes:
    return _exactly(stream, struct.unpack(">I", _exactly(stream, 4))[0])


def _exactly(stream: IO[bytes], count: int) -> bytes:
    found = stream.read(count)
    if len(found) < count:
        raise EOFError
    return found
