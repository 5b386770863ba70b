"""Where the archives of Open-i can be had: the official address, mirrors, and the two torrents."""

from __future__ import annotations

import urllib.parse
from collections.abc import Sequence
from dataclasses import dataclass

from hilum.errors import InputError

OFFICIAL = "https://openi.nlm.nih.gov/imgs/collections/"
TORRENTS = "https://academictorrents.com/download/{info_hash}.torrent"
"""Where Academic Torrents gives the description of a torrent: its files, pieces, trackers and web seeds."""
TRACKERS = (
    "https://academictorrents.com/announce.php",
    "https://ipv6.academictorrents.com/announce.php",
    "udp://tracker.opentrackr.org:1337/announce",
    "udp://tracker.openbittorrent.com:80/announce",
)
"""Those that Academic Torrents writes into the addresses it gives out; a torrent's description may name others."""


@dataclass(frozen=True, slots=True)
class Archive:
    """One archive of the collection.

    ``size`` is what it has in bytes, and ``unpacked`` what its files have, both roughly: for room on the disk, never
    to judge a copy by. ``torrent`` is the info hash (BEP 3) of the torrent that carries it, empty where none does.
    """

    name: str
    size: int
    unpacked: int
    torrent: str = ""


REPORTS = Archive("NLMCXR_reports.tgz", 1_200_000, 12_000_000, "66450ba52ba3f83fbf82ef9c91f2bde0e845aba9")
# The sizes are those that other readers of the collection have met; the unpacked DICOM is rows × columns × 2 bytes,
# summed over the table of its headers.
PNG = Archive("NLMCXR_png.tgz", 1_360_000_000, 1_360_000_000, "5a3a439df24931f410fac269b87b050203d9467d")
DICOM = Archive("NLMCXR_dcm.tgz", 80_694_582_486, 110_155_019_844)


def addresses(name: str, mirrors: Sequence[str] = ()) -> list[str]:
    """Where the archive ``name`` may be had over HTTP, in the order to try: the mirrors as given, then officially.

    A mirror is the address of a folder, to which the name is added, or of an archive itself; one of another archive
    is passed over. Raises InputError for what is no address of HTTP or HTTPS.
    """
    found: list[str] = []
    for mirror in (*mirrors, OFFICIAL):
        parts = urllib.parse.urlsplit(mirror)
        if parts.scheme not in ("http", "https") or not parts.netloc:
            raise InputError(f"{mirror!r} is no address of a mirror", fix="give one of http:// or https://")
        last = parts.path.rpartition("/")[2]
        if last == name:
            found.append(mirror)
        elif not last.endswith((".tgz", ".tar.gz", ".tar", ".zip")):
            path = parts.path if parts.path.endswith("/") else f"{parts.path}/"
            found.append(parts._replace(path=path + name).geturl())
    return found
