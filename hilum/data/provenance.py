"""What goes along with a data set that leaves Hilum's own form: its source, its terms, whether it is simulated."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import msgspec

from hilum import atomic
from hilum.errors import DataError

FILE = "hilum-export.json"


@dataclass(frozen=True, slots=True)
class Provenance:
    """What an export says of itself. ``not_held`` names what the data set has and the format cannot hold."""

    export: str
    name: str
    source: str
    licence: str
    simulated: bool
    made_by: str
    split: str = ""
    not_held: tuple[str, ...] = ()


def write(folder: Path, provenance: Provenance) -> None:
    """Writes it beside the export, atomically."""
    atomic.write_bytes(folder / FILE, msgspec.json.format(msgspec.json.encode(provenance)) + b"\n")


def parse(data: bytes, where: Path) -> Provenance:
    """What the export whose ``FILE`` holds ``data`` says of itself; ``where`` is named in the error.

    Raises DataError where it is broken.
    """
    try:
        return msgspec.json.decode(data, type=Provenance)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise DataError(
            f"cannot be read ({error})", where=where, fix="export anew, or take it away"
        ) from None
