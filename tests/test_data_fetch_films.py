"""Obtaining the films: from every source, whole or not at all, known again, and continued however it ended."""

from __future__ import annotations

import errno
import hashlib
import io
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tarfile
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image

from hilum.data import addresses, download, fetch, fetch_films, manifest, openi, torrent
from hilum.data.check import check
from hilum.data.exchange import Kind
from hilum.errors import DataError, FetchError, InputError
from tests import command
from tests.loopback import Handler, Serve
from tests.openi_made import dicom_film, film, tar_bytes, write_reports
from tests.swarm import Made, Seeder, files_in, libtorrent, no_torrent, swarm, tracker

PNG = addresses.PNG.name
VIEWS = (
    "CXR1_IM-0001-3001", "CXR1_IM-0001-4001", "CXR2_IM-0652-1001", "CXR2_IM-0652-2001", "CXR3_IM-1384-1001",
    "CXR10_IM-0002-1001",
)  # fmt: skip
FILMS = {f"png/{view}.png": film(n, 60, 50) for n, view in enumerate(VIEWS)}
TGZ = tar_bytes({**FILMS, "png/readme.txt": b"hello"})


_obtain = torrent.obtain


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The cache with made reports in it; no torrents, no network and no waiting."""
    monkeypatch.setenv("HILUM_CACHE", str(tmp_path / "cache"))
    folder = tmp_path / "cache" / "openi"
    reports = write_reports(folder)
    monkeypatch.setattr(fetch, "openi_reports", lambda *_, **__: reports)
    monkeypatch.setattr(addresses, "OFFICIAL", "http://127.0.0.1:9/")
    monkeypatch.setattr(torrent, "obtain", no_torrent)
    quick = lambda url, path, **k: download.download(url, path, tries=2, sleep=lambda _: None, **k)  # noqa: E731
    monkeypatch.setattr(fetch_films, "download", quick)
    small = replace(addresses.PNG, size=len(TGZ), unpacked=len(TGZ))
    monkeypatch.setitem(fetch_films.ARCHIVES, Kind.PNG, small)
    return folder


def get(to: Path, **options: object) -> manifest.Dataset:
    return openi.get(to, images=Kind.PNG, **options)  # type: ignore[arg-type]


def assert_whole(to: Path) -> None:
    dataset = manifest.read(to, need_images=True)
    views = {view.id: dataset.path(view).read_bytes() for study in dataset.studies for view in study.views}
    assert views == {Path(name).stem: data for name, data in FILMS.items()}
    assert check(to).ok
    assert len(manifest.read_digests(to)) == len(FILMS)


def test_from_the_official_address(
    cache: Path, tmp_path: Path, serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = serve(lambda handler, _: handler.give(TGZ))
    monkeypatch.setattr(addresses, "OFFICIAL", server.url("/imgs/collections/"))
    dataset = get(tmp_path / "to")
    assert_whole(tmp_path / "to")
    assert server.paths == [f"/imgs/collections/{PNG}"]
    assert dataset.info.made_by.startswith("hilum data get openi --images png")
    digest = hashlib.sha256(TGZ).hexdigest()
    assert f"films: {server.url('/imgs/collections/')}{PNG}, SHA-256 {digest}" in dataset.info.source
    note = json.loads((cache / f"{PNG}.json").read_text())
    assert note["sha256"] == digest and note["bytes"] == len(TGZ)
    assert note["members"] == {name: hashlib.sha256(data).hexdigest() for name, data in FILMS.items()}
    assert (note["films"], note["other"]) == (6, 1) and note["verified"].startswith("on first use")
    assert get(tmp_path / "again").info.source == dataset.info.source
    assert len(server.paths) == 1, "what is there and noted is not obtained again"
    assert files_in(cache) == {fetch.REPORTS, PNG, f"{PNG}.json"}


def test_mirrors_are_asked_in_order_then_the_official_address(
    cache: Path, tmp_path: Path, serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    gone = serve(lambda handler, _: handler.send_error(404))
    truncated = serve(lambda handler, _: handler.give(TGZ[:-100]))
    busy = serve(lambda handler, _: handler.send_error(503))
    page = serve(lambda handler, _: handler.give(b"<html>Please log in</html>"))
    official = serve(lambda handler, _: handler.give(TGZ))
    monkeypatch.setattr(addresses, "OFFICIAL", official.url("/c/"))
    mirrors = [
        gone.url("/a"),
        truncated.url(f"/b/{PNG}"),
        busy.url("/NLMCXR_dcm.tgz"),
        page.url("/"),
        busy.url("/"),
    ]
    get(tmp_path / "to", mirrors=mirrors)
    assert_whole(tmp_path / "to")
    asked = [server.paths for server in (gone, truncated, page, busy, official)]
    assert asked == [[f"/a/{PNG}"], [f"/b/{PNG}"], [f"/{PNG}"], [f"/{PNG}"] * 2, [f"/c/{PNG}"]]


def test_what_every_source_said_is_one_line(cache: Path, tmp_path: Path, serve: Serve) -> None:
    gone = serve(lambda handler, _: handler.send_error(404))
    with pytest.raises(FetchError, match=r"answered 404.*no connection.*no torrents") as caught:
        get(tmp_path / "to", mirrors=[gone.url("/")])
    line = str(caught.value)
    assert "\n" not in line and f"--offline DIR with {PNG} in it" in line
    assert not (tmp_path / "to").exists()
    with pytest.raises(InputError, match="no torrent holds NLMCXR_dcm"):
        openi.get(tmp_path / "to", images=Kind.DICOM, source="torrent")
    with pytest.raises(InputError, match="'ftp://x' is no address of a mirror"):
        get(tmp_path / "to", mirrors=["ftp://x"])


def damaged_member() -> bytes:
    """A tar whose gzip is whole, with one film fewer."""
    return tar_bytes(dict(list(FILMS.items())[:-1]))


def linked() -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        for name, data in FILMS.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
        link = tarfile.TarInfo("png/CXR5_IM-0001-1001.png")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        archive.addfile(link)
    return buffer.getvalue()


def flipped() -> bytes:
    """One bit of the checksum is another one: nothing but the end of the gzip can tell."""
    return TGZ[:-8] + bytes([TGZ[-8] ^ 1]) + TGZ[-7:]


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (damaged_member(), r"it holds 5 of the 6 films"),
        (linked(), r"'png/CXR5_IM-0001-1001\.png' is a link"),
        (flipped(), "not a whole tar"),
        (tar_bytes({**FILMS, "../evil.png": b"x"}), r"'\.\./evil\.png' points outside"),
        (b"", "not a whole tar|ended at byte"),
    ],
    ids=["fewer", "link", "flipped", "outside", "empty"],
)
def test_what_is_not_the_collection_is_not_used_and_does_not_stay(
    cache: Path, tmp_path: Path, serve: Serve, data: bytes, said: str
) -> None:
    server = serve(lambda handler, _: handler.give(data))
    with pytest.raises(FetchError, match=said) as caught:
        get(tmp_path / "to", mirrors=[server.url("/")])
    assert "\n" not in str(caught.value)
    assert files_in(cache) == {fetch.REPORTS} and not (tmp_path / "to").exists()


def test_films_that_are_none_make_no_data_set(cache: Path, tmp_path: Path, serve: Serve) -> None:
    names = list(FILMS)
    text = tar_bytes({**FILMS, names[2]: b"text in a film's name"})
    server = serve(lambda handler, _: handler.give(text))
    with pytest.raises(DataError, match="only 5 films of studies of openi in it can be read, 6 are expected"):
        get(tmp_path / "to", mirrors=[server.url("/")])
    assert not (tmp_path / "to" / "dataset.json").exists()


def test_trust_on_first_use(cache: Path, tmp_path: Path, serve: Serve) -> None:
    body = TGZ
    server = serve(lambda handler, _: handler.give(body))
    get(tmp_path / "to", mirrors=[server.url("/")])
    (cache / PNG).unlink()
    body = tar_bytes({f"other/{Path(name).name}": data for name, data in FILMS.items()}, "w")
    get(tmp_path / "two", mirrors=[server.url("/")])
    note = json.loads((cache / f"{PNG}.json").read_text())
    assert note["verified"].startswith("packed anew") and note["sha256"] == hashlib.sha256(body).hexdigest()
    (cache / PNG).unlink()
    body = tar_bytes({**FILMS, next(iter(FILMS)): film(77, 60, 50)})
    with pytest.raises(FetchError, match=r"not those of the copy first obtained.*take away") as caught:
        get(tmp_path / "three", mirrors=[server.url("/")])
    assert "\n" not in str(caught.value) and not (cache / PNG).exists()
    (cache / f"{PNG}.json").unlink()
    get(tmp_path / "three", mirrors=[server.url("/")])


@pytest.mark.parametrize("note", ["", "{}", '{"sha256": 5}', "\x00"])
def test_copy_in_the_cache_that_was_damaged_is_obtained_anew(
    cache: Path, tmp_path: Path, serve: Serve, note: str
) -> None:
    server = serve(lambda handler, _: handler.give(TGZ))
    get(tmp_path / "to", mirrors=[server.url("/")])
    (cache / PNG).write_bytes(flipped())
    (cache / f"{PNG}.json").write_text(note)
    get(tmp_path / "to", mirrors=[server.url("/")])
    assert len(server.paths) == 2
    assert (cache / PNG).read_bytes() == TGZ


@pytest.mark.parametrize("kind", ["w:gz", "w", "zip"])
def test_offline(cache: Path, tmp_path: Path, kind: str) -> None:
    folder = tmp_path / "stick"
    folder.mkdir()
    (folder / "NLMCXR_png").mkdir()
    (folder / "NLMCXR_png.txt").write_text("about")
    with pytest.raises(FetchError, match=r"stick: no NLMCXR_png\.tgz in it"):
        get(tmp_path / "to", offline=folder)
    if kind == "zip":
        import zipfile

        with zipfile.ZipFile(folder / "NLMCXR_png.zip", "w") as archive:
            for name, data in FILMS.items():
                archive.writestr(name, data)
    else:
        (folder / ("NLMCXR_png.tar" if kind == "w" else PNG)).write_bytes(tar_bytes(FILMS, kind))
    dataset = get(tmp_path / "to", offline=folder)
    assert_whole(tmp_path / "to")
    assert "films: offline folder stick, SHA-256" in dataset.info.source
    assert not (cache / PNG).exists(), "it is read where it lies"
    with pytest.raises(FetchError, match="no such folder"):
        get(tmp_path / "to", offline=tmp_path / "none")


def test_reports_are_parsed_once(cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "stick").mkdir()
    (tmp_path / "stick" / PNG).write_bytes(TGZ)
    parsed: list[Path] = []
    read = openi.read_reports
    monkeypatch.setattr(openi, "read_reports", lambda archive: parsed.append(archive) or read(archive))
    dataset = get(tmp_path / "to", offline=tmp_path / "stick")
    assert len(parsed) == 1
    imported = openi.import_images(tmp_path / "stick" / PNG, tmp_path / "imported", reports=parsed[0])
    assert imported.studies == dataset.studies


def test_dicom(cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The DICOM release names a film by its number alone, in a folder a study."""
    films = {
        f"NLMCXR_dcm/{view[3:].partition('_')[0]}/{view[3:]}.dcm": dicom_film(n)
        for n, view in enumerate(VIEWS)
    }
    (tmp_path / "stick").mkdir()
    (tmp_path / "stick" / "NLMCXR_dcm.tgz").write_bytes(tar_bytes(films))
    monkeypatch.setitem(fetch_films.ARCHIVES, Kind.DICOM, replace(addresses.DICOM, size=1, unpacked=1))
    dataset = openi.get(tmp_path / "to", images=Kind.DICOM, offline=tmp_path / "stick")
    note = json.loads((cache / "NLMCXR_dcm.tgz.json").read_text())
    assert note["films"] == 6 and set(note["members"]) == set(films)
    view = dataset.studies[0].views[0]
    assert view.file == "images/CXR1_IM-0001-3001.dcm"
    assert dataset.path(view).read_bytes() == films["NLMCXR_dcm/1/1_IM-0001-3001.dcm"]
    assert check(tmp_path / "to").ok


