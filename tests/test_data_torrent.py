"""Torrents from peers and web seeds on the loopback that are there, gone, slow or liars."""

from __future__ import annotations

import hashlib
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from hilum.data import torrent
from hilum.errors import FetchError, MissingDependencyError
from tests.loopback import Handler, Serve, Server
from tests.swarm import PIECE, Made, Seeder, files_in, libtorrent, swarm, tracker

NAME = "NLMCXR_png.tgz"
DATA = random.Random(3).randbytes(40 * PIECE + 1234)

pytestmark = pytest.mark.filterwarnings("error")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    return Made(tmp_path_factory.mktemp("made"), {NAME: DATA})


@pytest.fixture(scope="module")
def seeder(made: Made) -> Iterator[Seeder]:
    one = Seeder(made)
    yield one
    one.stop()


def describing(serve: Serve, description: bytes) -> str:
    """The address of a server that gives ``description``."""
    return serve(lambda handler, _: handler.give(description)).url("/{info_hash}.torrent")


def refused(made: Made, path: Path, server: Server | None, description: str, said: str) -> str:
    """The line that a call ends with; one that hurried too much for a busy machine may take its time."""
    for patience in (1.0, 4.0, 16.0):
        with pytest.raises(FetchError) as caught:
            torrent.obtain(made.info_hash, NAME, path, swarm=swarm(server, description, patience))
        if re.search(said, str(caught.value)):
            break
    assert re.search(said, str(caught.value)) and "\n" not in str(caught.value) and not path.exists()
    return str(caught.value)


def test_from_a_peer(serve: Serve, tmp_path: Path, made: Made, seeder: Seeder) -> None:
    announced = tracker(serve, seeder.port)
    described = describing(serve, made.described)
    assert (
        torrent.obtain(made.info_hash, NAME, tmp_path / NAME, swarm=swarm(announced, described))
        == tmp_path / NAME
    )
    assert (tmp_path / NAME).read_bytes() == DATA
    assert files_in(tmp_path) == {NAME}, "no piece is left behind"
    assert announced.paths[0].startswith("/announce?info_hash=")


def test_description_from_peers(serve: Serve, tmp_path: Path, made: Made, seeder: Seeder) -> None:
    torrent.obtain(made.info_hash, NAME, tmp_path / NAME, swarm=swarm(tracker(serve, seeder.port)))
    assert (tmp_path / NAME).read_bytes() == DATA


def test_peer_that_is_reached_over_utp_alone(serve: Serve, tmp_path: Path, made: Made) -> None:
    shy = Seeder(made, tcp=False)
    found = swarm(tracker(serve, shy.port), describing(serve, made.described), patience=6.0)
    torrent.obtain(made.info_hash, NAME, tmp_path / NAME, swarm=found)
    assert (tmp_path / NAME).read_bytes() == DATA
    shy.stop()


def test_description_of_another_torrent_is_not_believed(
    serve: Serve, tmp_path: Path, made: Made, seeder: Seeder, tmp_path_factory: pytest.TempPathFactory
) -> None:
    other = Made(tmp_path_factory.mktemp("other"), {NAME: b"other" * 10_000})
    announced = tracker(serve, seeder.port)
    torrent.obtain(
        made.info_hash, NAME, tmp_path / NAME, swarm=swarm(announced, describing(serve, other.described))
    )
    assert (tmp_path / NAME).read_bytes() == DATA


@pytest.mark.parametrize(
    "said", [b"", b"<html>", b"d4:infode", b"d4:infod6:lengthi5eee", b"le", b"i1e", b"d"]
)
def test_what_is_no_description_is_none(made: Made, said: bytes) -> None:
    libtorrent()
    assert not torrent._is_described(said, made.info_hash)
    assert torrent._is_described(made.described, made.info_hash)
    assert not torrent._is_described(made.described, "0" * 40)


