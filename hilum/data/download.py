"""One file over HTTP: resumed where it broke off, retried within bounds, whole or not there at all.

The part that has arrived lies beside the target as ``.NAME.part``, with the server's validator (ETag or
Last-Modified) in ``.NAME.part.json``; a later call asks for the rest of *that* file (``If-Range``, RFC 9110
section 13.1.5) and starts over where the server no longer has it or does not honour ranges.
"""

from __future__ import annotations

import http.client
import json
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from email.utils import parsedate_to_datetime
from pathlib import Path

from hilum import atomic
from hilum.errors import FetchError
from hilum.progress import track

BLOCK = 1 << 18
_PASSING = {408, 425, 429, 500, 502, 503, 504}
_LONGEST_WAIT = 60.0


class _Again(Exception):  # noqa: N818 - a request, not a fault
    """This attempt failed in a way that may pass; ``wait`` is what the server asked for, in seconds."""

    def __init__(self, what: str, wait: float | None = None) -> None:
        super().__init__(what)
        self.wait = wait


def download(
    url: str,
    path: Path,
    *,
    tries: int = 5,
    timeout: float = 30.0,
    limit: int = 64 << 30,
    sleep: Callable[[float], None] = time.sleep,
) -> Path:
    """Brings ``url`` to ``path`` and returns ``path``; what arrived stays for the next call if it fails.

    ``tries`` bounds the attempts that bring nothing new, ``timeout`` is seconds without a byte, ``limit`` the
    bytes accepted. Raises FetchError with the last reason. The content is not judged here: check its digest.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    part, note = path.parent / f".{path.name}.part", path.parent / f".{path.name}.part.json"
    failures = 0
    while True:
        before = part.stat().st_size if part.is_file() else 0
        try:
            _attempt(url, part, note, timeout, limit)
            break
        except _Again as again:
            after = part.stat().st_size if part.is_file() else 0
            # an attempt that brought something is progress, not a failure; a server that cuts is outlasted
            failures = 1 if after > before else failures + 1
            if failures >= tries:
                raise FetchError(
                    str(again), where=url, fix="try again later: what has arrived is kept and continued"
                ) from None
            sleep(min(_LONGEST_WAIT, again.wait if again.wait is not None else 2.0 ** (failures - 1)))
    part.replace(path)
    note.unlink(missing_ok=True)
    return path


def _attempt(url: str, part: Path, note: Path, timeout: float, limit: int) -> None:
    have = part.stat().st_size if part.is_file() else 0
    validator = _validator(note) if have else None
    headers = {"User-Agent": "hilum", "Accept-Encoding": "identity"}
    if have and validator:
        headers |= {"Range": f"bytes={have}-", "If-Range": validator}
    try:
        # the scheme is ours or the user's own; nothing here comes out of a file that was fetched
        with urllib.request.urlopen(
            urllib.request.Request(url, headers=headers), timeout=timeout
        ) as response:
            start, total = _position(response, have if "Range" in headers else 0)
            if total is not None and total > limit:
                raise FetchError(
                    f"the server announces {total} bytes, at most {limit} are expected", where=url
                )
            _note(response, note)
            with part.open("r+b" if start else "wb") as file:
                file.seek(start)
                file.truncate()
                arrived = start
                for block in _blocks(response, part.name, start, total):
                    arrived += len(block)
                    if arrived > limit:
                        raise FetchError(f"more than the {limit} bytes expected", where=url)
                    file.write(block)
            if total is not None and arrived != total:
                raise _Again(f"the connection ended at byte {arrived} of {total}")
    except urllib.error.HTTPError as error:
        with error:
            if error.code == http.HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
                part.unlink(missing_ok=True)
                raise _Again("the server no longer has the part that was asked for") from None
            if error.code in _PASSING:
                wait = _retry_after(error.headers.get("Retry-After"))
                raise _Again(f"the server answered {error.code} {error.reason}", wait) from None
            raise FetchError(f"the server answered {error.code} {error.reason}", where=url) from None
    except (urllib.error.URLError, http.client.HTTPException, OSError) as error:
        reason = getattr(error, "reason", None) or error
        raise _Again(f"no connection, or it broke ({reason})") from None


def _position(response: http.client.HTTPResponse, asked: int) -> tuple[int, int | None]:
    """Where in the file the body starts, and how long the whole file is, if the server says."""
    length = response.headers.get("Content-Length", "")
    size = int(length) if length.isdecimal() else None
    if asked and response.status == http.HTTPStatus.PARTIAL_CONTENT:
        unit, _, rest = response.headers.get("Content-Range", "").partition(" ")
        span, _, whole = rest.partition("/")
        first = span.partition("-")[0]
        if unit == "bytes" and first == str(asked):
            return asked, int(whole) if whole.isdecimal() else (None if size is None else asked + size)
        raise FetchError("the server sent another range than the one asked for", where=response.url)
    return 0, size


def _blocks(response: http.client.HTTPResponse, name: str, start: int, total: int | None) -> Iterator[bytes]:
    def read() -> Iterator[bytes]:
        while block := response.read1(BLOCK):
            yield block

    mebibytes = None if total is None else -(-total // BLOCK)
    return track(read(), f"{name.removeprefix('.').removesuffix('.part')}", mebibytes, start // BLOCK)


def _note(response: http.client.HTTPResponse, note: Path) -> None:
    etag = response.headers.get("ETag", "")
    # a weak ETag must not be used with If-Range (RFC 9110 section 13.1.5)
    validator = etag if etag and not etag.startswith("W/") else response.headers.get("Last-Modified", "")
    atomic.write_text(note, json.dumps({"validator": validator}))


def _validator(note: Path) -> str | None:
    try:
        value = json.loads(note.read_text(encoding="utf-8")).get("validator")
    except (OSError, ValueError, AttributeError):
        return None
    return value if isinstance(value, str) and value and "\n" not in value and "\r" not in value else None


def _retry_after(value: str | None) -> float | None:
    if value is None:
        return None
    if value.strip().isdecimal():
        return float(value)
    try:
        return max(0.0, parsedate_to_datetime(value).timestamp() - time.time())
    except ValueError:
        return None
