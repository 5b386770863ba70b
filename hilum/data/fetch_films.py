"""Obtaining the archives of the Open-i films, verified as far as they can be.

The SHA-256 of the official archives is not known here. So a copy is judged by what it holds: it is whole (the
checksum of the gzip, the end mark of the tar), its members are safe, and nearly every film that the reports name is
in it. What it then is, its SHA-256 and that of every member, is noted beside it (``NLMCXR_png.tgz.json``), and from
then on that note says what the archive has to be: trust on first use. A copy out of the torrent has moreover the
SHA-1 of every piece that the info hash vouches for. Whether each film can be decoded is seen when it is imported.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Collection, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path, PurePosixPath

import msgspec

from hilum import atomic
from hilum.data import addresses, archives, openi_views, torrent
from hilum.data.addresses import Archive
from hilum.data.download import download, existing, require_space
from hilum.data.exchange import Kind
from hilum.data.fetch import alone, first_that_works, members_sha256
from hilum.data.manifest import LeftOut
from hilum.data.torrent import PUBLIC, Swarm
from hilum.errors import DataError, FetchError, InputError
from hilum.progress import track, transfer

ARCHIVES = {Kind.PNG: addresses.PNG, Kind.DICOM: addresses.DICOM}
WHOLE_SHARE = 0.99
"""Of the films that the reports name, how many have to be there: copies differ by a film or two."""
_MEMBER = {
    Kind.PNG: re.compile(r"(?i:[a-z0-9_.-]{1,80}\.png)", re.ASCII),
    Kind.DICOM: re.compile(r"(?i:[a-z0-9_.-]{1,80}\.dcm)", re.ASCII),
}
_LIMIT_FACTOR = 2
"""How much larger than expected an archive may be before it is taken for something else."""


@dataclass(frozen=True, slots=True)
class Note:
    """What is noted of an archive of films: where it came from, how it was verified, what it is.

    ``films`` counts its members that are films of the reports, ``other`` the files that are none; ``members`` holds
    the SHA-256 of every film by its name in the archive.
    """

    origin: str
    verified: str
    sha256: str
    bytes: int
    films: int
    other: int
    members: dict[str, str]

    @property
    def members_sha256(self) -> str:
        """The SHA-256 over the sorted lines ``name␠sha256``: that of the films, whatever they are packed in."""
        return members_sha256(self.members.items())


@dataclass(frozen=True, slots=True)
class Films:
    """An archive of films that was verified, and its note."""

    archive: Path
    note: Note


def openi_films(
    cache: Path,
    kind: Kind,
    known: Collection[str],
    room: Path,
    *,
    source: str = "auto",
    offline: Path | None = None,
    mirrors: Sequence[str] = (),
    swarm: Swarm = PUBLIC,
) -> Films:
    """The archive of all Open-i films as ``kind``, verified: in ``cache``, or where it lies in ``offline``.

    ``known`` are the view ids that the reports name. ``source`` is ``official`` (HTTPS, from ``mirrors`` first),
    ``torrent`` or ``auto`` (the first of these that works); ``installed`` and ``wheel``, which hold no films, are as
    ``auto``. ``room`` is the folder that the films will be imported into: before anything is obtained, both disks are
    asked whether there is room. What is there already and verified is not obtained again.

    Raises FetchError with what each source said, InputError where a source has no such films.
    """
    wanted = ARCHIVES[kind]
    if source == "torrent" and not wanted.torrent:
        raise InputError(f"no torrent holds {wanted.name}", fix="choose --source official, or --images png")
    official = addresses.addresses(wanted.name, mirrors)
    verifier = partial(verify, kind=kind, known=known, noted=cache / f"{wanted.name}.json")
    if offline is not None:
        archive = _at_hand(offline, wanted)
        _require_room(None, wanted, room)
        return Films(archive, verifier(archive, origin=f"offline folder {offline.name}", how=""))
    with alone(cache):
        return _obtain(cache / wanted.name, wanted, official, room, source, swarm, verifier)


def _obtain(
    target: Path,
    wanted: Archive,
    official: Sequence[str],
    room: Path,
    source: str,
    swarm: Swarm,
    verifier: Callable[..., Note],
) -> Films:
    if target.is_file():  # whole: only what has arrived bears this name
        try:
            note = verifier(target, origin="", how="")
        except (FetchError, DataError):
            target.unlink()
        else:
            _require_room(None, wanted, room)
            return Films(target, note)
    _require_room(target, wanted, room)
    notes: list[Note] = []

    def from_address(url: str) -> None:
        download(url, target, limit=wanted.size * _LIMIT_FACTOR)
        notes.append(_keep(verifier, target, url, ""))

    def from_torrent() -> None:
        torrent.obtain(
            wanted.torrent, wanted.name, target,
            swarm=swarm, web_seeds=official, limit=wanted.size * _LIMIT_FACTOR,
        )  # fmt: skip
        how = f"SHA-1 of every piece, as info hash {wanted.torrent} vouches for"
        notes.append(_keep(verifier, target, f"torrent {wanted.torrent}", how))

    ways: list[tuple[str, Callable[[], None]]] = []
    if source != "torrent":
        ways += [("official", partial(from_address, url)) for url in official]
    if wanted.torrent and source != "official":
        ways.append(("torrent", from_torrent))
    first_that_works(
        ways, f"the films ({wanted.name})", target.parent, f"give --offline DIR with {wanted.name} in it"
    )
    return Films(target, notes[-1])


def _keep(verifier: Callable[..., Note], target: Path, origin: str, how: str) -> Note:
    """The note of what has arrived; what is not as it should be does not stay."""
    try:
        return verifier(target, origin=origin, how=how)
    except (FetchError, DataError) as error:
        target.unlink()
        raise FetchError(error.what, where=origin, fix=error.fix) from None


def _at_hand(folder: Path, wanted: Archive) -> Path:
    """The archive in ``folder`` that is named like the one wanted, however it is packed."""
    if not folder.is_dir():
        raise FetchError("no such folder", where=folder)
    stem = wanted.name.partition(".")[0]
    found = [path for path in sorted(folder.glob(f"{stem}.*")) if archives.is_archive(path)]
    if not found:
        raise FetchError(
            f"no {wanted.name} in it", where=folder,
            fix="films in a folder, or only some of them: `hilum data import openi`",
        )  # fmt: skip
    return found[0]


def _require_room(target: Path | None, wanted: Archive, room: Path) -> None:
    """Raises FetchError where the archive or its films have no room. ``target`` is None for one that is at hand."""
    films = wanted.unpacked - _size_of(room / "images")
    if target is None:
        require_space(room, films, "the data set")
        return
    parts = [target.with_name(f".{target.name}.part"), target.with_name(f".{wanted.torrent}.torrent")]
    archive = wanted.size - max(map(_size_of, parts))
    if _disk(target.parent) == _disk(room):
        require_space(room, max(0, archive) + max(0, films), "the archive and the data set together")
    else:
        require_space(target.parent, archive, "the archive")
        require_space(room, films, "the data set")


def _disk(folder: Path) -> int:
    return existing(folder).stat().st_dev


def _size_of(path: Path) -> int:
    """Bytes on the disk of a file or of all files in a folder (a file with holes has fewer than its length)."""
    files = path.rglob("*") if path.is_dir() else [path]
    return sum(_on_disk(file) for file in files if file.is_file())


def _on_disk(file: Path) -> int:
    found = file.stat()
    return min(found.st_size, getattr(found, "st_blocks", found.st_size) * 512)


def verify(archive: Path, *, kind: Kind, known: Collection[str], noted: Path, origin: str, how: str) -> Note:
    """The note of ``archive``, which is read whole unless it is the one noted at ``noted``, and is noted there then.

    ``known`` are the view ids that the reports name, ``origin`` says where the archive came from, ``how`` in which
    way its bytes were vouched for on the way, if they were.
    Raises DataError where it is broken or unsafe, FetchError where it is not the collection, or not the one noted.
    """
    note = _read_note(noted)
    digest = _sha256(archive)
    if note is not None and note.sha256 == digest:
        return note
    left_out: list[LeftOut] = []
    members: dict[str, str] = {}
    found: set[str] = set()
    stream = archives.stream(archive, _MEMBER[kind], left_out)
    for name, data in track(stream, f"verifying {archive.name}", archives.count(archive) or len(known)):
        view = openi_views.view_id(PurePosixPath(name).name)
        if view is None or view not in known:
            left_out.append(LeftOut(name, "no report names this image"))
        else:
            found.add(view)
            members[name] = hashlib.sha256(data).hexdigest()
    if len(found) < WHOLE_SHARE * len(known):
        raise FetchError(
            f"it holds {len(found):,} of the {len(known):,} films that the reports name", where=archive,
            fix="obtain it anew; only some of the films: `hilum data import openi`",
        )  # fmt: skip
    said = how or "on first use: whole, and its films are those that the reports name"
    new = Note(
        origin or archive.name, said, digest, archive.stat().st_size, len(found), len(left_out), members
    )
    if note is not None:
        if note.members_sha256 != new.members_sha256:
            raise FetchError(
                f"its films are not those of the copy first obtained ({note.origin})", where=archive,
                fix=f"take away {noted} to trust this one instead",
            )  # fmt: skip
        new = replace(new, verified="packed anew; the SHA-256 over its films is the noted one")
    atomic.write_text(noted, json.dumps(asdict(new), indent=1) + "\n")
    return new


def _sha256(archive: Path) -> str:
    total = hashlib.sha256()
    with archive.open("rb") as file, transfer(f"SHA-256 of {archive.name}", archive.stat().st_size) as tell:
        while block := file.read(1 << 20):
            total.update(block)
            tell(file.tell())
    return total.hexdigest()


def _read_note(path: Path) -> Note | None:
    """What is noted at ``path``; None where nothing is, or nothing that can be read."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=Note)
    except (OSError, msgspec.DecodeError, UnicodeDecodeError):
        return None
