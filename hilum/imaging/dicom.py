"""Reading a chest radiograph from a DICOM object (CR, DX, secondary capture).

Everything that bounds the work (size, frames, depth, what the compressed stream itself claims) is checked
before a pixel is decoded. Of the header only what ``Film`` lists is taken over; no message quotes a value
that could name a patient. Callers go through ``hilum.imaging.apart``, which does this in a process of its own.
How the pixels come to look: ``hilum.imaging.grayscale``; why: docs/decisions/0002.
"""

from __future__ import annotations

import io
import logging
import struct
import threading
import warnings
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import numpy.typing as npt
import pydicom
from pydicom.datadict import dictionary_VR
from pydicom.dataset import Dataset
from pydicom.uid import UID, ExplicitVRLittleEndian, ImplicitVRLittleEndian

from hilum.errors import ImageError
from hilum.imaging import attributes, decoder, shutter
from hilum.imaging.film import LARGEST_FILE, Film, check_pixels, check_size, luminance
from hilum.imaging.grayscale import display_table, numbers
from hilum.imaging.positioning import laterality, orientation, projection_of, view_position

RADIOGRAPHS = ("CR", "DX", "RG")
"""Modalities that are radiographs: computed, digital, and film (digitised)."""

_CAPTURE = "1.2.840.10008.5.1.4.1.1.7"
_CLASSES = {
    "1.2.840.10008.5.1.4.1.1.1": "CR",
    "1.2.840.10008.5.1.4.1.1.1.1": "DX",
    "1.2.840.10008.5.1.4.1.1.1.1.1": "DX",
    _CAPTURE: "OT",
}
_OTHER_MODALITIES = (
    "CT", "DOC", "ECG", "ES", "IO", "IVUS", "KO", "MG", "MR", "NM", "OCT", "OP", "OT", "PR", "PT", "PX", "REG", "RF",
    "RTDOSE", "RTIMAGE", "RTPLAN", "RTSTRUCT", "SC", "SEG", "SM", "SR", "TG", "US", "XA", "XC",
)  # fmt: skip
"""Modalities (PS3.3 C.7.3.1.1.1) that a message may name; any other text may be anything."""
_DEFLATED = b"1.2.840.10008.1.2.1.99"
_GREY = ("MONOCHROME1", "MONOCHROME2")
_COLOUR = ("RGB", "YBR_FULL", "YBR_FULL_422", "YBR_RCT", "YBR_ICT")
_OTHER_PHOTOMETRIC = (
    "PALETTE COLOR", "HSV", "ARGB", "CMYK", "YBR_PARTIAL_422", "YBR_PARTIAL_420", "XYB"
)  # fmt: skip
_AGAIN = "get the file again"
_quiet_lock = threading.Lock()


def read(data: bytes, path: Path) -> Film:
    """The film in the DICOM object ``data``; ``path`` is the file it came from.

    Modality LUT or rescale, then VOI LUT (the first table, else the first window, else one of the middle 99
    % of the pixels), then polarity: MONOCHROME1 or the presentation shape INVERSE are inverted. Padding and what a
    display shutter covers are black. Colour (secondary captures) becomes luminance. Pixels that are not square are
    left as they are, and ``Film.aspect`` says so.

    Raises ImageError where the object is no chest radiograph that can be shown.
    """
    return read_with_values(data, path)[0]


def read_with_values(data: bytes, path: Path) -> tuple[Film, npt.NDArray[Any]]:
    """The film as ``read`` has it, and its stored values, before any grey: see ``decoder.stored_values``.

    These are (H, W), or (H, W, 3) red, green, blue, in whole numbers. Raises ImageError as ``read`` does.
    """
    with quietly():
        notes: list[str] = []
        header = _parse(data, path, notes)
        modality = _modality(header, path, notes)
        height, width = _bounds(header, path)
        photometric = str(header.get("PhotometricInterpretation", ""))
        raw = decoder.stored_values(header, path, notes)
        stretch = _stretch(header, notes)
        hidden_HW = shutter.hidden(header, height, width, stretch, notes)
        if photometric in _COLOUR:
            shown, coloured = luminance(raw)
            top = (1 << int(header.BitsStored)) - 1
            pixels_HW = np.minimum(shown.astype(np.float32) / np.float32(top), np.float32(1))
            if coloured:
                notes.append("the picture is in colour; only its luminance was used")
        else:
            pixels_HW = _shown(raw, header, hidden_HW, path, notes)
        if hidden_HW is not None:
            pixels_HW[hidden_HW] = 0.0
        film = Film(
            pixels_HW=check_pixels(pixels_HW, str(path)),
            projection=projection_of(header, notes),
            source=path.name,
            warnings=tuple(notes),
            aspect=None if stretch == 1.0 else height * stretch / width,
            kind="DICOM",
            bits=int(header.BitsStored),
            modality=modality,
            photometric=photometric,
            view_position=view_position(header),
            orientation=orientation(header),
            laterality=laterality(header),
        )
        return film, raw


