"""Reading a chest radiograph from a DICOM object (CR, DX, secondary capture).

Everything that bounds the work (size, frames, depth, what the compressed stream itself claims) is checked
before a pixel is decoded. Of the header only what ``Film`` lists is taken over; no message quotes a value
that could name a patient. How the pixels come to look: ``hilum.imaging.grayscale``; why:
docs/decisions/0002.
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
from pydicom.dataset import Dataset
from pydicom.multival import MultiValue
from pydicom.uid import UID, ExplicitVRLittleEndian, ImplicitVRLittleEndian

from hilum.errors import ImageError
from hilum.imaging.codestream import stored_values
from hilum.imaging.film import LARGEST_FILE, Film, check_pixels, check_size, luminance
from hilum.imaging.grayscale import display_table, number
from hilum.study import Projection

RADIOGRAPHS = ("CR", "DX", "RG")
"""Modalities that are radiographs: computed, digital, and film (digitised)."""

_CAPTURE = "1.2.840.10008.5.1.4.1.1.7"
_CLASSES = {
    "1.2.840.10008.5.1.4.1.1.1": "CR",
    "1.2.840.10008.5.1.4.1.1.1.1": "DX",
    "1.2.840.10008.5.1.4.1.1.1.1.1": "DX",
    _CAPTURE: "OT",
}
_DEFLATED = b"1.2.840.10008.1.2.1.99"
_GREY = ("MONOCHROME1", "MONOCHROME2")
_COLOUR = ("RGB", "YBR_FULL", "YBR_FULL_422", "YBR_RCT", "YBR_ICT")
_FRONTAL_POSITIONS = {"PA", "AP", "AP_LLD", "AP_RLD", "LLD", "RLD"}
_LATERAL_POSITIONS = {"LL", "RL", "LAT", "LATERAL", "LLAT", "RLAT", "LLATERAL", "RLATERAL"}
_OTHER_POSITIONS = {"LLO", "RLO", "LPO", "RPO", "LAO", "RAO"}
# CID 4010 (DX View): SNOMED CT and, in older files, SNOMED RT codes.
_FRONTAL_CODES = {"399348003", "R-10206", "272479007", "R-40888", "R-10214", "399033003", "R-10202"}
_LATERAL_CODES = {
    "399067008",
    "R-102CD",
    "399173006",
    "R-10236",
    "399198007",
    "R-10232",
    "30730003",
    "G-A145",
}

_WANTED = (
    "SOPClassUID",
    "Modality",
    "BodyPartExamined",
    "ViewPosition",
    "ViewCodeSequence",
    "PatientOrientation",
    "Laterality",
    "ImageLaterality",
    "PresentationIntentType",
    "PixelIntensityRelationship",
    "SamplesPerPixel",
    "PhotometricInterpretation",
    "PlanarConfiguration",
    "NumberOfFrames",
    "Rows",
    "Columns",
    "BitsAllocated",
    "BitsStored",
    "HighBit",
    "PixelRepresentation",
    "PixelPaddingValue",
    "PixelPaddingRangeLimit",
    "PixelSpacing",
    "ImagerPixelSpacing",
    "NominalScannedPixelSpacing",
    "PixelAspectRatio",
    "ModalityLUTSequence",
    "RescaleSlope",
    "RescaleIntercept",
    "VOILUTSequence",
    "WindowCenter",
    "WindowWidth",
    "VOILUTFunction",
    "PresentationLUTShape",
)
"""All that is ever read of a header: names, dates and numbers of a patient are not even parsed."""
_AGAIN = "get the file again"
_quiet_lock = threading.Lock()


def looks_like(data: bytes) -> bool:
    """Whether ``data`` starts as a DICOM file does: PS3.10 preamble, or (old files) a first attribute."""
    if data[128:132] == b"DICM":
        return True
    if len(data) < 8 or data[:2] not in (b"\x08\0", b"\x02\0") or data[3] != 0:
        return False
    (length,) = struct.unpack("<I", data[4:8])
    return data[4:6].isalpha() or length < 4096


def read(data: bytes, path: Path) -> Film:
    """The film in the DICOM object ``data``; ``path`` is for messages.

    Modality LUT or rescale, then VOI LUT (the first table, else the first window, else one of the middle 99
    % of the pixels), then polarity: MONOCHROME1 or the presentation shape INVERSE are inverted. Padding is
    black. Colour (secondary captures) becomes luminance. Pixels that are not square are left as they are,
    and ``Film.aspect`` says so.

    Raises ImageError where the object is no chest radiograph that can be shown.
    """
    with quietly():
        notes: list[str] = []
        header = _parse(data, path, notes)
        modality = _modality(header, path, notes)
        height, width = _bounds(header, path)
        photometric = str(header.get("PhotometricInterpretation", ""))
        raw = stored_values(header, path)
        if raw.shape[:2] != (height, width):
            raise ImageError(
                "the DICOM pixels have another size than the header says", where=path, fix=_AGAIN
            )
        if photometric in _COLOUR:
            shown, coloured = luminance(raw)
            top = (1 << int(header.BitsStored)) - 1
            pixels_HW = np.minimum(shown.astype(np.float32) / np.float32(top), np.float32(1))
            if coloured:
                notes.append("the picture is in colour; only its luminance was used")
        else:
            pixels_HW = _shown(raw, header, path, notes)
        projection = _projection(header, notes)
        position = str(header.get("ViewPosition", "")).strip().upper()
        orientation = _orientation(header)
        laterality = str(header.get("ImageLaterality", "") or header.get("Laterality", "") or "")
        return Film(
            pixels_HW=check_pixels(pixels_HW, str(path)),
            projection=projection,
            source=path.name,
            warnings=tuple(notes),
            aspect=_aspect(header, height, width, notes),
            kind="DICOM",
            bits=int(header.BitsStored),
            modality=modality,
            photometric=photometric,
            view_position=(
                position if position in _FRONTAL_POSITIONS | _LATERAL_POSITIONS | _OTHER_POSITIONS else ""
            ),
            orientation=orientation,
            laterality=laterality if laterality in ("L", "R", "B", "U") else "",
        )


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
            io.BytesIO(data), force=data[128:132] != b"DICM", specific_tags=[*_WANTED, "PixelData"]
        )
    except Exception:  # the parser raises nearly anything on damage, and may quote what it read
        raise ImageError("the DICOM file is cut off or damaged", where=path, fix=_AGAIN) from None
    for tag in list(header.keys()):
        try:  # values are parsed when they are first asked for: here, once, where a failure is expected
            if header[tag].VR == "SQ":
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
        known = modality if modality.isalpha() and 2 <= len(modality) <= 8 else "unknown"
        raise ImageError(
            f"the DICOM object is of modality {known}, not a radiograph",
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
        int(header.PixelRepresentation)
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
        shown = photometric if photometric.replace("_", "").replace(" ", "").isalnum() else "unknown"
        refuse(
            f"photometric interpretation {shown[:20]} is not that of a radiograph", "export it as MONOCHROME2"
        )
    if samples != (1 if photometric in _GREY else 3):
        refuse(f"the DICOM header contradicts itself ({samples} samples per pixel, {photometric})", _AGAIN)
    if allocated not in (8, 16) or not 6 <= stored <= allocated or not stored - 1 <= high < allocated:
        refuse(
            f"pixels of {stored} bits in {allocated} cannot be read (8 to 16 bits can)",
            "export it with 8 to 16 bits",
        )
    return rows, columns


def _shown(raw: npt.NDArray[Any], header: Dataset, path: Path, notes: list[str]) -> npt.NDArray[np.float32]:
    """Grey stored values to [0, 1]."""
    bits, high = int(header.BitsStored), int(header.get("HighBit", header.BitsStored - 1))
    signed = int(header.PixelRepresentation) == 1
    # Bits outside those stored may hold overlays or rubbish: they are cut off before the values are counted.
    index_HW = (raw.astype(np.int32) >> (high + 1 - bits)) & ((1 << bits) - 1)
    first = 0
    if signed:
        first = -(1 << (bits - 1))
        index_HW = (index_HW + (1 << (bits - 1))) & ((1 << bits) - 1)
    counts = np.bincount(index_HW.ravel(), minlength=1 << bits)
    try:
        table, more = display_table(header, counts, first)
    except Exception:
        raise ImageError("a lookup table of the DICOM object is damaged", where=path, fix=_AGAIN) from None
    notes += more
    shown: npt.NDArray[np.float32] = table[index_HW]
    return shown


def _projection(header: Dataset, notes: list[str]) -> Projection:
    """From View Position, else the View Code Sequence, else Patient Orientation."""
    position = str(header.get("ViewPosition", "") or "").strip().upper()
    codes = {str(item.get("CodeValue", "")) for item in header.get("ViewCodeSequence", None) or []}
    by_orientation = _by_orientation(_orientation(header), notes)
    if position in _FRONTAL_POSITIONS or (not position and codes & _FRONTAL_CODES):
        found = Projection.FRONTAL
    elif position in _LATERAL_POSITIONS or (not position and codes & _LATERAL_CODES):
        found = Projection.LATERAL
    elif position in _OTHER_POSITIONS:
        found = Projection.UNKNOWN
    else:
        return by_orientation
    if Projection.UNKNOWN not in (found, by_orientation) and found != by_orientation:
        notes.append(
            "view and patient orientation contradict each other in the header; the view was followed"
        )
    return found


def _orientation(header: Dataset) -> tuple[str, ...]:
    """Patient Orientation, PS3.3 C.7.6.1.1.1: where rows and columns run to; empty where not usable."""
    value = header.get("PatientOrientation")
    if not isinstance(value, list | tuple | MultiValue) or len(value) != 2:
        return ()
    pair = tuple(str(one).strip().upper() for one in value)
    return pair if all(one and set(one) <= set("LRAPHF") and len(one) <= 3 for one in pair) else ()


def _by_orientation(orientation: tuple[str, ...], notes: list[str]) -> Projection:
    if not orientation:
        return Projection.UNKNOWN
    rows, columns = orientation[0][0], orientation[1][0]
    if columns == "H" or rows in "HF":
        notes.append("the header says that the patient is not upright in the picture; it was not turned")
    across = columns if rows in "HF" else rows
    if across == "R" and rows == "R":
        notes.append(
            "the header says that the patient's right is at the right edge; it was not mirrored, "
            "so sides may be swapped"
        )
    if across in "LR" and (rows in "HF" or columns in "HF"):
        return Projection.FRONTAL
    if across in "AP" and (rows in "HF" or columns in "HF"):
        return Projection.LATERAL
    return Projection.UNKNOWN


def _aspect(header: Dataset, height: int, width: int, notes: list[str]) -> float | None:
    """True height / true width where pixels are not square (spacings are: between rows, columns)."""
    for name in ("PixelSpacing", "ImagerPixelSpacing", "NominalScannedPixelSpacing", "PixelAspectRatio"):
        value = header.get(name)
        if not isinstance(value, list | tuple | MultiValue) or len(value) != 2:
            continue
        down, across = number(value[0]), number(value[1])
        if not down or not across or down <= 0 or across <= 0:
            continue
        if not 0.2 <= down / across <= 5:
            notes.append("the pixel spacing in the header is not credible; the pixels were taken for square")
            return None
        return None if abs(down / across - 1) < 1e-3 else height * down / (width * across)
    return None