def test_one_file_of_several_and_nothing_else(
    serve: Serve, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    files = {f"Indiana/{NAME}": DATA, "Indiana/a.bin": bytes(200_000), "Indiana/readme.txt": b"hello"}
    several = Made(tmp_path_factory.mktemp("several"), files)
    one = Seeder(several)
    found = swarm(tracker(serve, one.port), describing(serve, several.described))
    torrent.obtain(several.info_hash, NAME, tmp_path / NAME, swarm=found)
    assert (tmp_path / NAME).read_bytes() == DATA and files_in(tmp_path) == {NAME}
    with pytest.raises(FetchError, match=r"no NLMCXR_dcm\.tgz among its 3 files") as caught:
        torrent.obtain(several.info_hash, "NLMCXR_dcm.tgz", tmp_path / "x", swarm=found)
    assert "\n" not in str(caught.value)
    one.stop()


def test_only_file_is_taken_whatever_its_name(
    serve: Serve, tmp_path: Path, made: Made, seeder: Seeder
) -> None:
    found = swarm(tracker(serve, seeder.port), describing(serve, made.described))
    torrent.obtain(made.info_hash, "films.tgz", tmp_path / "films.tgz", swarm=found)
    assert (tmp_path / "films.tgz").read_bytes() == DATA


def test_web_seeds_of_the_torrent_and_our_own(serve: Serve, tmp_path: Path, made: Made) -> None:
    seed = serve(lambda handler, _: handler.give(DATA))
    inside = describing(serve, made.with_web_seeds(seed.url(f"/{NAME}")))
    torrent.obtain(made.info_hash, NAME, tmp_path / NAME, swarm=swarm(description=inside))
    assert (tmp_path / NAME).read_bytes() == DATA
    (tmp_path / NAME).unlink()
    described = describing(serve, made.described)
    own = [seed.url(f"/mirror/{NAME}")]
    torrent.obtain(made.info_hash, NAME, tmp_path / NAME, swarm=swarm(description=described), web_seeds=own)
    assert (tmp_path / NAME).read_bytes() == DATA
    assert set(seed.paths) == {f"/{NAME}", f"/mirror/{NAME}"}


def corrupt() -> bytes:
    damaged = bytearray(DATA)
    damaged[:: PIECE // 2] = bytes(255 - byte for byte in damaged[:: PIECE // 2])
    return bytes(damaged)


def test_damaged_pieces_are_not_taken(serve: Serve, tmp_path: Path, made: Made, seeder: Seeder) -> None:
    liar = serve(lambda handler, _: handler.give(corrupt()))
    described = describing(serve, made.with_web_seeds(liar.url(f"/{NAME}")))
    refused(made, tmp_path / NAME, None, described, "nothing new came .*damaged")
    found = swarm(tracker(serve, seeder.port), described)
    torrent.obtain(made.info_hash, NAME, tmp_path / NAME, swarm=found)
    assert (tmp_path / NAME).read_bytes() == DATA


def test_nobody_has_it(serve: Serve, tmp_path: Path, made: Made) -> None:
    started = time.monotonic()
    for description in ("", describing(serve, made.described)):
        found = swarm(tracker(serve), description, patience=0.5)
        with pytest.raises(FetchError, match=r"nobody who (knows|has) it was found in 0\.5 s") as caught:
            torrent.obtain(made.info_hash, NAME, tmp_path / NAME, swarm=found)
        assert "\n" not in str(caught.value) and "try again later" in str(caught.value)
    assert time.monotonic() - started < 10
    assert not (tmp_path / NAME).exists()


def test_trackers_that_fail_are_told(serve: Serve, tmp_path: Path, made: Made) -> None:
    broken = serve(lambda handler, _: handler.send_error(404))
    refused(made, tmp_path / NAME, broken, "", "trackers that failed: 1, ")


class Slow:
    """A web seed that gives ``first`` bytes of every answer, and no more until it is told to."""

    def __init__(self, first: int) -> None:
        self.first = first
        self.open = False
        self.given = 0

    def __call__(self, handler: Handler, _: int) -> None:
        if self.open:
            self.given += _length(handler.headers["Range"])
            handler.give(DATA)
            return
        handler.give(DATA, cut=self.first)
        handler.wfile.flush()
        deadline = time.monotonic() + 30
        while not self.open and time.monotonic() < deadline:
            time.sleep(0.01)


def _length(asked: str) -> int:
    first, _, last = asked.removeprefix("bytes=").partition("-")
    return int(last) - int(first) + 1


def test_a_stalled_torrent_is_continued(serve: Serve, tmp_path: Path, made: Made) -> None:
    behave = Slow(12 * PIECE)
    seed = serve(behave)
    described = describing(serve, made.with_web_seeds(seed.url(f"/{NAME}")))
    line = refused(made, tmp_path / NAME, None, described, r"\(0\.2 of 0\.7 MB are there")
    assert "kept and continued" in line
    behave.open = True
    torrent.obtain(made.info_hash, NAME, tmp_path / NAME, swarm=swarm(description=described))
    assert (tmp_path / NAME).read_bytes() == DATA
    assert 0 < behave.given <= len(DATA) - 10 * PIECE, "what was there is not fetched again"


@pytest.mark.skipif(os.name != "posix", reason="SIGKILL is POSIX's")
def test_killed_on_the_way_and_damaged_since_it_goes_on(serve: Serve, tmp_path: Path, made: Made) -> None:
    behave = Slow(20 * PIECE)
    seed = serve(behave)
    described = describing(serve, made.with_web_seeds(seed.url(f"/{NAME}")))
    script = (
        "import sys; from pathlib import Path; from hilum.data import torrent\n"
        "here = torrent.Swarm((), sys.argv[3], False, '127.0.0.1:0')\n"
        "torrent.obtain(sys.argv[1], 'x', Path(sys.argv[2]), swarm=here)"
    )
    words = [sys.executable, "-c", script, made.info_hash, str(tmp_path / NAME), described]
    process = subprocess.Popen(words)
    pieces = tmp_path / f".{made.info_hash}.torrent" / "pieces" / NAME
    deadline = time.monotonic() + 60
    while _pieces_there(pieces) < 16 and time.monotonic() < deadline:
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    there = _pieces_there(pieces)
    assert there >= 16 and not (tmp_path / NAME).exists()
    whole = _whole_pieces(pieces)
    with pieces.open("r+b") as file:  # what a disk may do to it meanwhile
        file.seek(whole[0] * PIECE + 5)
        file.write(b"damaged")
    behave.open = True
    torrent.obtain(made.info_hash, NAME, tmp_path / NAME, swarm=swarm(description=described))
    assert (tmp_path / NAME).read_bytes() == DATA
    assert 0 < behave.given <= len(DATA) - (there - 2) * PIECE


def _whole_pieces(path: Path) -> list[int]:
    data = path.read_bytes() if path.is_file() else b""
    numbers = range(len(DATA) // PIECE)
    return [n for n in numbers if data[n * PIECE : (n + 1) * PIECE] == DATA[n * PIECE : (n + 1) * PIECE]]


def _pieces_there(path: Path) -> int:
    return len(_whole_pieces(path))


def test_too_large_and_no_room(
    serve: Serve, tmp_path: Path, made: Made, monkeypatch: pytest.MonkeyPatch
) -> None:
    described = describing(serve, made.described)
    with pytest.raises(FetchError, match=f"has {len(DATA)} bytes, at most 1000"):
        torrent.obtain(made.info_hash, NAME, tmp_path / NAME, swarm=swarm(description=described), limit=1000)
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=100_000))
    with pytest.raises(FetchError, match="the torrent needs"):
        torrent.obtain(made.info_hash, NAME, tmp_path / NAME, swarm=swarm(description=described))
    assert not (tmp_path / NAME).exists()


@pytest.mark.skipif(os.name != "posix", reason="a limit on the size of files is POSIX's")
def test_disk_that_fills_up_on_the_way(serve: Serve, tmp_path: Path, made: Made, seeder: Seeder) -> None:
    import resource

    found = swarm(tracker(serve, seeder.port), describing(serve, made.described))
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10 * PIECE, hard))
    try:
        with pytest.raises(FetchError, match="cannot be written") as caught:
            torrent.obtain(made.info_hash, NAME, tmp_path / NAME, swarm=found)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert "\n" not in str(caught.value)
    torrent.obtain(made.info_hash, NAME, tmp_path / NAME, swarm=found)
    assert (tmp_path / NAME).read_bytes() == DATA


