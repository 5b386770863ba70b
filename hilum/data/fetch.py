"""Obtaining the Open-i reports, verified. The films: ``hilum.data.fetch_films``.

The text side of Open-i (3,955 report XMLs, a table of the DICOM headers, a table of views) ships inside the
package ``torchxrayvision`` on every Python package index. The package itself is neither installed nor
imported (it needs torchvision): its three data files are taken out of the wheel. The official archive holds
the XMLs alone.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import importlib.resources
import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path, PurePosixPath

from hilum import atomic
from hilum.data import addresses, archives, torrent
from hilum.data.download import download
from hilum.data.manifest import LeftOut
from hilum.data.torrent import PUBLIC, Swarm
from hilum.errors import DataError, FetchError, HilumError, InputError

REPORTS = addresses.REPORTS.name
METADATA = "nlmcxr_dicom_metadata.csv.gz"
VIEWS = "nlmcxr_tsne_pa.csv.gz"
SOURCES = ("installed", "wheel", "official", "torrent")
PROVENANCE = "provenance.json"
"""Beside the files: where they came from and how they were verified."""

REPORT_NAME = re.compile(r"\d{1,6}\.xml")
REPORT_LIMITS = archives.Limits(members=20_000, member_bytes=1 << 20, total_bytes=1 << 28)
_DISTRIBUTION = "torchxrayvision"
_PIP_SECONDS = 600
_KNOWN = json.loads(importlib.resources.files("hilum.data").joinpath("checksums.json").read_text("utf-8"))
_FILES: dict[str, str] = _KNOWN["files"]


def cache() -> Path:
    """The folder that obtained files are kept in: ``HILUM_CACHE``, else ``hilum`` in the user's cache."""
    if named := os.environ.get("HILUM_CACHE"):
        return Path(named)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "hilum"


def openi_reports(
    to: Path,
    *,
    source: str = "auto",
    offline: Path | None = None,
    mirrors: Sequence[str] = (),
    swarm: Swarm = PUBLIC,
) -> Path:
    """Brings the Open-i reports, and where the source has them the two tables, into the folder ``to``.

    Returns the path of the reports' archive. ``source`` is ``installed`` (the torchxrayvision distribution of
    this Python), ``wheel`` (``pip download``, by the user's own pip configuration), ``official`` (HTTPS, from
    ``mirrors`` first; the reports only), ``torrent`` (the same archive) or ``auto`` (the first of these that works);
    ``offline`` is a folder that already holds the wheel or the files, and then nothing else is tried. Every file is
    compared with its known SHA-256. An archive of reports with another one is accepted where the digest over its
    members is the known one, or at least their number is, and ``provenance.json`` says which of the three was so.
    What is there already and verified is not obtained again.

    Raises FetchError with what each source said, InputError for an unknown source.
    """
    if source != "auto" and source not in SOURCES:
        raise InputError(f"unknown source {source!r}", fix=f"choose one of auto, {', '.join(SOURCES)}")
    official = addresses.addresses(REPORTS, mirrors)
    target = to / REPORTS
    if target.is_file() and (to / PROVENANCE).is_file() and _is_known_or_verified(target):
        return target
    if offline is not None:
        _take(to, _from_folder(offline), f"offline folder {offline.name}")
        return target
    ways: list[tuple[str, Callable[[], None]]] = [
        ("installed", partial(_installed, to)),
        ("wheel", partial(_wheel, to)),
        *(("official", partial(_official, to, url)) for url in official),
        ("torrent", partial(_torrent, to, swarm)),
    ]
    with alone(to):
        first_that_works(
            [(name, way) for name, way in ways if source in ("auto", name)], "the Open-i reports", to,
            f"give --offline DIR with {_KNOWN['wheel']['name']} or {REPORTS} in it",
        )  # fmt: skip
    return target


def first_that_works(
    ways: Iterable[tuple[str, Callable[[], None]]], what: str, where: Path, fix: str
) -> None:
    """Calls ``ways``, each with its name, in order until one raises nothing.

    Raises FetchError with what each of them said.
    """
    said: list[str] = []
    for name, way in ways:
        try:
            return way()
        except HilumError as error:
            said.append(f"{name}: {' '.join(str(error).split())}")
    raise FetchError(f"{what} could not be obtained ({' | '.join(said)})", where=where, fix=fix)


def alone(folder: Path) -> AbstractContextManager[None]:
    """Keeps others of us from obtaining files into ``folder`` at the same time; a process that ends lets go.

    Raises FetchError where one is at work there (``atomic.only_one``).
    """
    return atomic.only_one(folder, FetchError, "another `hilum data get` is at work there")


def origin(archive: Path) -> str:
    """Where an archive of reports came from, as ``provenance.json`` beside it says; else its file name."""
    try:
        said = json.loads((archive.parent / PROVENANCE).read_text(encoding="utf-8"))["origin"]
    except (OSError, ValueError, KeyError, TypeError):
        return archive.name
    return str(said)


def members_digest(archive: Path) -> tuple[int, str]:
    """(number of report XMLs, SHA-256 over the sorted lines ``name␠sha256(content)``) of an archive.

    The digest is that of the reports whatever they are packed in. Raises DataError on an unsafe archive.
    """
    unexpected: list[LeftOut] = []
    digests = [
        (name, hashlib.sha256(data).hexdigest())
        for name, data in archives.stream(archive, REPORT_NAME, unexpected, REPORT_LIMITS)
    ]
    return len(digests), members_sha256(digests)


