"""Reading films: any PNG, JPEG or DICOM file to pixels in one range.

A file is known by its content, never by its name. Sizes are checked from the header before anything is
decoded, and a damaged file is refused rather than half shown. Why each choice was made:
docs/decisions/0002.
"""

from __future__ import annotations

import io
import stat
import struct
import threading
import warnings
import zlib
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import simplejpeg
from PIL import Image

from hilum.errors import ImageError
from hilum.imaging import apart
from hilum.imaging.film import LARGEST_FILE, Film, check_pixels, check_size, luminance
from hilum.imaging.syntaxes import looks_like
from hilum.study import Projection

__all__ = ["Film", "read_film", "read_header"]

_PNG = b"\x89PNG\r\n\x1a\n"
_JPEG = b"\xff\xd8\xff"
_OTHERS = (
    (b"GIF8", "a GIF"),
    (b"II*\0", "a TIFF"),
    (b"MM\0*", "a TIFF"),
    (b"II+\0", "a TIFF"),
    (b"MM\0+", "a TIFF"),
    (b"BM", "a BMP"),
    (b"\0\0\0\x0cjP  ", "a JPEG 2000"),
    (b"\xff\x4f\xff\x51", "a JPEG 2000"),
    (b"8BPS", "a Photoshop"),
    (b"%PDF", "a PDF"),
    (b"\x1f\x8b", "a gzip"),
    (b"PK\x03\x04", "a zip"),
)
_HEADER_BYTES = 1 << 20
_quiet = threading.Lock()
"""``warnings.catch_warnings`` is process-wide, so only one thread may be inside it."""


def read_film(path: Path) -> Film:
    """The film in ``path``: PNG or JPEG (8 or 16 bits, grey or colour) or DICOM, known by its content.

    Eight-bit pixels are divided by 255. Sixteen-bit pixels are divided by 65,535; where none reaches 2¹⁴,
    the file is taken for one of 8, 10, 12 or 14 bits stored in 16 and divided by the largest value of
    those, with a warning. Colour becomes luminance (ITU-R BT.601), with a warning. An EXIF rotation is
    applied, with a warning. For DICOM see ``hilum.imaging.apart``.

    Raises ImageError, one line, where the file cannot be read whole or is no film.
    """
    data = _read(path)
    kind = _kind(data, path)
    if kind == "PNG":
        return _read_png(data, path)
    if kind == "JPEG":
        return _read_jpeg(data, path)
    return apart.read(path)


def read_header(path: Path) -> tuple[int, int]:
    """(height, width) in pixels as ``read_film`` will return them, without decoding.

    Raises ImageError where the header already shows that the file cannot be read.
    """
    data = _read(path, most=_HEADER_BYTES)
    kind = _kind(data, path)
    if kind == "PNG":
        return _png_header(data, path)[:2]
    if kind == "JPEG":
        return _jpeg_header(data if len(data) < _HEADER_BYTES else _read(path), path)[:2]
    return apart.read_size(path)


def _read(path: Path, most: int | None = None) -> bytes:
    """The bytes of a regular file, the first ``most`` of them where that is given."""
    try:
        status = path.stat()
        if stat.S_ISDIR(status.st_mode):
            raise ImageError("is a folder, not an image", where=path, fix="name the image files in it")
        if not stat.S_ISREG(status.st_mode):
            raise ImageError("is not a regular file", where=path, fix="copy the image to a file first")
        if status.st_size == 0:
            raise ImageError("the file is empty", where=path, fix="get it again")
        if status.st_size > LARGEST_FILE:
            raise ImageError(
                f"the file is too large ({status.st_size / 2**20:,.0f} MiB; at most {LARGEST_FILE >> 20})",
                where=path,
                fix="reduce the image first, keeping its aspect",
            )
        with path.open("rb") as file:
            return file.read(LARGEST_FILE if most is None else most)
    except FileNotFoundError:
        raise ImageError("there is no such file", where=path, fix="check the name") from None
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name
        reason = getattr(error, "strerror", None) or "the name is not valid"
        raise ImageError(
            f"cannot be read: {reason}", where=path, fix="check the name and its rights"
        ) from None


