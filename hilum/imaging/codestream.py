"""The pixels of a DICOM object as its transfer syntax holds them: what they claim, checked before they are decoded.

Decoders are written for streams that mean well. A stream that claims another size than its header, thousands of
components, or that ends too early is refused here, and so are fragments without number and objects that hold more
than one picture.
"""

from __future__ import annotations

import itertools
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from pydicom.dataset import Dataset

from hilum.errors import ImageError
from hilum.imaging.syntaxes import Syntax

_AGAIN = "get the file again"
_FRAGMENTS = 65_536
"""A frame of the largest size allowed, in fragments of 8 KiB."""
_MOST_TILES = 65_535
"""ITU-T T.800 A.4.2: tiles are numbered in 16 bits."""
_ITEM, _END = b"\xfe\xff\x00\xe0", b"\xfe\xff\xdd\xe0"
_START = {"JPEG": b"\xff\xd8\xff", "JPEG-LS": b"\xff\xd8\xff", "JPEG 2000": b"\xff\x4f\xff\x51"}
_RLE_HEADER = 64


@dataclass(frozen=True, slots=True)
class Claim:
    """What a codestream says of itself."""

    height: int
    width: int
    components: int
    precision: int
    family: str
    """``JPEG``, ``JPEG-LS`` or ``JPEG 2000``"""


def check_pixel_data(header: Dataset, syntax: Syntax, path: Path) -> None:
    """Returns where Pixel Data can be what the header claims: one picture of that size and depth, with its end.

    Raises ImageError otherwise; ``path`` is for the message. Nothing is decoded.
    """
    if not syntax.family:
        _check_length(header, path)
        return
    fragments = _fragments(header.PixelData, syntax, path)
    if syntax.family == "RLE":
        _check_rle(fragments, header, path)
    else:
        _check_stream(b"".join(fragments), header, syntax, path)


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


def _check_length(header: Dataset, path: Path) -> None:
    """Uncompressed pixels: as many bytes as the header's numbers come to (PS3.5 8.1.1, A.1 to A.5)."""
    row = int(header.Columns) * int(header.SamplesPerPixel) * int(header.BitsAllocated) // 8
    if (
        header.PhotometricInterpretation == "YBR_FULL_422"
    ):  # two pixels share their colour (PS3.3 C.7.6.3.1.2)
        row = row * 2 // 3
    expected, found = row * int(header.Rows), len(header.PixelData)
    if found < expected:
        raise ImageError("the DICOM pixels are cut off", where=path, fix=_AGAIN)
    if found >= expected + row:
        raise ImageError("the DICOM object holds more pixels than its header says", where=path, fix=_AGAIN)


def _fragments(data: bytes, syntax: Syntax, path: Path) -> list[bytes]:
    """The fragments of encapsulated Pixel Data (PS3.5 A.4), the Basic Offset Table left out.

    Raises ImageError where items are broken, too many, or belong to more than one frame.
    """
    items = []
    for item in _items(data):
        items.append(item)
        if len(items) > _FRAGMENTS:
            raise ImageError("the DICOM pixels are in too many fragments", where=path, fix=_AGAIN)
    table, fragments = (items[0], [item for item in items[1:] if item]) if items else (b"", [])
    if not fragments or len(table) % 4:
        raise ImageError("the compressed DICOM pixels are cut off or damaged", where=path, fix=_AGAIN)
    start = _START.get(syntax.family)
    again = sum(start is not None and fragment.startswith(start) for fragment in fragments)
    if len(table) > 4 or again > 1 or (start is None and len(fragments) > 1):
        raise ImageError(
            "the DICOM object holds several frames; a radiograph has one",
            where=path,
            fix="export the frame as an object of its own",
        )
    return fragments


def _items(data: bytes) -> Iterator[bytes]:
    """The items of encapsulated Pixel Data up to the first that is broken or the end."""
    position = 0
    while data[position : position + 4] == _ITEM and position + 8 <= len(data):
        (length,) = struct.unpack_from("<I", data, position + 4)
        position += 8
        if position + length > len(data):
            return
        yield data[position : position + length]
        position += length


def _check_stream(stream: bytes, header: Dataset, syntax: Syntax, path: Path) -> None:
    """What the stream claims must agree with the header, and it must have its end."""
    claim = claim_of(stream)
    if claim is None:
        raise ImageError("the compressed DICOM pixels have no valid header", where=path, fix=_AGAIN)
    if claim.family != syntax.family:
        raise ImageError(
            f"the compressed DICOM pixels are {claim.family}, the header says {syntax.family}",
            where=path,
            fix=_AGAIN,
        )
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


def _check_rle(fragments: list[bytes], header: Dataset, path: Path) -> None:
    """The RLE header (PS3.5 G.5): one segment a byte of a pixel, in order, within the stream."""
    (stream,) = fragments
    wanted = int(header.SamplesPerPixel) * int(header.BitsAllocated) // 8
    if len(stream) >= _RLE_HEADER:
        count, *offsets = struct.unpack_from("<16I", stream)
        used = [*offsets[:wanted], len(stream)]
        if count == wanted and used[0] == _RLE_HEADER and all(a < b for a, b in itertools.pairwise(used)):
            return
    raise ImageError("the compressed DICOM pixels have no valid header", where=path, fix=_AGAIN)
