"""Downloads from a server on the loopback that misbehaves in every way that servers do."""

from __future__ import annotations

import email.utils
import hashlib
import http.server
import random
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from hilum.data.download import download
from hilum.errors import FetchError

BODY = random.Random(7).randbytes(700_000)


class Server(http.server.ThreadingHTTPServer):
    """Answers every request by ``behave(handler, number of the request)`` and notes the ranges asked for."""

    daemon_threads = True

    def __init__(self, behave: Callable[[Handler, int], None]) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.behave = behave
        self.ranges: list[str | None] = []

    def handle_error(self, *_: object) -> None:
        pass


class Handler(http.server.BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        self.server.ranges.append(self.headers.get("Range"))
        self.server.behave(self, len(self.server.ranges))

    def log_message(self, *_: object) -> None:
        pass

    def give(
        self, body: bytes = BODY, *, tag: str = '"one"', cut: int | None = None, ranges: bool = True
    ) -> None:
        """The file, honouring Range and If-Range; after ``cut`` bytes the connection breaks."""
        asked, condition = self.headers.get("Range"), self.headers.get("If-Range")
        start = 0
        if ranges and asked and condition in (None, tag):
            start = int(asked.removeprefix("bytes=").removesuffix("-"))
            self.send_response(206)
            self.send_header("Content-Range", f"bytes {start}-{len(body) - 1}/{len(body)}")
        else:
            self.send_response(200)
        self.send_header("Content-Length", str(len(body) - start))
        if tag:
            self.send_header("ETag", tag)
        self.end_headers()
        self.wfile.write(body[start : len(body) if cut is None else start + cut])
        if cut is not None:
            self.close_connection = True


@pytest.fixture
def serve(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[Callable[[Handler, int], None]], Server]]:
    for name in ("http_proxy", "HTTP_PROXY", "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("no_proxy", "*")
    servers: list[Server] = []

    def start(behave: Callable[[Handler, int], None]) -> Server:
        server = Server(behave)
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        servers.append(server)
        return server

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


Serve = Callable[[Callable[[Handler, int], None]], Server]


def fetch(server: Server, path: Path, **options: object) -> tuple[bytes, list[float]]:
    waits: list[float] = []
    url = f"http://127.0.0.1:{server.server_port}/NLMCXR_reports.tgz"
    assert download(url, path, sleep=waits.append, timeout=5, **options) == path  # type: ignore[arg-type]
    assert {p.name for p in path.parent.iterdir()} == {path.name}, "no part is left behind"
    return path.read_bytes(), waits


def test_plain(serve: Serve, tmp_path: Path) -> None:
    server = serve(lambda handler, _: handler.give())
    assert fetch(server, tmp_path / "f") == (BODY, [])


def test_server_that_cuts_is_resumed_and_outlasted(serve: Serve, tmp_path: Path) -> None:
    server = serve(lambda handler, n: handler.give(cut=100_000 if n < 7 else None))
    data, waits = fetch(server, tmp_path / "f", tries=3)
    assert data == BODY
    assert server.ranges == [None, *(f"bytes={100_000 * n}-" for n in range(1, 7))]
    assert waits == [1.0] * 6


def test_server_that_never_brings_anything_new_is_given_up(serve: Serve, tmp_path: Path) -> None:
    server = serve(lambda handler, n: handler.give(cut=200_000 if n == 1 else 0))
    with pytest.raises(FetchError, match="ended at byte 200000 of 700000") as caught:
        fetch(server, tmp_path / "f", tries=3)
    assert "kept and continued" in str(caught.value)
    assert len(server.ranges) == 3
    later = serve(lambda handler, _: handler.give())
    assert fetch(later, tmp_path / "f")[0] == BODY
    assert later.ranges == ["bytes=200000-"], "the next call continues"


def test_server_without_ranges_starts_over(serve: Serve, tmp_path: Path) -> None:
    server = serve(lambda handler, n: handler.give(cut=300_000 if n == 1 else None, ranges=False))
    assert fetch(server, tmp_path / "f")[0] == BODY


def test_file_that_changed_meanwhile_starts_over(serve: Serve, tmp_path: Path) -> None:
    other = random.Random(8).randbytes(500_000)

    def behave(handler: Handler, n: int) -> None:
        if n == 1:
            handler.give(cut=300_000)
        else:
            handler.give(other, tag='"two"')

    assert fetch(serve(behave), tmp_path / "f")[0] == other


def test_without_a_strong_validator_nothing_is_resumed(serve: Serve, tmp_path: Path) -> None:
    server = serve(lambda handler, n: handler.give(tag='W/"weak"', cut=300_000 if n == 1 else None))
    assert fetch(server, tmp_path / "f")[0] == BODY
    assert server.ranges == [None, None]


def test_part_beyond_the_end_starts_over(serve: Serve, tmp_path: Path) -> None:
    (tmp_path / ".f.part").write_bytes(BODY + b"more")
    (tmp_path / ".f.part.json").write_text('{"validator": "\\"one\\""}')

    def behave(handler: Handler, n: int) -> None:
        if handler.headers.get("Range"):
            handler.send_error(416)
        else:
            handler.give()

    assert fetch(serve(behave), tmp_path / "f")[0] == BODY


@pytest.mark.parametrize("note", ["", "[]", "{}", '{"validator": 5}', '{"validator": "a\\r\\nX: y"}', "\x00"])
def test_broken_note_beside_a_part_starts_over(serve: Serve, tmp_path: Path, note: str) -> None:
    (tmp_path / ".f.part").write_bytes(b"of another file")
    (tmp_path / ".f.part.json").write_text(note)
    assert fetch(serve(lambda handler, _: handler.give()), tmp_path / "f")[0] == BODY


def test_wrong_range_is_an_error(serve: Serve, tmp_path: Path) -> None:
    def behave(handler: Handler, n: int) -> None:
        if n == 1:
            handler.give(cut=1000)
            return
        handler.send_response(206)
        handler.send_header("Content-Range", "bytes 0-9/700000")
        handler.send_header("Content-Length", "10")
        handler.end_headers()
        handler.wfile.write(b"0123456789")

    with pytest.raises(FetchError, match="another range"):
        fetch(serve(behave), tmp_path / "f")


@pytest.mark.parametrize("status", [429, 503, 500])
def test_passing_answers_are_retried_with_back_off(serve: Serve, tmp_path: Path, status: int) -> None:
    server = serve(lambda handler, n: handler.send_error(status) if n < 4 else handler.give())
    assert fetch(server, tmp_path / "f") == (BODY, [1.0, 2.0, 4.0])


@pytest.mark.parametrize(("value", "low", "high"), [("7", 7, 7), ("99999", 60, 60), ("soon", 1, 1)])
def test_retry_after_is_honoured_within_bounds(
    serve: Serve, tmp_path: Path, value: str, low: float, high: float
) -> None:
    def behave(handler: Handler, n: int) -> None:
        if n > 1:
            return handler.give()
        handler.send_response(429)
        handler.send_header("Retry-After", value)
        handler.send_header("Content-Length", "0")
        return handler.end_headers()

    _, waits = fetch(serve(behave), tmp_path / "f")
    assert len(waits) == 1 and low <= waits[0] <= high


def test_retry_after_as_a_date(serve: Serve, tmp_path: Path) -> None:
    def behave(handler: Handler, n: int) -> None:
        if n > 1:
            return handler.give()
        handler.send_response(503)
        handler.send_header("Retry-After", email.utils.formatdate(time.time() + 30, usegmt=True))
        handler.send_header("Content-Length", "0")
        return handler.end_headers()

    _, waits = fetch(serve(behave), tmp_path / "f")
    assert 25 < waits[0] <= 30


@pytest.mark.parametrize("status", [401, 403, 404, 410])
def test_final_answers_are_not_retried(serve: Serve, tmp_path: Path, status: int) -> None:
    server = serve(lambda handler, _: handler.send_error(status))
    with pytest.raises(FetchError, match=f"answered {status}"):
        fetch(server, tmp_path / "f")
    assert len(server.ranges) == 1


def test_too_much_is_refused_before_it_is_taken(serve: Serve, tmp_path: Path) -> None:
    with pytest.raises(FetchError, match="announces 700000 bytes"):
        fetch(serve(lambda handler, _: handler.give()), tmp_path / "f", limit=1000)

    def endless(handler: Handler, _: int) -> None:
        handler.send_response(200)
        handler.end_headers()
        handler.wfile.write(BODY)

    with pytest.raises(FetchError, match="more than the 1000 bytes"):
        fetch(serve(endless), tmp_path / "g", limit=1000)


def test_silent_server_times_out(serve: Serve, tmp_path: Path) -> None:
    server = serve(lambda handler, n: time.sleep(0.6) if n == 1 else handler.give())
    url = f"http://127.0.0.1:{server.server_port}/x"
    download(url, tmp_path / "f", timeout=0.2, sleep=lambda _: None)
    assert hashlib.sha256((tmp_path / "f").read_bytes()).digest() == hashlib.sha256(BODY).digest()


def test_no_server(tmp_path: Path, serve: Serve) -> None:
    server = serve(lambda handler, _: handler.give())
    port = server.server_port
    server.shutdown()
    server.server_close()
    with pytest.raises(FetchError, match="no connection"):
        download(f"http://127.0.0.1:{port}/x", tmp_path / "f", tries=2, sleep=lambda _: None)
    assert not (tmp_path / "f").exists()
