"""The pixels of a DICOM object out of its transfer syntax, checked before and after.

Decoders are written for streams that mean well: a stream that claims another size than its header,
thousands of components, or that ends too early is refused here, before a decoder sees it.
"""

from __future__ import annotations

import io
import os
import re
import struct
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from pydicom.dataset import Dataset
from pydicom.encaps import get_frame
from pydicom.pixels.decoders.base import get_decoder
from pydicom.pixels.utils import pixel_array
from pydicom.uid import UID, RLELossless

from hilum.errors import ImageError

_PACKAGES = {
    "1.2.840.10008.1.2.4.201": "pylibjpeg pylibjpeg-openjpeg",
    "1.2.840.10008.1.2.4.202": "pylibjpeg pylibjpeg-openjpeg",
    "1.2.840.10008.1.2.4.203": "pylibjpeg pylibjpeg-openjpeg",
}
_AGAIN = "get the file again"
_SECONDS = 180.0
"""How long the decoder may take by the clock; its processor time is limited more narrowly."""
_COMPLAINTS = (
    "Corrupt JPEG data",
    "premature end",
    "Premature end",
    "Stream too short",
    "inconsistent with stream",
)
"""What libjpeg and OpenJPEG print where they go on with pixels of their own making."""
_MOST_TILES = 65_535
"""ITU-T T.800 A.4.2: tiles are numbered in 16 bits."""


@dataclass(frozen=True, slots=True)
class Claim:
    """What a codestream says of itself."""

    height: int
    width: int
    components: int
    precision: int
    family: str
    """``JPEG``, ``JPEG-LS`` or ``JPEG 2000``"""


def stored_values(header: Dataset, path: Path) -> npt.NDArray[Any]:
    """The stored values: (H, W), or (H, W, 3) red, green, blue; the bits are as in the file, unused ones too.

    ``header`` is the whole object, its sizes already checked; ``path`` is the file it came from. Raises
    ImageError where the pixels cannot be decoded (it says which package could), are damaged, cut off, or
    not what the header claims.
    """
    syntax = header.file_meta.TransferSyntaxUID
    try:
        if syntax.is_transfer_syntax and (syntax == RLELossless or not syntax.is_encapsulated):
            raw: npt.NDArray[Any] = pixel_array(header, raw=False, correct_unused_bits=False)
        else:
            _check_decoder(syntax, path)
            _check_stream(header, path)
            raw = _decoded_apart(path)
    except ImageError:
        raise
    except Exception:  # decoders raise nearly anything on damage
        raise ImageError("the DICOM pixels are cut off or damaged", where=path, fix=_AGAIN) from None
    if raw.shape[:2] != (int(header.Rows), int(header.Columns)):
        raise ImageError("the DICOM pixels have another size than the header says", where=path, fix=_AGAIN)
    return raw


def claim_of(stream: bytes) -> Claim | None:
    """What a JPEG, JPEG-LS or JPEG 2000 codestream claims; ``None`` where its header makes no sense.

    JPEG and JPEG-LS: the frame header SOF (ITU-T T.81 B.2.2, T.87 C.2.2); JPEG 2000: SIZ (T.800 A.5.1).
    """
    if stream[:12] == b"\0\0\0\x0cjP  \r\n\x87\n":  # the boxed form, which DICOM forbids and some writers use
        stream = stream[max(0, stream.find(b"\xff\x4f\xff\x51")) :]
    if stream[:4] == b"\xff\x4f\xff\x51":
        return _siz(stream)
    position = 2
    while stream[:2] == b"\xff\xd8" and position + 10 <= len(stream) and stream[position] == 0xFF:
        marker = stream[position + 1]
        (length,) = struct.unpack_from(">H", stream, position + 2)
        if marker == 0xF7 or (0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC)):
            precision, height, width, components = struct.unpack_from(">BHHB", stream, position + 4)
            return Claim(height, width, components, precision, "JPEG-LS" if marker == 0xF7 else "JPEG")
        if marker == 0xDA or (length < 2 and marker != 0xFF):
            return None
        position += 1 if marker == 0xFF else 2 + length
    return None


def _siz(stream: bytes) -> Claim | None:
    if len(stream) < 43:
        return None
    x1, y1, x0, y0, tile_x, tile_y = struct.unpack(">IIIIII", stream[8:32])
    (components,) = struct.unpack(">H", stream[40:42])
    width, height = x1 - x0, y1 - y0
    if min(tile_x, tile_y) == 0 or -(-x1 // tile_x) * -(-y1 // tile_y) > _MOST_TILES:
        return None
    return Claim(height, width, components, (stream[42] & 0x7F) + 1, "JPEG 2000")


def _check_decoder(syntax: UID, path: Path) -> None:
    name = syntax.name if syntax.is_transfer_syntax else "that is not a standard one"
    try:
        available = get_decoder(syntax).is_available
    except NotImplementedError:
        raise ImageError(
            f"the transfer syntax {name} cannot be decoded by any package known here",
            where=path,
            fix="convert it to Explicit VR Little Endian, for example with gdcmconv --raw",
        ) from None
    if not available:
        raise ImageError(
            f"the transfer syntax {name} needs a decoder that is not installed",
            where=path,
            fix=f"pip install {_PACKAGES.get(str(syntax), 'python-gdcm')}",
        )


def _check_stream(header: Dataset, path: Path) -> None:
    """What the stream claims must agree with the header, and it must have its end. Raises ImageError otherwise."""
    stream = get_frame(header.PixelData, 0, number_of_frames=1)
    claim = claim_of(stream)
    if claim is None:
        raise ImageError("the compressed DICOM pixels have no valid header", where=path, fix=_AGAIN)
    expected = (int(header.Rows), int(header.Columns), int(header.SamplesPerPixel))
    claimed = (claim.height, claim.width, claim.components)
    if claimed != expected or claim.precision > int(header.BitsAllocated):
        raise ImageError(
            "the compressed DICOM pixels have another size or depth than the header says",
            where=path,
            fix=_AGAIN,
        )
    if not stream[-64:].rstrip(b"\0").endswith(b"\xff\xd9"):
        raise ImageError(
            "the compressed DICOM pixels are cut off: their end is missing", where=path, fix=_AGAIN
        )


def _decoded_apart(path: Path) -> npt.NDArray[Any]:
    """The stored values of ``path``, decoded by ``hilum.imaging.decoder`` in a process of its own.

    Raises ImageError where that process fails, takes too long, or a decoder says that it made pixels up.
    """
    command = [sys.executable, "-P", "-m", "hilum.imaging.decoder", str(path.absolute())]
    search = os.pathsep.join(folder for folder in sys.path if folder)
    environment = {**os.environ, "PYTHONPATH": search, "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
    try:
        done = subprocess.run(command, env=environment, capture_output=True, timeout=_SECONDS, check=False)
    except subprocess.TimeoutExpired:
        raise ImageError(
            "the compressed DICOM pixels take too long to decode", where=path, fix="convert the file first"
        ) from None
    said = done.stderr.decode("utf-8", "replace")
    if done.returncode != 0 or any(_is_damage(line) for line in said.splitlines()):
        raise ImageError("the compressed DICOM pixels are damaged", where=path, fix=_AGAIN)
    values: npt.NDArray[Any] = np.load(io.BytesIO(done.stdout), allow_pickle=False)
    return values


def _is_damage(line: str) -> bool:
    """Whether a decoder's complaint means that pixels are missing. Filling before the end marker is harmless."""
    harmless = re.search(r"\d+ extraneous bytes before marker 0xd9", line)
    return harmless is None and any(word in line for word in _COMPLAINTS)
