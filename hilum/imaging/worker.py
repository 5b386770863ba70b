"""The process in which DICOM files are read: it forks once a file, with limits on memory and time.

``python -P -m hilum.imaging.worker`` is started and spoken to by ``hilum.imaging.apart``. Reading a file that means
harm may crash, loop or ask for any amount of memory; a fork that reads this one file and ends takes all of that with
it, and costs some milliseconds, for everything is imported already. Where there is no ``fork`` (Windows) the process
reads one file and ends.

Requests and answers are frames: a length in four bytes, then as many bytes. A request is a JSON object, ``{"do":
"film", "film and values" or "size", "path": …}``. An answer is any number of frames, an empty one, and one byte: 0
where the reading came to its end. Together they hold a JSON object and, behind it, the arrays that it names by their
kinds and shapes (pixels, stored values), row by row.
"""

from __future__ import annotations

import json
import os
import struct
import traceback
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from hilum.errors import ImageError
from hilum.imaging import dicom
from hilum.imaging.decoder import missing
from hilum.imaging.syntaxes import SYNTAXES

MEMORY = 4 << 30
"""Bytes of address space: the largest picture allowed, in the form of GDCM's Python binding, takes 1 GiB."""
SECONDS = 120
"""Processor time. The largest picture allowed takes about 20 s in the slowest syntax."""
GREETING = b"ready"
_CHUNK = 1 << 20


def answer(request: dict[str, str]) -> tuple[bytes, list[memoryview]]:
    """The JSON object, and the bytes of each array, that answer ``request``."""
    path = Path(request["path"])
    arrays: list[npt.NDArray[Any]] = []
    try:
        if request["do"] == "size":
            said: dict[str, Any] = {"size": dicom.read_size(path)}
        else:
            film, values = dicom.read_with_values(path.read_bytes(), path)
            said = {"film": {name: getattr(film, name) for name in film.__slots__ if name != "pixels_HW"}}
            wanted = [film.pixels_HW, *([values] if request["do"] == "film and values" else [])]
            arrays = [np.ascontiguousarray(array) for array in wanted]
    except ImageError as error:
        said = {"error": {"what": error.what, "fix": error.fix}}
    except MemoryError:
        what = "reading the DICOM object takes more memory than is allowed"
        said = {"error": {"what": what, "fix": "make the picture smaller"}}
    except Exception as error:  # our mistake: said where, but no value, for that may be a patient's
        last = traceback.extract_tb(error.__traceback__)[-1]
        place = f"{Path(last.filename).name}:{last.lineno}"
        what = f"the DICOM object cannot be read ({type(error).__name__} in {place})"
        said = {"error": {"what": what, "fix": "report this, with a file that is no patient's"}}
    said["arrays"] = [(array.dtype.str, array.shape) for array in arrays]
    text = json.dumps(said).encode()
    text += b" " * (-(len(text) + 4) % 16)  # so that the numbers behind it lie where a processor wants them
    return text, [array.data.cast("B") for array in arrays]


def serve(requests: int, replies: int) -> None:
    """Answers what comes through the descriptor ``requests`` until it is closed."""
    _write(replies, _frame(GREETING))
    while (request := _read_frame(requests)) is not None:
        if not hasattr(os, "fork"):
            _send(replies, *answer(json.loads(request)))
            _write(replies, _frame(b"") + b"\0")
            return
        outcome, income = os.pipe()
        child = os.fork()
        if child == 0:
            os.close(outcome)
            _answer_and_end(income, json.loads(request))
        os.close(income)
        while chunk := os.read(outcome, _CHUNK):
            _write(replies, _frame(chunk))
        os.close(outcome)
        _, status = os.waitpid(child, 0)
        _write(replies, _frame(b"") + (b"\0" if status == 0 else b"\1"))


def _answer_and_end(income: int, request: dict[str, str]) -> None:
    """In the fork: reads the file within the limits, and ends without a word where that fails."""
    try:
        _limit()
        said, arrays = answer(request)
        _write(income, struct.pack(">I", len(said)) + said)
        for array in arrays:
            _write(income, array)
        os._exit(0)
    finally:
        os._exit(1)


def _limit() -> None:
    import resource

    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    resource.setrlimit(resource.RLIMIT_CPU, (SECONDS, SECONDS))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def _send(to: int, said: bytes, arrays: list[memoryview]) -> None:
    _write(to, _frame(struct.pack(">I", len(said)) + said))
    for array in arrays:
        _write(to, struct.pack(">I", len(array)))
        _write(to, array)


def _frame(data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + data


def _write(to: int, data: memoryview | bytes) -> None:
    rest = memoryview(data).cast("B")
    while len(rest):
        rest = rest[os.write(to, rest[:_CHUNK]) :]


def _read_frame(source: int) -> bytes | None:
    """One frame; ``None`` where the other end has closed."""
    head = _exactly(source, 4)
    return None if len(head) < 4 else _exactly(source, struct.unpack(">I", head)[0])


def _exactly(source: int, count: int) -> bytes:
    whole = b""
    while len(whole) < count and (more := os.read(source, count - len(whole))):
        whole += more
    return whole


def main() -> None:
    """The process. What libraries print must not get among the answers: standard output leads nowhere."""
    requests, replies = os.dup(0), os.dup(1)
    nowhere = os.open(os.devnull, os.O_RDWR)
    os.dup2(nowhere, 0)
    os.dup2(nowhere, 1)
    cv2.setNumThreads(1)  # threads would not survive a fork
    for syntax in SYNTAXES:
        missing(syntax)  # imports its decoder: once, before the first fork
    serve(requests, replies)


if __name__ == "__main__":
    main()
