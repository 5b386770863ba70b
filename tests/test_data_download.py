"""Downloads from a server on the loopback that misbehaves in every way that servers do."""

from __future__ import annotations

import email.utils
import hashlib
import os
import random
import shutil
import time
from pathlib import Path

import pytest

from hilum.data.download import download, require_space
from hilum.errors import FetchError
from tests.loopback import Handler, Serve, Server, certificate, secure

BODY = random.Random(7).randbytes(700_000)


def fetch(server: Server, path: Path, **options: object) -> tuple[bytes, list[float]]:
    waits: list[float] = []
    assert download(server.url(), path, sleep=waits.append, timeout=5, **options) == path  # type: ignore[arg-type]
    assert {p.name for p in path.parent.iterdir()} == {path.name}, "no part is left behind"
    return path.read_bytes(), waits


def test_plain(serve: Serve, tmp_path: Path) -> None:
    server = serve(lambda handler, _: handler.give(BODY))
    assert fetch(server, tmp_path / "f") == (BODY, [])


def test_server_that_cuts_is_resumed_and_outlasted(serve: Serve, tmp_path: Path) -> None:
    server = serve(lambda handler, n: handler.give(BODY, cut=100_000 if n < 7 else None))
    data, waits = fetch(server, tmp_path / "f", tries=3)
    assert data == BODY
    assert server.ranges == [None, *(f"bytes={100_000 * n}-" for n in range(1, 7))]
    assert waits == [1.0] * 6


def test_server_that_never_brings_anything_new_is_given_up(serve: Serve, tmp_path: Path) -> None:
    server = serve(lambda handler, n: handler.give(BODY, cut=200_000 if n == 1 else 0))
    with pytest.raises(FetchError, match="ended at byte 200000 of 700000") as caught:
        fetch(server, tmp_path / "f", tries=3)
    assert "kept and continued" in str(caught.value)
    assert len(server.ranges) == 3
    later = serve(lambda handler, _: handler.give(BODY))
    assert fetch(later, tmp_path / "f")[0] == BODY
    assert later.ranges == ["bytes=200000-"], "the next call continues"


def test_server_without_ranges_starts_over(serve: Serve, tmp_path: Path) -> None:
    server = serve(lambda handler, n: handler.give(BODY, cut=300_000 if n == 1 else None, ranges=False))
    assert fetch(server, tmp_path / "f")[0] == BODY


def test_file_that_changed_meanwhile_starts_over(serve: Serve, tmp_path: Path) -> None:
    other = random.Random(8).randbytes(500_000)

    def behave(handler: Handler, n: int) -> None:
        if n == 1:
            handler.give(BODY, cut=300_000)
        else:
            handler.give(other, tag='"two"')

    assert fetch(serve(behave), tmp_path / "f")[0] == other


def test_without_a_strong_validator_nothing_is_resumed(serve: Serve, tmp_path: Path) -> None:
    server = serve(lambda handler, n: handler.give(BODY, tag='W/"weak"', cut=300_000 if n == 1 else None))
    assert fetch(server, tmp_path / "f")[0] == BODY
    assert server.ranges == [None, None]


def test_part_beyond_the_end_starts_over(serve: Serve, tmp_path: Path) -> None:
    (tmp_path / ".f.part").write_bytes(BODY + b"more")
    (tmp_path / ".f.part.json").write_text('{"validator": "\\"one\\""}')

    def behave(handler: Handler, n: int) -> None:
        if handler.headers.get("Range"):
            handler.send_error(416)
        else:
            handler.give(BODY)

    assert fetch(serve(behave), tmp_path / "f")[0] == BODY


@pytest.mark.parametrize("note", ["", "[]", "{}", '{"validator": 5}', '{"validator": "a\\r\\nX: y"}', "\x00"])
def test_broken_note_beside_a_part_starts_over(serve: Serve, tmp_path: Path, note: str) -> None:
    (tmp_path / ".f.part").write_bytes(b"of another file")
    (tmp_path / ".f.part.json").write_text(note)
    assert fetch(serve(lambda handler, _: handler.give(BODY)), tmp_path / "f")[0] == BODY


def test_wrong_range_is_an_error(serve: Serve, tmp_path: Path) -> None:
    def behave(handler: Handler, n: int) -> None:
        if n == 1:
            handler.give(BODY, cut=1000)
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
    server = serve(lambda handler, n: handler.send_error(status) if n < 4 else handler.give(BODY))
    assert fetch(server, tmp_path / "f") == (BODY, [1.0, 2.0, 4.0])


@pytest.mark.parametrize(("value", "low", "high"), [("7", 7, 7), ("99999", 60, 60), ("soon", 1, 1)])
def test_retry_after_is_honoured_within_bounds(
    serve: Serve, tmp_path: Path, value: str, low: float, high: float
) -> None:
    def behave(handler: Handler, n: int) -> None:
        if n > 1:
            return handler.give(BODY)
        handler.send_response(429)
        handler.send_header("Retry-After", value)
        handler.send_header("Content-Length", "0")
        return handler.end_headers()

    _, waits = fetch(serve(behave), tmp_path / "f")
    assert len(waits) == 1 and low <= waits[0] <= high


def test_retry_after_as_a_date(serve: Serve, tmp_path: Path) -> None:
    def behave(handler: Handler, n: int) -> None:
        if n > 1:
            return handler.give(BODY)
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
        fetch(serve(lambda handler, _: handler.give(BODY)), tmp_path / "f", limit=1000)

    def endless(handler: Handler, _: int) -> None:
        handler.send_response(200)
        handler.end_headers()
        handler.wfile.write(BODY)

    with pytest.raises(FetchError, match="more than the 1000 bytes"):
        fetch(serve(endless), tmp_path / "g", limit=1000)