def test_without_libtorrent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "libtorrent", None)
    with pytest.raises(MissingDependencyError, match="libtorrent") as caught:
        torrent.obtain("0" * 40, NAME, tmp_path / NAME)
    assert "hilum[torrent]" in str(caught.value) and "\n" not in str(caught.value)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["../../evil.tgz", "{tmp_path}/evil.tgz", "a/../../evil.tgz"])
def test_names_that_point_outside_stay_inside(
    serve: Serve, tmp_path: Path, made: Made, seeder: Seeder, name: str
) -> None:
    lt = libtorrent()
    info = {**made.tree[b"info"], b"name": name.format(tmp_path=tmp_path).encode()}
    hostile = lt.bencode({b"info": info})
    info_hash = hashlib.sha1(lt.bencode(info)).hexdigest()
    web = serve(lambda handler, _: handler.give(DATA)).url("/")
    (tmp_path / "to").mkdir()
    found = swarm(description=describing(serve, hostile))
    torrent.obtain(info_hash, NAME, tmp_path / "to" / NAME, swarm=found, web_seeds=[web + NAME])
    assert (tmp_path / "to" / NAME).read_bytes() == DATA
    assert files_in(tmp_path) == {"to"} and files_in(tmp_path / "to") == {NAME}
    assert not (tmp_path / "evil.tgz").exists()


def test_a_link_in_a_torrent_is_refused(serve: Serve, tmp_path: Path) -> None:
    """BEP 47 lets a torrent bring links; here it brings one in the archive's name."""
    lt = libtorrent()
    folder = tmp_path / "made"
    made = Made(folder, {"top/other.bin": DATA[: 4 * PIECE]})
    files = [
        {b"length": 4 * PIECE, b"path": [b"other.bin"]},
        {b"length": 0, b"path": [NAME.encode()], b"attr": b"l", b"symlink path": [b"..", b"..", b"passwd"]},
    ]
    info = {**made.tree[b"info"], b"files": files}
    info_hash = hashlib.sha1(lt.bencode(info)).hexdigest()
    found = swarm(description=describing(serve, lt.bencode({b"info": info})), patience=2.0)
    with pytest.raises(FetchError, match=r"NLMCXR_png\.tgz is a link"):
        torrent.obtain(info_hash, NAME, tmp_path / NAME, swarm=found)
    assert not (tmp_path / NAME).exists() and not (tmp_path / NAME).is_symlink()
