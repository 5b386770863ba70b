"""One file out of a torrent: its pieces checked as they come, and again where a call goes on with what is there.

The pieces lie in ``.INFOHASH.torrent`` beside the target, with the torrent's description, which needs no more than
its info hash to be believed (BEP 3: the SHA-1 of its ``info`` dictionary, which holds the SHA-1 of every piece). A
call that finds pieces there checks each of them and fetches the rest, however the last one ended.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from hilum import atomic
from hilum.data.addresses import TORRENTS, TRACKERS
from hilum.data.download import download, require_space
from hilum.errors import FetchError, HilumError, MissingDependencyError
from hilum.progress import transfer

if TYPE_CHECKING:
    import libtorrent as lt

EXTRA = "torrent"
_DESCRIPTION_LIMIT = 16 << 20
_POLL_MS = 200
_FLUSH_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Swarm:
    """Where peers are looked for, and how long without anything new is borne.

    ``description`` is where a torrent's description is asked for before any peer is (``{info_hash}`` stands in it;
    empty: nowhere). ``dht``: whether the distributed hash table and the local network are asked too. ``listen``
    holds libtorrent's listen interfaces, ``patience`` seconds.
    """

    trackers: tuple[str, ...] = TRACKERS
    description: str = TORRENTS
    dht: bool = True
    listen: str = "0.0.0.0:0,[::]:0"
    patience: float = 180.0


PUBLIC = Swarm()
"""The trackers of Academic Torrents and the distributed hash table."""


def require() -> str:
    """The version of libtorrent. Raises MissingDependencyError where it cannot be imported."""
    try:
        import libtorrent as lt
    except (ImportError, OSError):
        raise MissingDependencyError(
            "BitTorrent needs the package libtorrent", fix=f"pip install 'hilum[{EXTRA}]'"
        ) from None
    return lt.__version__


def obtain(
    info_hash: str,
    name: str,
    path: Path,
    *,
    swarm: Swarm = PUBLIC,
    web_seeds: Sequence[str] = (),
    limit: int = 64 << 30,
) -> Path:
    """Brings the file ``name`` of the torrent ``info_hash`` to ``path`` and returns ``path``.

    Where the torrent has one file only, that is taken whatever its name. ``web_seeds`` are addresses of the same
    file over HTTP (BEP 19), asked besides those that the torrent names; ``limit`` bounds the bytes of the file. Every
    piece has the SHA-1 that the torrent says. Pieces stay for the next call where this one fails.
    Raises FetchError: nobody has it, nothing new in ``swarm.patience`` seconds, no such file in it, no room, a disk
    that cannot be written. Raises MissingDependencyError.
    """
    require()
    import libtorrent as lt

    folder = path.parent / f".{info_hash}.torrent"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        params = lt.load_torrent_buffer(_description(info_hash, folder, swarm))
        info = params.ti
        assert info is not None  # a description without one is not believed
        index, inside, size = _choose(info, name, info_hash)
        if size > limit:
            raise FetchError(f"{inside} has {size} bytes, at most {limit} are expected", where=info_hash)
        pieces = folder / "pieces"
        pieces.mkdir(exist_ok=True)
        params.save_path = str(pieces)
        params.file_priorities = [4 if number == index else 0 for number in range(info.num_files())]
        params.trackers = list(dict.fromkeys([*params.trackers, *swarm.trackers]))
        if info.num_files() == 1:
            params.url_seeds = list(dict.fromkeys([*params.url_seeds, *web_seeds]))
        _fetch(params, size, name, swarm)
        if (pieces / inside).is_symlink():  # BEP 47 knows links; an archive is none
            raise FetchError(f"{inside} is a link", where=f"torrent {info_hash}")
        (pieces / inside).replace(path)
    except OSError as error:
        raise FetchError(f"cannot be written ({error.strerror})", where=error.filename or folder) from None
    shutil.rmtree(folder, ignore_errors=True)
    return path


def _description(info_hash: str, folder: Path, swarm: Swarm) -> bytes:
    """The torrent's description: what an earlier call kept, else over HTTPS, else from peers."""
    kept = folder / "description.torrent"
    if kept.is_file() and _is_described(data := kept.read_bytes(), info_hash):
        return data
    data = _over_http(swarm.description.format(info_hash=info_hash), folder / "asked.torrent")
    if not _is_described(data, info_hash):
        data = _from_peers(info_hash, folder, swarm)
    atomic.write_bytes(kept, data)
    return data


