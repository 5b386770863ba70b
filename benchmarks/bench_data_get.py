"""How fast an archive of films arrives and is verified, over loopback, against bare copies of the same bytes.

    python benchmarks/bench_data_get.py [--megabytes 256]

Makes an archive of films of noise, named as the collection names its own, serves it over HTTP and (where
libtorrent is installed) BitTorrent on the loopback, and prints one JSON object: seconds and MB/s of the download
beside the same body written to a file by `shutil.copyfileobj` (the named peer); of verifying beside a SHA-256 and
`gzip` alone; of the torrent beside the download. No network is used.
"""

from __future__ import annotations

import argparse
import gzip
import hashlib
import http.server
import io
import json
import os
import shutil
import socket
import tarfile
import tempfile
import threading
import time
import urllib.request
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import numpy as np
from PIL import Image

from hilum.data import addresses, torrent
from hilum.data.download import download
from hilum.data.exchange import Kind
from hilum.data.fetch_films import verify
from hilum.errors import MissingDependencyError


def main() -> None:
    """The command; see the module."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--megabytes", type=int, default=256, help="size of the archive")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        served, known = made(folder / "served", options.megabytes)
        size = served.stat().st_size
        answers: dict[str, Path | bytes] = {f"/{served.name}": served}
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler(answers))
        threading.Thread(target=server.serve_forever, daemon=True).start()
        base = f"http://127.0.0.1:{server.server_port}"
        url = f"{base}/{served.name}"
        bare = seconds(lambda: copy(url, folder / "bare"))
        ours = folder / "ours" / served.name
        fetched = seconds(lambda: download(url, ours))
        unpacked = seconds(lambda: unpack(ours))
        noted = folder / "note.json"
        verified = seconds(
            lambda: verify(ours, kind=Kind.PNG, known=known, noted=noted, origin="benchmark", how="")
        )
        result: dict[str, object] = {
            "benchmark": "data get",
            "cores": os.cpu_count(),
            "megabytes": round(size / 1e6),
            "films": len(known),
            "download_seconds": round(fetched, 2),
            "download_megabytes_per_second": round(size / 1e6 / fetched),
            "ratio_to_bare_copy": round(fetched / bare, 2),
            "verify_seconds": round(verified, 2),
            "verify_megabytes_per_second": round(size / 1e6 / verified),
            "ratio_to_gzip_alone": round(verified / unpacked, 2),
        }
        try:
            torrent.require()
        except MissingDependencyError as error:
            result["torrent"] = str(error)
        else:
            swarmed = by_torrent(served, folder / "swarm", answers, base)
            result["torrent_seconds"] = round(swarmed, 2)
            result["torrent_megabytes_per_second"] = round(size / 1e6 / swarmed)
            result["ratio_of_torrent_to_download"] = round(swarmed / fetched, 2)
        server.shutdown()
    print(json.dumps(result))


def made(folder: Path, megabytes: int) -> tuple[Path, set[str]]:
    """An archive of about so many megabytes in ``folder``, and the view ids of its films."""
    folder.mkdir()
    path = folder / addresses.PNG.name
    rng = np.random.default_rng(0)
    known: set[str] = set()
    with gzip.open(path, "wb", compresslevel=1) as packed, tarfile.open(fileobj=packed, mode="w|") as archive:
        total = 0
        while total < megabytes * 1_000_000:
            buffer = io.BytesIO()
            Image.fromarray(rng.integers(0, 256, (480, 400), dtype=np.uint8)).save(buffer, "PNG")
            view = f"CXR{len(known) + 1}_IM-0001-1001"
            info = tarfile.TarInfo(f"png/{view}.png")
            info.size = len(buffer.getvalue())
            buffer.seek(0)
            archive.addfile(info, buffer)
            known.add(view)
            total += info.size
    return path, known


def handler(answers: dict[str, Path | bytes]) -> type[http.server.BaseHTTPRequestHandler]:
    """What answers with a file or bytes by path, query aside."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            answer = answers[self.path.partition("?")[0]]
            size = answer.stat().st_size if isinstance(answer, Path) else len(answer)
            self.send_response(200)
            self.send_header("Content-Length", str(size))
            self.end_headers()
            opened = answer.open("rb") if isinstance(answer, Path) else io.BytesIO(answer)
            with (
                opened as source,
                suppress(BrokenPipeError),
            ):  # a peer of the torrent has had it from elsewhere
                shutil.copyfileobj(source, self.wfile, 1 << 20)

        def log_message(self, *_: object) -> None:
            pass

    return Handler


def copy(url: str, path: Path) -> None:
    """The body of ``url`` into ``path``, and nothing else."""
    with urllib.request.urlopen(url) as response, path.open("wb") as file:
        shutil.copyfileobj(response, file, 1 << 18)


def unpack(path: Path) -> None:
    """Reads all that is in a gzip, and the archive once more for its SHA-256, as anybody who verifies has to."""
    with path.open("rb") as file:
        hashlib.file_digest(file, "sha256")
    with gzip.open(path) as file:
        while file.read(1 << 20):
            pass


def by_torrent(served: Path, folder: Path, answers: dict[str, Path | bytes], base: str) -> float:
    """Seconds to obtain ``served`` from one seeder on the loopback."""
    import libtorrent as lt

    created = lt.create_torrent(lt.list_files(str(served)), 1 << 20, lt.create_torrent.v1_only)
    lt.set_piece_hashes(created, str(served.parent))
    description = lt.bencode(created.generate())
    params = lt.load_torrent_buffer(description)
    assert params.ti is not None  # it was read out of a description
    info_hash = str(params.ti.info_hashes().v1)
    params.save_path = str(served.parent)
    seeder = lt.session(
        {"listen_interfaces": "127.0.0.1:0", "enable_dht": False, "enable_lsd": False, "enable_upnp": False}
    )
    handle = seeder.add_torrent(params)
    while not handle.status().is_seeding:
        time.sleep(0.1)
    peer = socket.inet_aton("127.0.0.1") + seeder.listen_port().to_bytes(2, "big")
    answers["/announce"] = b"d8:intervali1800e5:peers6:" + peer + b"e"
    answers["/described"] = description
    swarm = torrent.Swarm((f"{base}/announce",), f"{base}/described", dht=False, listen="127.0.0.1:0")
    path = folder / served.name
    return seconds(lambda: torrent.obtain(info_hash, served.name, path, swarm=swarm))


def seconds(work: Callable[[], object]) -> float:
    """How long ``work`` takes."""
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


if __name__ == "__main__":
    main()