def read_size(path: Path) -> tuple[int, int]:
    """(height, width) that the header says, the pixels unread. Raises ImageError as ``read`` does."""
    with quietly():
        try:
            with path.open("rb") as file:
                start = file.read(1024)
            if _DEFLATED in start:
                header = _parse(path.read_bytes(), path, [])
            else:
                header = pydicom.dcmread(
                    path, stop_before_pixels=True, force=True, specific_tags=["Rows", "Columns"]
                )
            rows, columns = int(header.Rows), int(header.Columns)
        except ImageError:
            raise
        except Exception:
            raise ImageError("the DICOM header cannot be read", where=path, fix=_AGAIN) from None
        return check_size(rows, columns, str(path))


@contextmanager
def quietly() -> Iterator[None]:
    """Silences what pydicom warns of and logs, for it quotes values. Process-wide, so one thread at a time."""
    log = logging.getLogger("pydicom")
    with _quiet_lock, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        was, log.disabled = log.disabled, True
        try:
            yield
        finally:
            log.disabled = was


def _parse(data: bytes, path: Path, notes: list[str]) -> Dataset:
    if _DEFLATED in data[:1024]:
        _check_deflated(data, path)
    try:
        header = pydicom.dcmread(
            io.BytesIO(data), force=data[128:132] != b"DICM", specific_tags=[*attributes.READ, "PixelData"]
        )
    except Exception:  # the parser raises nearly anything on damage, and may quote what it read
        raise ImageError("the DICOM file is cut off or damaged", where=path, fix=_AGAIN) from None
    for tag in list(header.keys()):
        try:  # values are parsed when they are first asked for: here, once, where a failure is expected
            is_sequence = header[tag].VR == "SQ"
            if is_sequence != (dictionary_VR(tag) == "SQ"):
                raise ValueError("an entry of another kind than its name")
            if is_sequence:
                _ = [element.value for item in header[tag].value for element in item.iterall()]
        except Exception:  # as above
            del header[tag]
            notes.append("an entry of the header is damaged and was ignored")
    if "PixelData" not in header:
        raise ImageError(
            "the DICOM object holds no pixels",
            where=path,
            fix="give an image object (CR, DX or secondary capture)",
        )
    try:
        header.file_meta.TransferSyntaxUID = syntax_of(header)
    except Exception:  # as above
        raise ImageError("the DICOM file is damaged", where=path, fix=_AGAIN) from None
    return header


def syntax_of(header: Dataset) -> UID:
    """The transfer syntax of an object that was read; an old file without the meta header is uncompressed.

    Raises nearly anything where the meta header is damaged.
    """
    implicit = ImplicitVRLittleEndian if header.original_encoding[0] else ExplicitVRLittleEndian
    return UID(header.file_meta.get("TransferSyntaxUID") or implicit)


def _check_deflated(data: bytes, path: Path) -> None:
    """A deflated object may inflate a thousandfold: here it is inflated in pieces, only to be counted."""
    start = 144 + struct.unpack_from("<I", data, 140)[0] if data[132:136] == b"\x02\0\0\0" else len(data)
    inflate: Any = zlib.decompressobj(-zlib.MAX_WBITS)
    total, piece = 0, data[start:]
    try:
        while piece and not inflate.eof:
            total += len(inflate.decompress(piece, 1 << 24))
            piece = inflate.unconsumed_tail
            if total > LARGEST_FILE:
                raise ImageError(
                    "the deflated DICOM object is too large", where=path, fix="export it uncompressed"
                )
    except zlib.error:
        inflate = None
    if inflate is None or not inflate.eof:
        raise ImageError("the deflated DICOM object is damaged", where=path, fix=_AGAIN)


