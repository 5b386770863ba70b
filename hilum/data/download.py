"""One file over HTTP: resumed where it broke off, retried within bounds, whole or not there at all.

The part that has arrived lies beside the target as ``.NAME.part``, with the server's validator (ETag or
Last-Modified) in ``.NAME.part.json``; a later call asks for the rest of *that* file (``If-Range``, RFC 9110
section 13.1.5) and starts over where the server no longer has it or does not honour ranges. Whether there is
room for the rest is asked before any of it is taken.
"""

from __future__ import annotations

import http.client
import json
import shutil
import ssl
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable
from email.message import Message
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import IO

from hilum import atomic
from hilum.errors import FetchError
from hilum.progress import transfer

BLOCK = 1 << 18
_PASSING = {408, 425, 429, 500, 502, 503, 504}
_LONGEST_WAIT = 60.0


class _Again(Exception):  # noqa: N818 - a request, not a fault
    """This attempt failed in a way that may pass; ``wait`` is what the server asked for, in seconds."""

    def __init__(self, what: str, wait: float | None = None) -> None:
        super().__init__(what)
        self.wait = wait


class _StaySecure(urllib.request.HTTPRedirectHandler):
    """Follows a redirection, but never from HTTPS to anything else: nobody would vouch for what comes then."""

    def redirect_request(
        self, req: urllib.request.Request, fp: IO[bytes], code: int, msg: str, headers: Message, newurl: str
    ) -> urllib.request.Request | None:
        if req.full_url.startswith("https:") and not newurl.startswith("https:"):
            raise FetchError("the server redirects from HTTPS to an address without it", where=req.full_url)
        return super().redirect_request(req, fp, code, msg, headers, newurl)  # type: ignore[arg-type]


def existing(folder: Path) -> Path:
    """``folder`` where it is there, else the nearest folder above it that is."""
    return next(path for path in (folder, *folder.absolute().parents) if path.exists())


def require_space(folder: Path, needed: int, what: str) -> None:
    """Raises FetchError where ``folder``, which need not exist yet, has less than ``needed`` bytes free."""
    free = shutil.disk_usage(existing(folder)).free
    if free < needed:
        raise FetchError(
            f"{what} needs {needed / 1e9:.1f} GB, {free / 1e9:.1f} GB are free",
            where=folder, fix="make room or name a folder on another disk",
        )  # fmt: skip


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

    ``url`` is of HTTP or HTTPS. ``tries`` bounds the attempts that bring nothing new, ``timeout`` is seconds
    without a byte, ``limit`` the bytes accepted. Raises FetchError with the last reason, or where the disk has no
    room for the file. The content is not judged here: check its digest.
    """
    if urllib.parse.urlsplit(url).scheme not in ("http", "https"):
        raise FetchError("not an address of HTTP or HTTPS", where=url)
    path.parent.mkdir(parents=True, exist_ok=True)
    part, note = path.parent / f".{path.name}.part", path.parent / f".{path.name}.part.json"
    failures = 0
    furthest = part.stat().st_size if part.is_file() else 0
    while True:
        try:
            _attempt(url, part, note, timeout, limit)
            break
        except _Again as again:
            after = part.stat().st_size if part.is_file() else 0
            # An attempt that got further than any before is progress, not a failure: a server that cuts is
            # outlasted. One that starts over again and again (it announces more than it has) is not.
            failures = 1 if after > furthest else failures + 1
            furthest = max(furthest, after)
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
    opener = urllib.request.build_opener(_StaySecure)
    try:
        # the scheme is ours or the user's own; nothing here comes out of a file that was fetched
        with opener.open(urllib.request.Request(url, headers=headers), timeout=timeout) as response:
            start, total = _position(response, have if "Range" in headers else 0)
            if total is not None and total > limit:
                raise FetchError(
                    f"the server announces {total} bytes, at most {limit} are expected", where=url
                )
            if total is not None:
                require_space(
                    part.parent, total - start, "the rest of the download" if start else "the download"
                )
            _note(response, note)
            arrived = _receive(response, part, start, total, limit)
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
        if isinstance(reason, ssl.SSLCertVerificationError):
            what = f"the server's certificate cannot be trusted ({reason.verify_message})"
            raise FetchError(what, where=url) from None
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


def _receive(
    response: http.client.HTTPResponse, part: Path, start: int, total: int | None, limit: int
) -> int:
    """Writes the body to ``part`` from byte ``start`` on; returns how long the part is then."""
    arrived = start
    with _writing(part, start) as file, transfer(part.name[1 : -len(".part")], total, start) as tell:
        while block := response.read1(BLOCK):
            arrived += len(block)
            if arrived > limit:
                raise FetchError(f"more than the {limit} bytes expected", where=response.url)
            rest = memoryview(block)
            try:
                while rest:
                    rest = rest[file.write(rest) :]
            except OSError as error:
                raise _full(part, error) from None
            tell(arrived)
    return arrived


def _writing(part: Path, start: int) -> IO[bytes]:
    try:
        # unbuffered: what a later call finds is all that arrived, and a full disk is met where it is handled
        file = part.open("r+b" if start else "wb", buffering=0)
        file.seek(start)
        file.truncate()
    except OSError as error:
        raise _full(part, error) from None
    return file


def _full(part: Path, error: OSError) -> FetchError:
    return FetchError(
        f"cannot be written ({error.strerror})", where=part,
        fix="mend that and try again: what has arrived is kept and continued",
    )  # fmt: skip


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