def _over_http(address: str, path: Path) -> bytes:
    """The description at ``address``; nothing where it cannot be had there: peers can be asked too."""
    if not address:
        return b""
    try:
        return download(address, path, tries=2, limit=_DESCRIPTION_LIMIT).read_bytes()
    except HilumError:
        return b""
    finally:
        path.unlink(missing_ok=True)


def _is_described(data: bytes, info_hash: str) -> bool:
    import libtorrent as lt

    try:
        info = lt.load_torrent_buffer(data).ti
    except RuntimeError:
        return False
    return info is not None and str(info.info_hashes().v1) == info_hash


def _from_peers(info_hash: str, folder: Path, swarm: Swarm) -> bytes:
    """The description as peers tell it (BEP 9); libtorrent compares its SHA-1 with the info hash."""
    import libtorrent as lt

    params = lt.parse_magnet_uri(f"magnet:?xt=urn:btih:{info_hash}")
    params.save_path = str(folder)
    params.trackers = list(swarm.trackers)
    params.flags |= lt.torrent_flags.upload_mode
    with _session(swarm) as session, transfer("asking peers what the torrent holds", None) as tell:
        handle = session.add_torrent(params)
        heard = _Heard()
        started = time.monotonic()
        while (info := handle.torrent_file()) is None:
            if time.monotonic() - started > swarm.patience:
                raise FetchError(
                    f"nobody who knows it was found in {swarm.patience:.1f} s{heard.said()}",
                    where=f"torrent {info_hash}", fix="try again later or use another source",
                )  # fmt: skip
            _hasten(session, time.monotonic() - started, swarm)
            tell(0)
            session.wait_for_alert(_POLL_MS)
            heard.listen(session)
        return b"d4:info" + info.info_section() + b"e"


def _choose(info: lt.torrent_info, name: str, info_hash: str) -> tuple[int, str, int]:
    """(index, path in the torrent, bytes) of the file called ``name``, or of the only one."""
    files = info.layout()
    paths = [PurePosixPath(files.file_path(index).replace("\\", "/")) for index in range(info.num_files())]
    named = [index for index, path in enumerate(paths) if path.name == name]
    index = named[0] if named else 0 if len(paths) == 1 else None
    if index is None:
        held = ", ".join(path.name for path in paths[:3])
        raise FetchError(f"no {name} among its {len(paths)} files ({held}, …)", where=f"torrent {info_hash}")
    if paths[index].is_absolute() or ".." in paths[index].parts:
        raise FetchError(f"file {str(paths[index])!r} points outside", where=f"torrent {info_hash}")
    return index, str(paths[index]), files.file_size(index)


def _fetch(params: lt.add_torrent_params, size: int, name: str, swarm: Swarm) -> None:
    """Fetches what of the ``size`` bytes is not there yet; returns when all of them are on the disk."""
    import libtorrent as lt

    params.storage_mode = lt.storage_mode_t.storage_mode_sparse
    params.flags &= ~(lt.torrent_flags.auto_managed | lt.torrent_flags.paused)
    with _session(swarm) as session:
        handle = session.add_torrent(params)
        heard = _Heard()
        _check_pieces(session, handle, heard, name, size)
        there = furthest = handle.status().total_wanted_done
        require_space(Path(params.save_path), size - there, "the rest of the torrent")
        peers = 0
        last = time.monotonic()
        with transfer(name, size, there) as tell:
            while not _is_whole(status := handle.status(), size):
                there, now = status.total_wanted_done, time.monotonic()
                _refuse_disk(heard, params.save_path)
                peers = max(peers, status.num_peers)
                if there > furthest:
                    furthest, last = there, now
                if now - last > swarm.patience:
                    raise _stalled(there, size, peers, name, swarm, heard)
                _hasten(session, now - last, swarm)
                tell(there)
                session.wait_for_alert(_POLL_MS)
                heard.listen(session)
        _settle(session, handle)