def _modality(header: Dataset, path: Path, notes: list[str]) -> str:
    """The modality, where it is one that can be read. Raises ImageError otherwise, by name."""
    modality = str(header.get("Modality", "") or "").strip().upper()
    sop_class = str(header.get("SOPClassUID", "") or "")
    captured = sop_class == _CAPTURE or sop_class.startswith(_CAPTURE + ".")
    if not modality:
        modality = "OT" if captured else _CLASSES.get(sop_class, "")
    accepted = modality in RADIOGRAPHS or (captured and modality in ("OT", "SC", ""))
    if not accepted:
        known = f"of modality {modality}" if modality in _OTHER_MODALITIES else "of an unknown modality"
        raise ImageError(
            f"the DICOM object is {known}, not a radiograph",
            where=path,
            fix="give a CR, DX or secondary-capture object",
        )
    if captured:
        notes.append("secondary capture: window, polarity and view may differ from the original film")
    part = str(header.get("BodyPartExamined", "") or "").upper()
    if part and not any(word in part for word in ("CHEST", "THORAX", "LUNG", "RIB")):
        notes.append("the header says that the body part is not the chest")
    return modality


def _bounds(header: Dataset, path: Path) -> tuple[int, int]:
    """(height, width). Raises ImageError where what the header claims cannot be a single radiograph."""

    def refuse(what: str, fix: str) -> NoReturn:
        raise ImageError(what, where=path, fix=fix)

    try:
        rows, columns = int(header.Rows), int(header.Columns)
        frames = int(header.get("NumberOfFrames", 1) or 1)
        samples = int(header.SamplesPerPixel)
        allocated, stored = int(header.BitsAllocated), int(header.BitsStored)
        high = int(header.get("HighBit", stored - 1))
        representation = int(header.PixelRepresentation)
    except Exception:  # missing, or not numbers
        refuse("the DICOM header does not say what its pixels are (rows, columns, bits)", _AGAIN)
    check_size(rows, columns, str(path))
    if frames != 1:
        refuse(
            f"the DICOM object has {frames} frames; a radiograph has one",
            "export the frame as an object of its own",
        )
    photometric = str(header.get("PhotometricInterpretation", ""))
    if photometric not in (*_GREY, *_COLOUR):
        shown = f" {photometric}" if photometric in _OTHER_PHOTOMETRIC else ""
        refuse(
            f"the photometric interpretation{shown} is not that of a radiograph", "export it as MONOCHROME2"
        )
    if samples != (1 if photometric in _GREY else 3) or representation not in (0, 1):
        refuse(f"the DICOM header contradicts itself ({samples} samples per pixel, {photometric})", _AGAIN)
    if allocated not in (8, 16) or not 6 <= stored <= allocated or not stored - 1 <= high < allocated:
        refuse(
            f"pixels of {stored} bits in {allocated} cannot be read (8 to 16 bits can)",
            "export it with 8 to 16 bits",
        )
    return rows, columns


def _shown(
    stored_HW: npt.NDArray[Any],
    header: Dataset,
    hidden_HW: npt.NDArray[np.bool_] | None,
    path: Path,
    notes: list[str],
) -> npt.NDArray[np.float32]:
    """Grey stored values to [0, 1]."""
    bits = int(header.BitsStored)
    first = -(1 << (bits - 1)) if int(header.PixelRepresentation) == 1 else 0
    index_HW = stored_HW.astype(np.int32) - np.int32(first)
    seen = index_HW.ravel() if hidden_HW is None else index_HW[~hidden_HW]
    counts = np.bincount(seen, minlength=1 << bits)
    try:
        table, more = display_table(header, counts, first)
    except Exception:
        raise ImageError("a lookup table of the DICOM object is damaged", where=path, fix=_AGAIN) from None
    notes += more
    shown: npt.NDArray[np.float32] = table[index_HW]
    return shown


def _stretch(header: Dataset, notes: list[str]) -> float:
    """A pixel's height over its width; 1 where it is square, or the header does not (credibly) say."""
    for name in attributes.SPACING:
        found = numbers(header.get(name))
        if len(found) != 2 or not (found[0] > 0 and found[1] > 0):
            continue
        down, across = found  # between rows, between columns (PS3.3 10.7.1.3)
        if not 0.2 <= down / across <= 5:
            notes.append("the pixel spacing in the header is not credible; the pixels were taken for square")
            return 1.0
        return 1.0 if abs(down / across - 1) < 1e-3 else down / across
    return 1.0
