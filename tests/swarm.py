"""A torrent of a small archive and those who have it, all on the loopback: tracker, peers, web seeds."""

from __future__ import annotations

import socket
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from hilum.data import torrent
from hilum.data.torrent import Swarm
from hilum.errors import FetchError
from tests.loopback import Handler, Serve, Server

PIECE = 16 << 10


def libtorrent() -> ModuleType:
    return pytest.importorskip("libtorrent", reason="libtorrent is not installed")


def no_torrent(*_: object, **__: object) -> Path:
    """Stands for ``torrent.obtain`` where a test is about other sources."""
    raise FetchError("no torrents in this test")


def files_in(folder: Path) -> set[str]:
    """The names of what lies in ``folder``."""
    return {path.name for path in folder.iterdir()}


class Made:
    """A torrent of ``files`` in ``folder``; ``described`` is its description, ``info_hash`` its info hash."""

    def __init__(self, folder: Path, files: Mapping[str, bytes]) -> None:
        lt = libtorrent()
        for name, data in files.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes(data)
        top = folder / next(iter(files)).split("/")[0]
        made = lt.create_torrent(lt.list_files(str(top)), PIECE, lt.create_torrent.v1_only)
        lt.set_piece_hashes(made, str(folder))
        self.folder = folder
        self.tree = made.generate()
        self.described: bytes = lt.bencode(self.tree)
        self.info_hash = str(lt.load_torrent_buffer(self.described).ti.info_hashes().v1)

    def with_web_seeds(self, *urls: str) -> bytes:
        return libtorrent().bencode({**self.tree, b"url-list": [url.encode() for url in urls]})


class Seeder:
    """A peer that has all of ``made``; it ends with ``stop``.

    Its address is its own: who sends damaged pieces is shut out by address, and would take it along.
    """

    ADDRESS = "127.0.0.1" if sys.platform == "darwin" else "127.0.0.2"

    def __init__(self, made: Made, *, tcp: bool = True) -> None:
        lt = libtorrent()
        self.session: Any = lt.session(
            {
                "listen_interfaces": f"{self.ADDRESS}:0", "enable_dht": False, "enable_lsd": False,
                "enable_upnp": False, "enable_natpmp": False, "alert_mask": 0, "enable_incoming_tcp": tcp,
            }
        )  # fmt: skip
        params = lt.load_torrent_buffer(made.described)
        params.save_path, params.trackers = str(made.folder), []
        handle = self.session.add_torrent(params)
        deadline = time.monotonic() + 20
        while not handle.status().is_seeding and time.monotonic() < deadline:
            time.sleep(0.01)
        assert handle.status().is_seeding
        self.port: int = self.session.listen_port()

    def stop(self) -> None:
        self.session.pause()
        del self.session


def tracker(serve: Serve, *ports: int) -> Server:
    """A tracker that names peers at ``ports`` to everybody (BEP 23)."""
    peers = b"".join(socket.inet_aton(Seeder.ADDRESS) + port.to_bytes(2, "big") for port in ports)

    def behave(handler: Handler, _: int) -> None:
        answer = b"d8:intervali1800e12:min intervali1e5:peers%d:%be" % (len(peers), peers)
        handler.send_response(200)
        handler.send_header("Content-Length", str(len(answer)))
        handler.end_headers()
        handler.wfile.write(answer)

    return serve(behave)


def swarm(server: Server | None = None, description: str = "", patience: float = 20.0) -> Swarm:
    """Where peers are found on the loopback, and nowhere else."""
    trackers = () if server is None else (server.url("/announce"),)
    return torrent.Swarm(trackers, description, dht=False, listen="127.0.0.1:0", patience=patience)