def _check_pieces(
    session: lt.session, handle: lt.torrent_handle, heard: _Heard, name: str, size: int
) -> None:
    """Waits until the pieces that are there have been compared with their digests."""
    import libtorrent as lt

    states = lt.torrent_status.states
    checking = (states.checking_files, states.checking_resume_data)
    with transfer(f"checking what is there of {name}", size) as tell:
        while (status := handle.status()).state in checking:
            tell(int(status.progress * size))
            session.wait_for_alert(_POLL_MS)
            heard.listen(session)


def _refuse_disk(heard: _Heard, folder: str) -> None:
    if heard.disk:
        raise FetchError(
            f"cannot be written ({heard.disk})", where=folder,
            fix="mend that and try again: what has arrived is kept and continued",
        )  # fmt: skip


def _hasten(session: lt.session, waited: float, swarm: Swarm) -> None:
    """Tries uTP (BEP 29) too where nothing has come over TCP for half of the patience."""
    if waited > swarm.patience / 2 and not session.get_settings()["enable_outgoing_utp"]:
        session.apply_settings({"enable_outgoing_utp": True})


def _is_whole(status: lt.torrent_status, size: int) -> bool:
    import libtorrent as lt

    done = status.state in (lt.torrent_status.states.finished, lt.torrent_status.states.seeding)
    return done and status.total_wanted_done >= size


def _stalled(there: int, size: int, peers: int, name: str, swarm: Swarm, heard: _Heard) -> FetchError:
    """That nothing new has come for too long; ``peers`` is how many there were at most."""
    what = f"nobody who has it was found in {swarm.patience:.1f} s"
    if peers or there or heard.damaged:
        share = f"{there / 1e6:,.1f} of {size / 1e6:,.1f} MB"
        what = f"nothing new came in {swarm.patience:.1f} s ({share} are there, {peers} peers at most)"
    return FetchError(
        what + heard.said(), where=f"torrent of {name}",
        fix="try again later: what has arrived is kept and continued",
    )  # fmt: skip


def _settle(session: lt.session, handle: lt.torrent_handle) -> None:
    """Waits until what was received is written, and lets go of the file."""
    import libtorrent as lt

    handle.pause()
    handle.flush_cache()
    deadline = time.monotonic() + _FLUSH_SECONDS
    while time.monotonic() < deadline:
        if any(isinstance(alert, lt.cache_flushed_alert) for alert in session.pop_alerts()):
            return
        session.wait_for_alert(_POLL_MS)


@dataclass(slots=True)
class _Heard:
    """What a session has reported: trackers that failed and why, pieces that came damaged, a disk that failed."""

    trackers: dict[str, str] = field(default_factory=dict)
    damaged: int = 0
    disk: str = ""

    def listen(self, session: lt.session) -> None:
        import libtorrent as lt

        for alert in session.pop_alerts():
            if isinstance(alert, lt.tracker_error_alert):
                self.trackers[alert.url] = alert.error.message()
            elif isinstance(alert, lt.hash_failed_alert):
                self.damaged += 1
            elif isinstance(alert, lt.file_error_alert | lt.torrent_error_alert):
                self.disk = alert.error.message()

    def said(self) -> str:
        parts = [f"{self.damaged} pieces came damaged"] if self.damaged else []
        if self.trackers:
            parts.append(f"trackers that failed: {len(self.trackers)}, {next(iter(self.trackers.values()))}")
        return f" ({'; '.join(parts)})" if parts else ""


@contextmanager
def _session(swarm: Swarm) -> Iterator[lt.session]:
    import libtorrent as lt

    category = lt.alert_category
    session = lt.session(
        {
            "user_agent": "hilum",
            "listen_interfaces": swarm.listen,
            "enable_dht": swarm.dht,
            "enable_lsd": swarm.dht,
            "enable_upnp": False,
            "enable_natpmp": False,
            # uTP gives way to everything else on the line; over TCP one peer brought eight times as much
            "enable_outgoing_utp": False,
            # who could not be reached over TCP is asked again after that has been tried otherwise
            "min_reconnect_time": max(1, int(swarm.patience / 3)),
            "stop_tracker_timeout": 1,
            "alert_mask": category.error | category.status | category.storage | category.tracker,
        }
    )
    try:
        yield session
    finally:
        for handle in session.get_torrents():
            session.remove_torrent(handle)
        del session