def test_room_is_asked_for_before_anything_is_obtained(
    cache: Path, tmp_path: Path, serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = serve(lambda handler, _: handler.give(TGZ))
    usage = shutil.disk_usage(tmp_path)
    free = 2 * len(TGZ) - 1
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=free))
    with pytest.raises(FetchError, match="the archive and the data set together needs") as caught:
        get(tmp_path / "to", mirrors=[server.url("/")])
    assert "\n" not in str(caught.value) and server.paths == []
    monkeypatch.setattr(fetch_films, "_disk", hash)
    monkeypatch.setattr(
        fetch_films, "require_space", lambda folder, needed, what: asked.append((what, needed))
    )
    asked: list[tuple[str, int]] = []
    (cache / f".{PNG}.part").write_bytes(random.Random(1).randbytes(20_000))
    get(tmp_path / "to", mirrors=[server.url("/")])
    assert asked == [("the archive", len(TGZ) - 20_000), ("the data set", len(TGZ))]
    asked.clear()
    get(tmp_path / "to", mirrors=[server.url("/")])
    assert [what for what, _ in asked] == ["the data set"] and asked[0][1] < len(TGZ) // 2


def test_disk_that_is_full_while_films_are_written(
    cache: Path, tmp_path: Path, serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = serve(lambda handler, _: handler.give(TGZ))
    write, count = Path.write_bytes, [0]

    def full(path: Path, data: bytes) -> int:
        if path.parent.name == "images":
            count[0] += 1
            if count[0] == 4:
                write(path, data[: len(data) // 2])
                raise OSError(errno.ENOSPC, "No space left on device", str(path))
        return write(path, data)

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(DataError, match="No space left on device") as caught:
        get(tmp_path / "to", mirrors=[server.url("/")])
    assert "\n" not in str(caught.value) and not (tmp_path / "to" / "dataset.json").exists()
    get(tmp_path / "to", mirrors=[server.url("/")])
    assert_whole(tmp_path / "to")
    assert len(server.paths) == 1


def test_a_text_only_data_set_gets_its_films_and_does_not_lose_them(
    cache: Path, tmp_path: Path, serve: Serve
) -> None:
    server = serve(lambda handler, _: handler.give(TGZ))
    assert all(view.file is None for study in openi.get(tmp_path / "to").studies for view in study.views)
    get(tmp_path / "to", mirrors=[server.url("/")])
    with pytest.raises(DataError, match="it holds films"):
        openi.get(tmp_path / "to")
    assert_whole(tmp_path / "to")


def test_two_at_once_do_not_mix(cache: Path, tmp_path: Path) -> None:
    with fetch.alone(cache), pytest.raises(FetchError, match="another `hilum data get` is at work"):
        get(tmp_path / "to")
    with fetch.alone(cache):
        pass


@pytest.fixture
def seeded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Made, Seeder]]:
    libtorrent()
    made = Made(tmp_path_factory.mktemp("seed"), {PNG: TGZ})
    one = Seeder(made)
    yield made, one
    one.stop()


def test_from_the_torrent(
    cache: Path, tmp_path: Path, serve: Serve, seeded: tuple[Made, Seeder], monkeypatch: pytest.MonkeyPatch
) -> None:
    made, seeder = seeded
    here = replace(fetch_films.ARCHIVES[Kind.PNG], torrent=made.info_hash)
    monkeypatch.setitem(fetch_films.ARCHIVES, Kind.PNG, here)
    monkeypatch.setattr(torrent, "obtain", _obtain)
    described = serve(lambda handler, _: handler.give(made.described)).url()
    dataset = get(tmp_path / "to", swarm=swarm(tracker(serve, seeder.port), described))
    assert_whole(tmp_path / "to")
    assert f"films: torrent {made.info_hash}" in dataset.info.source
    note = json.loads((cache / f"{PNG}.json").read_text())
    assert note["verified"] == f"SHA-1 of every piece, as info hash {made.info_hash} vouches for"
    assert files_in(cache) == {fetch.REPORTS, PNG, f"{PNG}.json"}


def test_torrent_of_something_else(
    cache: Path,
    tmp_path: Path,
    serve: Serve,
    tmp_path_factory: pytest.TempPathFactory,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Its pieces are all as its info hash says, and yet it is not the collection."""
    libtorrent()
    made = Made(tmp_path_factory.mktemp("seed"), {PNG: tar_bytes({"png/holiday.png": film(1)})})
    seeder = Seeder(made)
    monkeypatch.setitem(
        fetch_films.ARCHIVES, Kind.PNG, replace(fetch_films.ARCHIVES[Kind.PNG], torrent=made.info_hash)
    )
    monkeypatch.setattr(torrent, "obtain", _obtain)
    described = serve(lambda handler, _: handler.give(made.described)).url()
    with pytest.raises(FetchError, match="it holds 0 of the 6 films"):
        get(tmp_path / "to", source="torrent", swarm=swarm(tracker(serve, seeder.port), described))
    seeder.stop()
    assert files_in(cache) == {fetch.REPORTS}


def big(seed: int) -> bytes:
    """A film of 40 KB that cannot be packed."""
    buffer = io.BytesIO()
    Image.frombytes("L", (200, 200), hashlib.shake_256(bytes([seed])).digest(40_000)).save(buffer, "PNG")
    return buffer.getvalue()


@pytest.mark.skipif(os.name != "posix", reason="SIGKILL is POSIX's")
def test_killed_at_any_moment_the_next_call_continues(cache: Path, tmp_path: Path, serve: Serve) -> None:
    """Killed in the download, while the archive is verified, among the films: no byte comes twice."""
    films = {f"png/{view}.png": big(n) for n, view in enumerate(VIEWS)}
    body = tar_bytes(films)
    half = len(body) // 2
    let_on = False

    def behave(handler: Handler, _: int) -> None:
        handler.give(body, cut=None if let_on else half)
        handler.wfile.flush()
        while not let_on:
            time.sleep(0.01)

    server = serve(behave)
    to = tmp_path / "to"
    script = f"""
import os, sys, signal
from pathlib import Path
from hilum.data import addresses, fetch, fetch_films, openi
from hilum.data.exchange import Kind
from hilum.data.imports import writing
fetch.openi_reports = lambda *_, **__: Path({str(cache / fetch.REPORTS)!r})
addresses.OFFICIAL = {server.url("/")!r}
def dying(function, at):
    count = iter(range(1, 100))
    def call(*a, **k):
        if next(count) == at:
            os.kill(os.getpid(), signal.SIGKILL)
        return function(*a, **k)
    return call
for where in sys.argv[1:]:
    if not (child := os.fork()):
        if where == "verify":
            fetch_films._sha256 = dying(fetch_films._sha256, 1)
        elif where == "note":
            fetch_films.atomic.write_text = dying(fetch_films.atomic.write_text, 1)
        elif where == "films":
            writing._copy_film = dying(writing._copy_film, 4)
        elif where == "manifest":
            openi.manifest.write = dying(openi.manifest.write, 1)
        openi.get(Path({str(to)!r}), images=Kind.PNG)
        os._exit(0)
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    print(where, status, os.path.exists({str(to / "dataset.json")!r}), flush=True)
"""
    env = {**os.environ, "HILUM_CACHE": str(cache.parent)}

    def run(*where: str) -> subprocess.Popen[str]:
        words = [sys.executable, "-c", script, *where]
        return subprocess.Popen(words, env=env, text=True, stdout=subprocess.PIPE, start_new_session=True)

    process = run("download")
    part = cache / f".{PNG}.part"
    deadline = time.monotonic() + 60
    while not (part.is_file() and part.stat().st_size >= half) and time.monotonic() < deadline:
        time.sleep(0.01)
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    assert part.stat().st_size == half and not to.exists()
    let_on = True
    out, _ = run("verify", "note", "films", "manifest", "whole").communicate()
    killed = [f"{where} -9 False" for where in ("verify", "note", "films", "manifest")]
    assert out.splitlines() == [*killed, "whole 0 True"]
    assert server.ranges == [None, f"bytes={half}-"], "the rest came once, and nothing again"
    dataset = manifest.read(to, need_images=True)
    assert {view.id for study in dataset.studies for view in study.views} == set(VIEWS)
    for study in dataset.studies:
        for view in study.views:
            assert dataset.path(view).read_bytes() == films[f"png/{view.id}.png"]
    assert {path.name for path in (to / "images").iterdir()} == {f"{view}.png" for view in VIEWS}
    assert check(to).ok


def test_command(
    cache: Path,
    tmp_path: Path,
    serve: Serve,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    server = serve(lambda handler, _: handler.give(TGZ))
    words = (
        "data",
        "get",
        "openi",
        "--to",
        tmp_path / "to",
        "--images",
        "png",
        "--mirror",
        "http://127.0.0.1:9/",
    )
    status, out, err = command.call(monkeypatch, capsys, *words, "--mirror", server.url("/"), "--no-dht")
    assert (status, out) == (0, f"{tmp_path / 'to'}: 4 studies, 6 films (CC BY-NC-ND 4.0)\n"), err
    assert command.call(monkeypatch, capsys, *words[:-4], "--images", "jpeg")[0] == 2
    status, _, err = command.call(monkeypatch, capsys, *words, "--source", "torrent")
    assert status == 0, "what is there is used, whatever the source"
    (cache / PNG).unlink()
    monkeypatch.setitem(sys.modules, "libtorrent", None)
    monkeypatch.setattr(torrent, "obtain", _obtain)
    status, out, err = command.call(monkeypatch, capsys, *words, "--source", "torrent")
    assert status == 2 and "BitTorrent needs the package libtorrent; pip install 'hilum[torrent]'" in err
    assert err.startswith("hilum: error: ") and err.count("\n") == 1