def _kind(data: bytes, path: Path) -> str:
    """``PNG``, ``JPEG`` or ``DICOM``. Raises ImageError for everything else, by name where it is known."""
    if data.startswith(_PNG):
        return "PNG"
    if data.startswith(_JPEG):
        return "JPEG"
    if looks_like(data):
        return "DICOM"
    other = next((name for magic, name in _OTHERS if data.startswith(magic)), None)
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        other = "an animated WebP" if data[12:16] == b"VP8X" and data[20] & 2 else "a WebP"
    elif data[:3] == b"GIF" and data.count(b"\x21\xf9\x04") > 1:
        other = "an animated GIF"
    elif data[4:8] == b"ftyp":
        other = "a HEIF, AVIF or video"
    if other:
        raise ImageError(f"is {other} file, not a PNG, JPEG or DICOM", where=path, fix="convert it to PNG")
    sample = data[:1024]
    text = not set(sample) & (set(range(32)) - {9, 10, 12, 13, 27})
    raise ImageError(
        f"is {'text' if text else 'no known image'}, not a PNG, JPEG or DICOM, whatever its name says",
        where=path,
        fix="give the image file itself",
    )


def _png_header(data: bytes, path: Path) -> tuple[int, int, int, int]:
    """(height, width, bits, colour type) of the IHDR chunk, PNG specification (ISO/IEC 15948) 11.2.2."""
    if len(data) < 33 or data[8:16] != b"\0\0\0\x0dIHDR":
        raise ImageError("the PNG is cut off or damaged in its header", where=path, fix="get the file again")
    width, height, bits, colour, _, _, _ = struct.unpack(">IIBBBBB", data[16:29])
    check_size(height, width, str(path))
    if zlib.crc32(data[12:29]) != struct.unpack(">I", data[29:33])[0]:
        raise ImageError("the PNG is damaged in its header", where=path, fix="get the file again")
    if colour == 0 and bits < 8:
        raise ImageError(
            f"has {1 << bits} greys; a film needs 256 or more", where=path, fix="export it with 8 or 16 bits"
        )
    return height, width, bits, colour


def _png_chunks(data: bytes, path: Path) -> bytes:
    """The PNG reduced to what its pixels need, every chunk checked.

    The decoder is handed nothing but critical chunks and transparency: text, profiles and the like are an
    attack surface and say nothing about the pixels.
    """
    kept = [_PNG]
    position, name = len(_PNG), b""
    while name != b"IEND":
        if position + 12 > len(data):
            raise ImageError("the PNG is cut off: its end is missing", where=path, fix="get the file again")
        (length,) = struct.unpack_from(">I", data, position)
        name = data[position + 4 : position + 8]
        end = position + 12 + length
        if end > len(data):
            shown = name.decode("ascii") if name.isalpha() else "unknown"
            raise ImageError(
                f"the PNG is cut off: the file ends inside its {shown} chunk",
                where=path,
                fix="get the file again",
            )
        if name in (b"acTL", b"fdAT"):
            raise ImageError("is an animated PNG", where=path, fix="give one film a file")
        if name in (b"IHDR", b"PLTE", b"IDAT", b"IEND", b"tRNS"):
            chunk = data[position:end]
            if zlib.crc32(chunk[4:-4]) != struct.unpack(">I", chunk[-4:])[0]:
                raise ImageError(
                    f"the PNG is damaged: the checksum of its {name.decode()} chunk is wrong",
                    where=path,
                    fix="get the file again",
                )
            kept.append(chunk)
        elif not name[0] & 0x20:  # an upper-case first letter: a chunk that the picture cannot do without
            raise ImageError(
                "the PNG is damaged: it has an unknown chunk", where=path, fix="get the file again"
            )
        position = end
    if not any(kept_chunk[4:8] == b"IDAT" for kept_chunk in kept):
        raise ImageError("the PNG is damaged: it has no pixels", where=path, fix="get the file again")
    return b"".join(kept)


def _read_png(data: bytes, path: Path) -> Film:
    _, _, bits, _ = header = _png_header(data, path)
    clean = np.frombuffer(_png_chunks(data, path), np.uint8)
    try:
        raw = cv2.imdecode(clean, cv2.IMREAD_UNCHANGED)
    except cv2.error:
        raw = None
    if raw is None or raw.shape[:2] != header[:2]:
        raise ImageError(
            "the PNG is damaged: its pixels cannot be decoded", where=path, fix="get the file again"
        )
    notes: list[str] = []
    if raw.ndim == 3 and raw.shape[2] == 4:
        raw = _over_black(raw, notes)
    if raw.ndim == 3:
        raw, coloured = luminance(cv2.cvtColor(raw, cv2.COLOR_BGR2RGB))
        if coloured:
            notes.append(_COLOUR)
    return Film(
        pixels_HW=check_pixels(_scaled(raw, notes), str(path)),
        projection=Projection.UNKNOWN,
        source=path.name,
        warnings=tuple(notes),
        kind="PNG",
        bits=max(8, bits),
    )


_COLOUR = "the picture is in colour; only its luminance was used"


