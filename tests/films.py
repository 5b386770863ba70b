"""Films made for tests: small, with a marker at the upper left, in every format and in many broken states."""

from __future__ import annotations

import io
import struct
import zlib
from pathlib import Path
from typing import Any

import gdcm
import numpy as np
from PIL import Image
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.sequence import Sequence
from pydicom.uid import UID, ExplicitVRLittleEndian

DX = "1.2.840.10008.5.1.4.1.1.1.1"
CAPTURE = "1.2.840.10008.5.1.4.1.1.7"
LOSSLESS = {
    "JPEG lossless": gdcm.TransferSyntax.JPEGLosslessProcess14_1,
    "JPEG lossless, any predictor": gdcm.TransferSyntax.JPEGLosslessProcess14,
    "JPEG-LS": gdcm.TransferSyntax.JPEGLSLossless,
    "JPEG 2000": gdcm.TransferSyntax.JPEG2000Lossless,
    "RLE": gdcm.TransferSyntax.RLELossless,
    "deflated": gdcm.TransferSyntax.DeflatedExplicitVRLittleEndian,
    "big endian": gdcm.TransferSyntax.ExplicitVRBigEndian,
    "implicit": gdcm.TransferSyntax.ImplicitVRLittleEndian,
}


def grey(height: int = 48, width: int = 40, top: int = 255, seed: int = 0) -> np.ndarray:
    """Integers 0…top (uint8 or uint16): a slope with some grain, and a bright marker at the upper left."""
    down, across = np.mgrid[0:height, 0:width]
    slope = 0.2 + 0.4 * down / height + 0.1 * across / width
    film = slope + np.random.default_rng(seed).normal(0, 0.02, slope.shape)
    film[height // 12 : height // 4, width // 12 : width // 4] = 1.0
    film[-1, -1] = 0.0
    return np.rint(np.clip(film, 0, 1) * top).astype(np.uint8 if top < 256 else np.uint16)


def encoded(pixels: np.ndarray, kind: str = "PNG", **options: Any) -> bytes:
    """``pixels`` as the bytes of an image file, by Pillow."""
    out = io.BytesIO()
    image = pixels if isinstance(pixels, Image.Image) else Image.fromarray(pixels)
    image.save(out, kind, **options)
    return out.getvalue()


def chunk(name: bytes, data: bytes = b"") -> bytes:
    """One PNG chunk."""
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def png(width: int, height: int, data: bytes, bits: int = 8, colour: int = 0, extra: bytes = b"") -> bytes:
    """A PNG by hand: whatever the header claims, with ``data`` as its compressed pixels."""
    header = struct.pack(">IIBBBBB", width, height, bits, colour, 0, 0, 0)
    parts = [b"\x89PNG\r\n\x1a\n", chunk(b"IHDR", header), extra, chunk(b"IDAT", zlib.compress(data))]
    return b"".join([*parts, chunk(b"IEND")])


def header(**attributes: Any) -> Dataset:
    """A header of ``attributes`` alone."""
    made = Dataset()
    for name, value in attributes.items():
        setattr(made, name, value)
    return made


def codes(*values: str) -> Sequence:
    """A View Code Sequence of these SNOMED codes."""
    items = [Dataset() for _ in values]
    for item, value in zip(items, values, strict=True):
        item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = value, "SCT", "view"
    return Sequence(items)


def lut(first: int, values: np.ndarray, bits: int, signed: bool = False) -> Dataset:
    """An item of a Modality or VOI LUT Sequence."""
    item = Dataset()
    item.add_new("LUTDescriptor", "SS" if signed else "US", [len(values) % 65536, first, bits])
    item.add_new("LUTData", "US", [int(value) for value in values])
    item.ModalityLUTType = "US"
    return item


def dicom(
    path: Path, pixels: np.ndarray | None, syntax: str = ExplicitVRLittleEndian, **attributes: Any
) -> Path:
    """Writes a DX object to ``path``; ``attributes`` override or, where ``None``, remove what it holds."""
    made = Dataset()
    made.file_meta = FileMetaDataset()
    made.file_meta.TransferSyntaxUID = UID(syntax)
    made.SOPClassUID, made.SOPInstanceUID = DX, "1.2.3.4"
    made.Modality, made.PhotometricInterpretation = "DX", "MONOCHROME2"
    if pixels is not None:
        big = syntax == "1.2.840.10008.1.2.2"
        made.Rows, made.Columns = pixels.shape[:2]
        made.SamplesPerPixel = 1 if pixels.ndim == 2 else 3
        if pixels.ndim == 3:
            made.PlanarConfiguration = 0
        made.BitsAllocated = made.BitsStored = pixels.dtype.itemsize * 8
        made.PixelRepresentation = int(pixels.dtype.kind == "i")
        made.PixelData = pixels.astype(pixels.dtype.newbyteorder(">" if big else "<")).tobytes()
        made["PixelData"].VR = "OW" if pixels.dtype.itemsize == 2 else "OB"
    for name, value in attributes.items():
        if value is not None:
            setattr(made, name, value)
        elif name in made:
            delattr(made, name)
    if "HighBit" not in attributes and "BitsStored" in made:
        made.HighBit = made.BitsStored - 1
    made.file_meta.MediaStorageSOPClassUID = made.SOPClassUID
    made.file_meta.MediaStorageSOPInstanceUID = made.SOPInstanceUID
    made.save_as(path, enforce_file_format=True)
    return path


def transcoded(source: Path, to: Path, syntax: int) -> Path:
    """``source`` in another transfer syntax, by GDCM."""
    reader = gdcm.ImageReader()
    reader.SetFileName(str(source))
    assert reader.Read()
    change = gdcm.ImageChangeTransferSyntax()
    change.SetTransferSyntax(gdcm.TransferSyntax(syntax))
    change.SetInput(reader.GetImage())
    assert change.Change()
    writer = gdcm.ImageWriter()
    writer.SetFileName(str(to))
    writer.SetFile(reader.GetFile())
    writer.SetImage(change.GetOutput())
    assert writer.Write()
    return to


def window(top: int) -> dict[str, float]:
    """A window over all of 0…top."""
    return {"WindowCenter": (top + 1) / 2, "WindowWidth": top + 1}
