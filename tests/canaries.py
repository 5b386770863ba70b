"""Films of a patient who must not be found again: every attribute there is holds something that could name her."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
from pydicom.datadict import DicomDictionary
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.sequence import Sequence
from pydicom.uid import UID, ExplicitVRLittleEndian

from tests import films

NAME, NUMBER, DATE, TIME = "CANARY", 1_147_114_711, "19470203", "010203"
UID_ROOT = "1.2.826.0.1.3680043.1147114711"
SPOKEN = (NAME, str(NUMBER), DATE, TIME, UID_ROOT)
"""What may stand nowhere in what is written."""
_TEXT = ("AE", "CS", "LO", "LT", "SH", "ST", "UC", "UT")
_BYTES = ("OB", "OW", "OF", "OD", "OL", "OV", "UN")
_PIXELS = frozenset(
    (
        "Rows", "Columns", "SamplesPerPixel", "BitsAllocated", "BitsStored", "HighBit",
        "PixelRepresentation", "PhotometricInterpretation", "PixelData", "NumberOfFrames",
        "PlanarConfiguration", "SOPClassUID", "Modality", "FloatPixelData", "DoubleFloatPixelData",
        "SpecificCharacterSet", "PixelDataProviderURL", "PresentationLUTShape", "ModalityLUTSequence",
        "VOILUTSequence", "WindowCenter", "WindowWidth", "RescaleSlope", "RescaleIntercept",
        "PixelPaddingValue", "PixelPaddingRangeLimit", "VOILUTFunction", "ExtendedOffsetTable",
        "ExtendedOffsetTableLengths", "PresentationIntentType", "PixelIntensityRelationship",
        "BurnedInAnnotation",
    )
)  # fmt: skip
"""Without these right the object is no film."""


def value_of(vr: str, nested: int) -> Any:
    """Something that names the patient, in the form of ``vr``; ``None`` where no form of it could."""
    if vr in _TEXT:
        return NAME
    if vr in _BYTES:
        return NAME.encode() * 2
    if vr == "SQ":
        return Sequence([item(nested + 1)] if nested < 2 else [])
    return {
        "PN": f"{NAME}^{NAME}",
        "UR": f"http://{NAME}.example",
        "UI": f"{UID_ROOT}.{nested + 1}",
        "DA": DATE,
        "TM": f"{TIME}.114711",
        "DT": f"{DATE}{TIME}",
        "IS": str(NUMBER),
        "DS": str(NUMBER),
        "UL": NUMBER,
        "SL": NUMBER,
        "FD": float(NUMBER),
    }.get(vr)


@cache
def item(nested: int) -> Dataset:
    """An item of a sequence: names, codes, private attributes, and a sequence of its own."""
    made = Dataset()
    for keyword in ("PatientName", "CodeMeaning", "CodeValue", "PersonName", "TextValue", "UID", "DateTime"):
        setattr(made, keyword, value_of(pydicom.datadict.dictionary_VR(keyword), nested))
    made.CodingSchemeDesignator = "SCT"
    made.OriginalAttributesSequence = value_of("SQ", nested)
    made.ReferencedImageSequence = value_of("SQ", nested)
    _private(made)
    return made


def _private(made: Dataset) -> None:
    block = made.private_block(0x0009, NAME, create=True)
    block.add_new(0x01, "LO", NAME)
    block.add_new(0x02, "OB", NAME.encode() * 2)
    block.add_new(0x03, "SQ", Sequence([Dataset()]))
    block[0x03].value[0].PatientName = NAME


def attributes() -> list[tuple[int, str]]:
    """(tag, VR) of all that the dictionary holds and that a film does without."""
    return [
        (tag, vr.split(" or ")[0])
        for tag, (vr, *_, keyword) in DicomDictionary.items()
        if keyword and keyword not in _PIXELS and 8 <= tag >> 16 < 0xFFFE and tag & 0xFFFF
    ]


def dataset(**overrides: Any) -> Dataset:
    """Every attribute of the dictionary, private ones, overlays, a curve and padding, in a film that can be read."""
    made = Dataset()
    for tag, vr in attributes():
        value = value_of(vr, tag % 8 > 0)  # nested more deeply in every eighth sequence
        if value is not None:
            made.add_new(tag, vr, value)
    _private(made)
    for group in (0x6000, 0x6002):
        made.add_new((group, 0x0010), "US", 8)
        made.add_new((group, 0x3000), "OW", NAME.encode() * 2)
        made.add_new((group, 0x4000), "LT", NAME)
        made.add_new((group, 0x1500), "LO", NAME)
    made.add_new((0x5000, 0x2500), "LO", NAME)
    made.add_new((0x5000, 0x3000), "OW", NAME.encode() * 2)
    made.add_new((0x0019, 0x1001), "UN", NAME.encode() * 2)  # private, its creator unknown
    made.add_new((0x0018, 0xFFF0), "LO", NAME)  # of no standard yet
    made.SOPClassUID, made.Modality, made.PhotometricInterpretation = films.DX, "DX", "MONOCHROME2"
    made.SOPInstanceUID, made.StudyInstanceUID = f"{UID_ROOT}.7", f"{UID_ROOT}.8"
    made.PatientOrientation = ["L", "F"]
    pixels = films.grey(top=4095)
    made.Rows, made.Columns = pixels.shape
    made.SamplesPerPixel, made.PixelRepresentation = 1, 0
    made.BitsAllocated, made.BitsStored, made.HighBit = 16, 12, 11
    made.WindowCenter, made.WindowWidth = 2048, 4096
    made.PixelData = (pixels | 0xA000).tobytes()
    made["PixelData"].VR = "OW"
    for keyword, value in overrides.items():
        setattr(made, keyword, value)
    return made


def write(path: Path, made: Dataset) -> Path:
    """``made`` as a file, with the name in its meta header, its preamble and behind its end."""
    made.file_meta = FileMetaDataset()
    made.file_meta.TransferSyntaxUID = UID(ExplicitVRLittleEndian)
    made.file_meta.MediaStorageSOPClassUID = made.SOPClassUID
    made.file_meta.MediaStorageSOPInstanceUID = made.SOPInstanceUID
    made.file_meta.SourceApplicationEntityTitle = NAME
    made.file_meta.PrivateInformationCreatorUID = f"{UID_ROOT}.9"
    made.file_meta.PrivateInformation = NAME.encode() * 2
    made.preamble = (NAME.encode() * 22)[:128]
    path.parent.mkdir(parents=True, exist_ok=True)
    made.save_as(path, enforce_file_format=True)
    return path


def spoken_in(data: bytes) -> list[str]:
    """Which of what may not be said stands in ``data``, in any case, also as UTF-16."""
    lower = data.lower()
    return [
        one for one in SPOKEN if one.lower().encode() in lower or one.lower().encode("utf-16-le") in lower
    ]


def values_in(made: Dataset) -> Iterator[tuple[str, Any]]:
    """(keyword, single value) of all that ``made`` holds but its pixels, at any depth."""
    for element in made.iterall():
        if element.keyword == "PixelData" or element.VR == "SQ":
            continue
        several = element.value if isinstance(element.value, pydicom.multival.MultiValue) else [element.value]
        for one in several:
            yield element.keyword or str(element.tag), one


def named_by(made: Dataset) -> set[str]:
    """The keywords whose values name the patient, as text or as a number."""
    found = set()
    for keyword, value in values_in(made):
        number = isinstance(value, int | float) and abs(float(value) - NUMBER) < 1000
        text = value if isinstance(value, bytes) else str(value).encode()
        if number or spoken_in(text):
            found.add(keyword)
    return found


def text_on(pixels: np.ndarray, text: str = "DOE JANE 1947") -> np.ndarray:
    """``pixels`` with ``text`` across the upper left corner, as bright as they can be."""
    import cv2

    out = pixels.copy()
    scale = pixels.shape[1] / 400
    thickness = max(1, round(scale * 2))
    place = (round(10 * scale), round(30 * scale))
    cv2.putText(
        out, text, place, cv2.FONT_HERSHEY_SIMPLEX, 0.8 * scale, int(pixels.max()), thickness, cv2.LINE_AA
    )
    return out
