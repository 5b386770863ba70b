"""One DICOM file to a clean one: header, pixels, and the text that is burnt into them.

The pixels are decoded and written anew as Explicit VR Little Endian, so that nothing can travel in what a compressed
stream carries besides pixels (comments, application segments, boxes), in bits that are not stored (old overlays lie
there), behind the last pixel, or in the preamble of the file.
"""

from __future__ import annotations

import io
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pydicom
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import UID, ExplicitVRLittleEndian

from hilum.deidentification.cleaning import clean
from hilum.deidentification.profile import Options
from hilum.deidentification.pseudonyms import Pseudonyms
from hilum.errors import ImageError, InputError
from hilum.imaging import apart, dicom
from hilum.study import Box

Pixels = npt.NDArray[np.float32]
Finder = Callable[[Pixels], Sequence[Box]]
"""Finds text in a film, pixels in [0, 1]: the boxes that hold it, in pixels."""

_CLASSES = (
    "1.2.840.10008.5.1.4.1.1.1",
    "1.2.840.10008.5.1.4.1.1.1.1",
    "1.2.840.10008.5.1.4.1.1.1.1.1",
    "1.2.840.10008.5.1.4.1.1.7",
)
"""CR, DX for presentation and for processing, secondary capture."""
_IMPLEMENTATION = "2.25.302046312208906463029137107297853917473"
_NO = "it cannot be de-identified here"


@dataclass(frozen=True, slots=True)
class CleanFilm:
    """A clean object, ready to be written."""

    data: bytes
    study: str
    """Study Instance UID, the new one."""
    instance: str
    """SOP Instance UID, the new one."""
    counts: Counter[tuple[str, str]]
    """How often each attribute met which fate (``cleaning.Cleaned.counts``)."""
    blackened: tuple[Box, ...]


@dataclass(frozen=True, slots=True)
class HeldBack:
    """A film that a person has to look at: it shows, or is said to show, text."""

    reason: str
    boxes: tuple[Box, ...]
    pixels_HW: Pixels
    """What the film shows, [0, 1]."""


def deidentified(
    data: bytes,
    path: Path,
    options: Options,
    pseudonyms: Pseudonyms,
    find: Finder,
    *,
    looked_at: bool = False,
) -> CleanFilm | HeldBack:
    """The clean object of the DICOM file ``data`` that lies at ``path``, or why a person has to look at it first.

    ``looked_at``: a person has, and found no identifying text; text is then neither looked for nor blackened. Raises
    ImageError or InputError where the object is none of those that can be cleaned here (CR, DX, secondary capture of
    one frame), or is damaged.
    """
    film, raw = apart.read_with_values(path)
    with dicom.quietly():
        source = _parse(data, path)
        try:
            cleaned = clean(source, options, pseudonyms)
        except Exception:  # the parser raises nearly anything on damage, and may quote what it read
            raise InputError("the DICOM header is damaged", where=path, fix=_NO) from None
    made = cleaned.dataset
    values = _put_pixels(made, source, raw)
    boxes: tuple[Box, ...] = ()
    if not looked_at:
        boxes = _text_on(film.pixels_HW, values, find)
        said = str(source.get("BurnedInAnnotation", "") or "").strip().upper() == "YES"
        if boxes and not options.clean_pixel_data:
            return HeldBack("it shows text", boxes, film.pixels_HW)
        if said and not boxes:
            return HeldBack("its header says that it shows annotations; none was found", (), film.pixels_HW)
        if boxes:
            blacken(values, boxes, np.unravel_index(int(film.pixels_HW.argmin()), film.pixels_HW.shape))
    made.PixelData = values.tobytes() + b"\0" * (values.nbytes % 2)
    made["PixelData"].VR = "OW" if values.itemsize == 2 else "OB"
    made.BurnedInAnnotation = "NO"
    out = _written(made)
    again = dicom.read(out, path)
    if not boxes and not np.array_equal(again.pixels_HW, film.pixels_HW):
        raise ImageError("its clean copy would look different", where=path, fix=_NO)
    if boxes and _text_on(again.pixels_HW, values, find):
        return HeldBack("it shows text even where text was blackened", boxes, film.pixels_HW)
    return CleanFilm(out, str(made.StudyInstanceUID), str(made.SOPInstanceUID), cleaned.counts, boxes)


def _text_on(shown_HW: Pixels, values: npt.NDArray[Any], find: Finder) -> tuple[Box, ...]:
    """Text on the film as it is shown, and where it is not: beyond the window, under a shutter, in padding."""
    boxes = tuple(find(shown_HW))
    if values.ndim == 2 and any(np.ptp(values[shown_HW == end]) for end in (0, 1) if (shown_HW == end).any()):
        index = values.astype(np.int64) - int(values.min())
        ranks = np.cumsum(np.bincount(index.ravel()))
        even = ((ranks - ranks[0]) / max(int(ranks[-1] - ranks[0]), 1)).astype(np.float32)
        boxes += tuple(find(even[index]))
    return tuple(dict.fromkeys(boxes))


def blacken(
    values: npt.NDArray[Any], boxes: Sequence[Box], darkest: Sequence[np.intp] | tuple[Any, ...]
) -> None:
    """Overwrites the ``boxes`` of the stored ``values`` with the value at ``darkest`` (row, column), in place."""
    black = values[tuple(darkest)].copy() if values.ndim == 2 else 0
    for x0, y0, x1, y1 in boxes:
        values[int(y0) : int(np.ceil(y1)), int(x0) : int(np.ceil(x1))] = black


def _parse(data: bytes, path: Path) -> Dataset:
    try:
        source = pydicom.dcmread(io.BytesIO(data), force=data[128:132] != b"DICM")
        sop_class = str(source.get("SOPClassUID", "") or "")
        identified = all(str(source.get(name, "") or "") for name in ("SOPInstanceUID", "StudyInstanceUID"))
        syntax = dicom.syntax_of(source)
    except Exception:  # as above
        raise InputError("the DICOM header is damaged", where=path, fix=_NO) from None
    if sop_class not in _CLASSES:
        raise InputError("no CR, DX or single-frame secondary capture", where=path, fix=_NO)
    if not identified:
        raise InputError("it has no SOP or Study Instance UID", where=path, fix=_NO)
    source.file_meta.TransferSyntaxUID = syntax
    return source


def _put_pixels(made: Dataset, source: Dataset, raw: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """What the header says of the pixels, and the stored values in the type that it says."""
    stored, allocated = int(source.BitsStored), int(source.BitsAllocated)
    signed = int(source.PixelRepresentation) == 1
    colour = raw.ndim == 3
    made.PhotometricInterpretation = "RGB" if colour else str(source.PhotometricInterpretation)
    made.BitsAllocated, made.BitsStored, made.HighBit = allocated, stored, stored - 1
    made.PixelRepresentation = int(signed)
    if colour:
        made.PlanarConfiguration = 0
        raw = raw & ((1 << stored) - 1)
    return np.ascontiguousarray(raw.astype(f"<{'i' if signed else 'u'}{allocated // 8}"))


def _written(made: Dataset) -> bytes:
    made.file_meta = FileMetaDataset()
    made.file_meta.MediaStorageSOPClassUID = made.SOPClassUID
    made.file_meta.MediaStorageSOPInstanceUID = made.SOPInstanceUID
    made.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    made.file_meta.ImplementationClassUID = UID(_IMPLEMENTATION)
    made.file_meta.ImplementationVersionName = "HILUM"
    out = io.BytesIO()
    with dicom.quietly():
        pydicom.dcmwrite(out, made, enforce_file_format=True)
    return out.getvalue()