def _over_black(raw_HWC: npt.NDArray[Any], notes: list[str]) -> npt.NDArray[Any]:
    """Drops an opaque alpha channel; blends a transparent one over black, with a note."""
    colour_HWC, alpha_HW1 = raw_HWC[:, :, :3], raw_HWC[:, :, 3:]
    top = np.iinfo(raw_HWC.dtype).max
    if alpha_HW1.min() == top:
        return np.ascontiguousarray(colour_HWC)
    notes.append("the picture is partly transparent; what lies behind was taken for black")
    blended = colour_HWC.astype(np.float32) * (alpha_HW1.astype(np.float32) / top)
    return np.rint(blended).astype(raw_HWC.dtype)


def _scaled(raw_HW: npt.NDArray[Any], notes: list[str]) -> npt.NDArray[np.float32]:
    """Eight or sixteen bits to [0, 1]; see ``read_film``."""
    if raw_HW.dtype == np.uint8:
        return raw_HW.astype(np.float32) / np.float32(255)
    used = int(raw_HW.max()).bit_length()
    bits = next((b for b in (8, 10, 12, 14) if used <= b), 16)
    if bits < 16:
        notes.append(
            f"the pixels are stored in 16 bits but use {bits}; they were scaled as {bits}-bit pixels"
        )
    return raw_HW.astype(np.float32) / np.float32((1 << bits) - 1)


def _jpeg_header(data: bytes, path: Path) -> tuple[int, int, str, int]:
    """(height, width, colour space, EXIF orientation); height and width as they are after the orientation."""
    try:
        height, width, space, _ = simplejpeg.decode_jpeg_header(data, strict=False)
    except (ValueError, KeyError) as error:  # KeyError: a colour space that libjpeg does not know
        raise _jpeg_error(error, path) from None
    check_size(height, width, str(path))
    if space in ("CMYK", "YCCK"):
        raise ImageError(
            "is a CMYK (print) image, which is no film", where=path, fix="export it as greyscale PNG or JPEG"
        )
    turn = _orientation(data)
    return (width, height, space, turn) if turn >= 5 else (height, width, space, turn)


def _jpeg_error(error: Exception, path: Path) -> ImageError:
    reason = (str(error) if isinstance(error, ValueError) else "").split("\n")[0][:100] or "no valid header"
    if "precision" in reason.lower() or "Unsupported JPEG process" in reason:
        return ImageError(
            f"is a JPEG of a kind that cannot be decoded ({reason})", where=path, fix="convert it to PNG"
        )
    return ImageError(f"the JPEG is cut off or damaged ({reason})", where=path, fix="get the file again")


def _orientation(data: bytes) -> int:
    """EXIF orientation (tag 0x0112), 1 to 8; 1 where there is none or it cannot be read."""
    if b"Exif\0\0" not in data[:65536]:
        return 1
    with _quiet, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            turn = Image.open(io.BytesIO(data), formats=("JPEG",)).getexif().get(0x0112)
        except Exception:  # broken EXIF raises nearly anything, and says nothing about the pixels
            return 1
    return turn if isinstance(turn, int) and 1 <= turn <= 8 else 1


def _turned(raw: npt.NDArray[Any], turn: int) -> npt.NDArray[Any]:
    """Applies an EXIF orientation: 2 mirrored, 3 upside down, … 8 turned anticlockwise."""
    if turn in (5, 6, 7, 8):
        raw = np.swapaxes(raw, 0, 1)
    if turn in (3, 4, 7, 8):
        raw = raw[::-1]
    if turn in (2, 3, 6, 7):
        raw = raw[:, ::-1]
    return np.ascontiguousarray(raw)


def _read_jpeg(data: bytes, path: Path) -> Film:
    height, width, space, turn = _jpeg_header(data, path)
    notes: list[str] = []
    try:
        raw = simplejpeg.decode_jpeg(data, "GRAY" if space == "Gray" else "RGB", strict=True)
    except (ValueError, KeyError) as error:
        raise _jpeg_error(error, path) from None
    if space == "Gray":
        raw = raw[:, :, 0]
    else:
        raw, coloured = luminance(raw)
        if coloured:
            notes.append(_COLOUR)
    if turn != 1:
        raw = _turned(raw, turn)
        notes.append("the picture was turned as its EXIF orientation says")
    if raw.shape != (height, width):
        raise ImageError(
            "the JPEG is damaged: its sizes contradict each other", where=path, fix="get the file again"
        )
    return Film(
        pixels_HW=check_pixels(_scaled(raw, notes), str(path)),
        projection=Projection.UNKNOWN,
        source=path.name,
        warnings=tuple(notes),
        kind="JPEG",
    )