def test_silent_server_times_out(serve: Serve, tmp_path: Path) -> None:
    server = serve(lambda handler, n: time.sleep(0.6) if n == 1 else handler.give(BODY))
    download(server.url(), tmp_path / "f", timeout=0.2, sleep=lambda _: None)
    assert hashlib.sha256((tmp_path / "f").read_bytes()).digest() == hashlib.sha256(BODY).digest()


def test_no_server(tmp_path: Path, serve: Serve) -> None:
    server = serve(lambda handler, _: handler.give(BODY))
    port = server.server_port
    server.shutdown()
    server.server_close()
    with pytest.raises(FetchError, match="no connection"):
        download(f"http://127.0.0.1:{port}/x", tmp_path / "f", tries=2, sleep=lambda _: None)
    assert not (tmp_path / "f").exists()


def test_server_that_announces_more_than_it_has_is_given_up(serve: Serve, tmp_path: Path) -> None:
    """It sends all it has and refuses the rest, again and again: each try brings bytes, and none is progress."""
    server = serve(lambda handler, _: handler.give(BODY, announce=len(BODY) + 1000))
    with pytest.raises(FetchError, match=r"ended at byte 700000 of 701000|no longer has the part"):
        fetch(server, tmp_path / "f", tries=4)
    assert server.ranges == [None, "bytes=700000-"] * 2
    assert not (tmp_path / "f").exists()


def test_server_that_announces_less_than_it_sends_gives_what_it_announced(
    serve: Serve, tmp_path: Path
) -> None:
    def behave(handler: Handler, _: int) -> None:
        handler.send_response(200)
        handler.send_header("Content-Length", "1000")
        handler.end_headers()
        handler.wfile.write(BODY)

    assert fetch(serve(behave), tmp_path / "f")[0] == BODY[:1000], "the digest tells it, not the download"


def test_changing_file_of_a_server_that_cuts_is_never_mixed(serve: Serve, tmp_path: Path) -> None:
    versions = [random.Random(n).randbytes(400_000) for n in range(3)]

    def behave(handler: Handler, n: int) -> None:
        version = min(n // 2, 2)
        handler.give(versions[version], tag=f'"{version}"', cut=None if n > 5 else 90_000 + 1000 * n)

    assert fetch(serve(behave), tmp_path / "f")[0] == versions[2]


def test_disk_that_is_too_small_is_told_before_anything_is_taken(
    serve: Serve, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=600_000))
    server = serve(lambda handler, n: handler.give(BODY, cut=200_000 if n == 1 else None))
    with pytest.raises(FetchError, match=r"the download needs 0\.0 GB") as caught:
        fetch(server, tmp_path / "f")
    assert "\n" not in str(caught.value) and "make room" in str(caught.value)
    assert list(tmp_path.iterdir()) == [] and len(server.ranges) == 1
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=10_000_000))
    require_space(tmp_path / "not" / "there" / "yet", 9_000_000, "x")
    with pytest.raises(FetchError, match=r"not/there: x needs 0\.0 GB, 0\.0 GB are free"):
        require_space(tmp_path / "not" / "there", 10_000_001, "x")


@pytest.mark.skipif(os.name != "posix", reason="a limit on the size of files is POSIX's")
def test_disk_that_fills_up_on_the_way_gives_one_line_and_loses_nothing(serve: Serve, tmp_path: Path) -> None:
    import resource

    server = serve(lambda handler, _: handler.give(BODY))
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (250_000, hard))
    try:
        with pytest.raises(FetchError, match="cannot be written") as caught:
            fetch(server, tmp_path / "f")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert "\n" not in str(caught.value) and len(server.ranges) == 1, "no use in trying that again"
    assert fetch(server, tmp_path / "f")[0] == BODY
    assert server.ranges[1] == "bytes=250000-", "every byte that went to the disk is kept"


def test_https(serve: Serve, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pem = certificate(tmp_path)
    plain = serve(lambda handler, _: handler.give(b"from anybody"))

    def behave(handler: Handler, _: int) -> None:
        if handler.path == "/away":
            handler.send_response(302)
            handler.send_header("Location", plain.url())
            handler.end_headers()
        else:
            handler.give(BODY)

    server = serve(behave, secure(pem))
    to = tmp_path / "to"
    with pytest.raises(FetchError, match="certificate cannot be trusted"):
        download(server.url(), to / "f", sleep=lambda _: pytest.fail("waited"))
    monkeypatch.setenv("SSL_CERT_FILE", str(pem))
    assert fetch(server, to / "f")[0] == BODY
    with pytest.raises(FetchError, match="redirects from HTTPS"):
        download(server.url("/away"), to / "g")
    assert plain.paths == []


def test_redirection_is_followed(serve: Serve, tmp_path: Path) -> None:
    def behave(handler: Handler, _: int) -> None:
        if handler.path == "/there":
            handler.give(BODY)
        else:
            handler.send_response(301)
            handler.send_header("Location", "/there")
            handler.end_headers()

    assert fetch(serve(behave), tmp_path / "f")[0] == BODY


@pytest.mark.parametrize("url", ["file:///etc/passwd", "ftp://127.0.0.1/x", "NLMCXR_png.tgz", ""])
def test_only_http_and_https(tmp_path: Path, url: str) -> None:
    with pytest.raises(FetchError, match="not an address of HTTP"):
        download(url, tmp_path / "f")
    assert list(tmp_path.iterdir()) == []
