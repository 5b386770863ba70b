"""From a DICOM object's Pixel Data to its stored values, by one decoder for each transfer syntax.

To be run in a process of its own (``hilum.imaging.worker``). The decoders are C and C++; on a damaged stream one may
abort, loop, or ask for any amount of memory, and some say only on standard error that they made pixels up.
"""

from __future__ import annotations

import os
import re
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from pydicom.dataset import Dataset
from pydicom.pixels.decoders.base import get_decoder
from pydicom.pixels.utils import pixel_array
from pydicom.uid import UID, JPEGExtended12Bit

from hilum.errors import ImageError
from hilum.imaging.codestream import check_pixel_data
from hilum.imaging.syntaxes import Syntax, known_syntax

_AGAIN = "get the file again"
_COMPLAINTS = (
    "Corrupt JPEG data",
    "premature end",
    "Premature end",
    "Stream too short",
    "inconsistent with stream",
)
"""What libjpeg and OpenJPEG print where they go on with pixels of their own making."""
_OVERSHOOT = 0.25
"""A lossy stream may come out beyond the range of its pixels; by more than this share of it the header lies."""


def stored_values(header: Dataset, path: Path, notes: list[str]) -> npt.NDArray[Any]:
    """The stored values: (H, W), or (H, W, 3) red, green, blue.

    Grey values are numbers of Bits Stored bits, signed where Pixel Representation says so, without what may lie in
    the unused bits. ``header`` is the whole object, its sizes already checked; ``path`` is the file it came from;
    what had to be assumed is added to ``notes``. Raises ImageError where the pixels cannot be decoded (it says what
    to install), are damaged, cut off, or not what the header claims.
    """
    syntax = _syntax(header.file_meta.TransferSyntaxUID, path)
    try:
        check_pixel_data(header, syntax, path)
        with _listening() as said:
            raw = _decoded(header, syntax, path)
    except ImageError:
        raise
    except Exception:  # decoders raise nearly anything on damage
        raise ImageError("the DICOM pixels are cut off or damaged", where=path, fix=_AGAIN) from None
    if any(_is_damage(line) for line in said):
        raise ImageError("the compressed DICOM pixels are damaged", where=path, fix=_AGAIN)
    if raw.shape[:2] != (int(header.Rows), int(header.Columns)):
        raise ImageError("the DICOM pixels have another size than the header says", where=path, fix=_AGAIN)
    return raw if raw.ndim == 3 else _without_unused_bits(raw, header, syntax, path, notes)


def missing(syntax: Syntax) -> bool:
    """Whether the decoder of that syntax is not installed."""
    return bool(syntax.family) and syntax.decoder not in get_decoder(UID(syntax.uid)).available_plugins


def _syntax(uid: UID, path: Path) -> Syntax:
    syntax = known_syntax(str(uid))
    if syntax is None:
        name = uid.name if uid.is_transfer_syntax else "that the file names"
        raise ImageError(
            f"the transfer syntax {name} is not one of single films, or cannot be decoded here",
            where=path,
            fix="convert it to Explicit VR Little Endian, for example with gdcmconv --raw",
        )
    if missing(syntax):
        raise ImageError(
            f"the transfer syntax {syntax.name} needs a decoder that is not installed",
            where=path,
            fix=syntax.fix,
        )
    return syntax


def _decoded(header: Dataset, syntax: Syntax, path: Path) -> npt.NDArray[Any]:
    if syntax.uid == JPEGExtended12Bit and int(header.BitsStored) > 8:
        return _twelve_bit(header, path)
    plugin = syntax.decoder if syntax.family else ""  # uncompressed pixels are not decoded
    raw: npt.NDArray[Any] = pixel_array(header, raw=False, correct_unused_bits=False, decoding_plugin=plugin)
    return raw


def _twelve_bit(header: Dataset, path: Path) -> npt.NDArray[Any]:
    """JPEG Extended of 12 bits by GDCM itself, which pydicom does not ask for it (docs/decisions/0002)."""
    import gdcm

    reader = gdcm.ImageReader()
    reader.SetFileName(str(path))
    if not reader.Read() or int(header.SamplesPerPixel) != 1 or int(header.BitsAllocated) != 16:
        raise ValueError("GDCM cannot read the file")
    # GDCM returns a char* as str.
    kind = "<i2" if int(header.PixelRepresentation) == 1 else "<u2"
    values = np.frombuffer(reader.GetImage().GetBuffer().encode("utf-8", "surrogateescape"), kind)
    return values.reshape(int(header.Rows), int(header.Columns))


def _without_unused_bits(
    raw_HW: npt.NDArray[Any], header: Dataset, syntax: Syntax, path: Path, notes: list[str]
) -> npt.NDArray[Any]:
    """The numbers of Bits Stored bits that end at High Bit.

    What a lossless syntax holds in the other bits (an overlay, in old files; rubbish) is cut off, PS3.5 8.1.1. A
    lossy stream holds numbers, not bits: where they have gone beyond the range they are brought back to its end, for
    cutting bits off would turn white into black. Raises ImageError where they are so far beyond that Bits Stored
    cannot be true.
    """
    bits, high = int(header.BitsStored), int(header.get("HighBit", header.BitsStored - 1))
    signed = int(header.PixelRepresentation) == 1
    if bits == int(header.BitsAllocated):
        return raw_HW
    top, range_ = (1 << (bits - signed)) - 1, 1 << bits
    values_HW = raw_HW.astype(np.int32)
    known = syntax.family == "JPEG 2000" or not signed  # JPEG and JPEG-LS have no sign, they carry its bits
    if not (syntax.lossy and high == bits - 1 and known):
        shift = high + 1 - bits
        inside_HW = (values_HW >> shift) & (range_ - 1)
        others_HW = values_HW & ~((range_ - 1) << shift)
        inside_HW -= (inside_HW > top) * np.int32(range_)
        if others_HW.min() != others_HW.max() and not np.array_equal(values_HW, inside_HW << shift):
            notes.append(
                "bits that the header calls unused are in use (by an overlay, say); they were cut off"
            )
        return inside_HW
    beyond = max(int(values_HW.max()) - top, top + 1 - range_ - int(values_HW.min()))
    if beyond > _OVERSHOOT * range_:
        raise ImageError("the DICOM pixels have more bits than the header says", where=path, fix=_AGAIN)
    return np.clip(values_HW, top + 1 - range_, top)


@contextmanager
def _listening() -> Iterator[list[str]]:
    """What is written to standard error meanwhile, by C libraries too: lines, there once the block is left."""
    said: list[str] = []
    sys.stderr.flush()
    with tempfile.TemporaryFile() as heard:
        before = os.dup(2)
        os.dup2(heard.fileno(), 2)
        try:
            yield said
        finally:
            os.dup2(before, 2)
            os.close(before)
            heard.seek(0)
            said += heard.read(1 << 20).decode("utf-8", "replace").splitlines()


def _is_damage(line: str) -> bool:
    """Whether a decoder's complaint means that pixels are missing. Filling before the end marker is harmless."""
    harmless = re.search(r"\d+ extraneous bytes before marker 0xd9", line)
    return harmless is None and any(word in line for word in _COMPLAINTS)