def members_sha256(digests: Iterable[tuple[str, str]]) -> str:
    """The SHA-256 over the sorted lines ``name␠sha256``, of names in an archive without their folders."""
    lines = sorted(f"{PurePosixPath(name).name} {digest}\n" for name, digest in digests)
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def sha256(path: Path) -> str:
    """The SHA-256 of a file, in hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _installed(to: Path) -> None:
    try:
        distribution = importlib.metadata.distribution(_DISTRIBUTION)
    except importlib.metadata.PackageNotFoundError:
        raise FetchError(f"{_DISTRIBUTION} is not installed") from None
    paths = [Path(str(file.locate())) for file in distribution.files or () if file.name in _FILES]
    if not paths:
        raise FetchError(f"{_DISTRIBUTION} {distribution.version} is installed without its data files")
    _take(to, _read(paths), f"{_DISTRIBUTION} {distribution.version}, installed")


def _wheel(to: Path) -> None:
    with tempfile.TemporaryDirectory(prefix="hilum-") as folder:
        command = [sys.executable, "-m", "pip", "download", "--no-deps", "--disable-pip-version-check"]
        command += ["--quiet", "--only-binary", ":all:", "--dest", folder, _KNOWN["wheel"]["requirement"]]
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=_PIP_SECONDS, check=False)
        except subprocess.TimeoutExpired:
            raise FetchError(f"pip download took more than {_PIP_SECONDS} s") from None
        except OSError as error:
            raise FetchError(f"pip could not be started ({error})") from None
        if done.returncode:
            lines = [line for line in done.stderr.splitlines() if line.startswith("ERROR")]
            raise FetchError(
                f"pip download failed ({(lines or done.stderr.splitlines() or ['no reason'])[-1]})"
            )
        _take(to, _from_folder(Path(folder)), f"{_KNOWN['wheel']['requirement']} from the package index")


def _official(to: Path, url: str) -> None:
    _take_archive(to, url, lambda path: download(url, path, limit=REPORT_LIMITS.total_bytes))


def _torrent(to: Path, swarm: Swarm) -> None:
    info_hash, limit = addresses.REPORTS.torrent, REPORT_LIMITS.total_bytes

    def bring(path: Path) -> Path:
        return torrent.obtain(info_hash, REPORTS, path, swarm=swarm, limit=limit)

    _take_archive(to, f"torrent {info_hash}", bring)


def _take_archive(to: Path, origin: str, bring: Callable[[Path], Path]) -> None:
    """Takes the reports' archive, which ``bring`` obtains under the path that it is given."""
    arrived = to / f".{REPORTS}.arrived"
    try:
        _take(to, [(REPORTS, bring(arrived).read_bytes())], origin)
    finally:
        arrived.unlink(missing_ok=True)


def _from_folder(folder: Path) -> list[tuple[str, bytes]]:
    """The files at hand in ``folder``: out of the wheel if there is one, else as they lie there."""
    if not folder.is_dir():
        raise FetchError("no such folder", where=folder)
    for wheel in sorted(folder.glob(f"{_DISTRIBUTION}-*.whl")):
        if wheel.name == _KNOWN["wheel"]["name"] and sha256(wheel) != _KNOWN["wheel"]["sha256"]:
            raise FetchError("its SHA-256 is not the published one", where=wheel, fix="obtain it anew")
        pattern = re.compile("|".join(re.escape(name) for name in _FILES))
        found = [(Path(name).name, data) for name, data in archives.stream(wheel, pattern, [])]
        if any(name == REPORTS for name, _ in found):
            return found
        raise FetchError(f"no {REPORTS} in it", where=wheel)
    paths = [folder / name for name in _FILES if (folder / name).is_file()]
    if not any(path.name == REPORTS for path in paths):
        raise FetchError(f"neither {_KNOWN['wheel']['name']} nor {REPORTS} in it", where=folder)
    return _read(paths)


def _read(paths: Iterable[Path]) -> list[tuple[str, bytes]]:
    try:
        return [(path.name, path.read_bytes()) for path in paths]
    except OSError as error:
        raise FetchError(f"cannot be read ({error.strerror})", where=error.filename) from None


def _take(to: Path, files: list[tuple[str, bytes]], origin: str) -> None:
    """Verifies ``files`` and writes them to ``to``, the reports last: a folder that has them has the rest."""
    try:
        to.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise FetchError(f"cannot be made ({error.strerror})", where=to) from None
    verified: dict[str, str] = {}
    for name, data in sorted(files, key=lambda item: item[0] == REPORTS):
        known = hashlib.sha256(data).hexdigest() == _FILES[name]
        if not known and name != REPORTS:
            raise FetchError(f"{name} is not the published file (its SHA-256 differs)", where=origin)
        with atomic.replacing(to / name) as temporary:
            temporary.write_bytes(data)
            verified[name] = "SHA-256" if known else _verify_members(temporary, f"{origin}: {name}")
    record = {"origin": origin, "verified": verified}
    atomic.write_text(to / PROVENANCE, json.dumps(record, indent=2) + "\n")


def _is_known_or_verified(archive: Path) -> bool:
    if sha256(archive) == _FILES[REPORTS]:
        return True
    try:
        _verify_members(archive, str(archive))
    except HilumError:
        return False
    return True


def _verify_members(archive: Path, where: str) -> str:
    """How an archive of reports with an unknown digest was verified; errors say that it lies at ``where``.

    Raises FetchError where it cannot be verified.
    """
    try:
        count, digest = members_digest(archive)
    except DataError as error:
        raise FetchError(error.what, where=where, fix=error.fix) from None
    expected = _KNOWN["reports"]
    if digest == expected["members"]:
        return f"the archive's SHA-256 is new, the SHA-256 over its {count} reports is the known one"
    if count != expected["count"]:
        raise FetchError(
            f"it holds {count} reports, {expected['count']} are expected", where=where, fix="obtain it anew"
        )
    return f"by number only: {count} reports, as expected, with contents unlike those known"
