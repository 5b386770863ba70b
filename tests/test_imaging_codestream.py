"""What Pixel Data claims is checked before it is decoded: length, fragments, frames, headers of streams."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import pydicom
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate, get_frame

from hilum.errors import ImageError
from hilum.imaging.codestream import check_pixel_data, claim_of
from hilum.imaging.syntaxes import SYNTAXES, Syntax
from tests import dicom_table, films

PLAIN, LOSSLESS, LS, J2K, RLE = (
    dicom_table.SHORT[short] for short in (".1", ".4.70", ".4.80", ".4.90", ".5")
)


def sof(
    marker: int = 0xC3, height: int = 48, width: int = 40, components: int = 1, precision: int = 12
) -> bytes:
    """A JPEG stream of nothing but its frame header, some bytes, and its end."""
    head = struct.pack(">BHHB", precision, height, width, components) + b"\1\x11\0" * components
    return (
        b"\xff\xd8\xff"
        + bytes([marker])
        + struct.pack(">H", len(head) + 2)
        + head
        + b"\x12" * 50
        + b"\xff\xd9"
    )


def siz(height: int = 48, width: int = 40, components: int = 1, precision: int = 12, tile: int = 64) -> bytes:
    """A JPEG 2000 stream of nothing but SIZ, some bytes, and its end."""
    head = struct.pack(">HIIIIIIIIH", 0, width, height, 0, 0, tile, tile, 0, 0, components)
    head += bytes([precision - 1, 1, 1]) * components
    return b"\xff\x4f\xff\x51" + struct.pack(">H", len(head) + 2) + head + b"\x12" * 50 + b"\xff\xd9"


def rle(segments: int = 2, offsets: tuple[int, ...] = (64, 80), size: int = 120) -> bytes:
    return struct.pack("<16I", segments, *offsets, *([0] * (15 - len(offsets)))).ljust(size, b"\1")


def header(pixels: bytes, **attributes: Any) -> Dataset:
    made = Dataset()
    made.Rows, made.Columns, made.SamplesPerPixel, made.BitsAllocated, made.BitsStored = 48, 40, 1, 16, 12
    made.PhotometricInterpretation = "MONOCHROME2"
    for name, value in attributes.items():
        setattr(made, name, value)
    made.add_new("PixelData", "OW", pixels)
    return made


def check(pixels: bytes, syntax: Syntax, **attributes: Any) -> None:
    check_pixel_data(header(pixels, **attributes), syntax, Path("film.dcm"))


def item(data: bytes) -> bytes:
    return b"\xfe\xff\x00\xe0" + struct.pack("<I", len(data)) + data


def test_what_is_whole_passes() -> None:
    check(bytes(48 * 40 * 2), PLAIN)
    check(bytes(48 * 40 * 2 + 2), PLAIN)  # some writers pad
    check(bytes(48 * 41 * 2), PLAIN, Columns=41)
    check(bytes(17 * 19 + 1), PLAIN, Rows=17, Columns=19, BitsAllocated=8)  # to even length, PS3.5 8.1.1
    check(
        bytes(48 * 40 * 2),
        PLAIN,
        BitsAllocated=8,
        SamplesPerPixel=3,
        PhotometricInterpretation="YBR_FULL_422",
    )
    for stream, syntax in ((sof(), LOSSLESS), (sof(0xF7), LS), (siz(), J2K), (rle(), RLE)):
        check(encapsulate([stream]), syntax)
        check(encapsulate([stream], has_bot=False), syntax)
    check(encapsulate([sof()], fragments_per_frame=5), LOSSLESS)
    check(encapsulate([siz(precision=16)]), J2K)


@pytest.mark.parametrize(
    ("pixels", "syntax", "says"),
    [
        (bytes(48 * 40 * 2 - 2), PLAIN, "cut off"),
        (b"", PLAIN, "cut off"),
        (bytes(48 * 40 * 2 * 2), PLAIN, "more pixels than its header says"),
        (bytes(48 * 40 * 2 + 80), PLAIN, "more pixels than its header says"),
        (b"", LOSSLESS, "cut off or damaged"),
        (item(b""), LOSSLESS, "cut off or damaged"),
        (item(b"") + item(b""), LOSSLESS, "cut off or damaged"),
        (item(b"abc") + item(sof()), LOSSLESS, "cut off or damaged"),
        (sof(), LOSSLESS, "cut off or damaged"),
        (encapsulate([sof()])[:60], LOSSLESS, "cut off or damaged"),
        (encapsulate([sof(), sof()]), LOSSLESS, "several frames"),
        (encapsulate([sof(), sof()], has_bot=False), LOSSLESS, "several frames"),
        (encapsulate([siz(), siz()], has_bot=False), J2K, "several frames"),
        (encapsulate([rle(), rle()], has_bot=False), RLE, "several frames"),
        (item(b"") + item(b"\0\0") * 70_000, LOSSLESS, "too many fragments"),
        (encapsulate([sof(height=49)]), LOSSLESS, "another size or depth"),
        (encapsulate([sof(width=39)]), LOSSLESS, "another size or depth"),
        (encapsulate([sof(components=3)]), LOSSLESS, "another size or depth"),
        (encapsulate([sof(precision=17)]), LOSSLESS, "another size or depth"),
        (encapsulate([siz(width=65_000, tile=65_000)]), J2K, "another size or depth"),
        (encapsulate([siz(tile=0)]), J2K, "no valid header"),
        (encapsulate([siz(width=1 << 20, tile=1)]), J2K, "no valid header"),
        (encapsulate([siz()]), LOSSLESS, "are JPEG 2000, the header says JPEG"),
        (encapsulate([sof()]), LS, "are JPEG, the header says JPEG-LS"),
        (encapsulate([sof()[:-2] + b"\x12\x12"]), LOSSLESS, "their end is missing"),
        (encapsulate([siz()[:-2] + b"\x12\x12"]), J2K, "their end is missing"),
        (encapsulate([b"\xff\xd8" + b"\0" * 40]), LOSSLESS, "no valid header"),
        (encapsulate([rle(segments=1)]), RLE, "no valid header"),
        (encapsulate([rle(segments=15)]), RLE, "no valid header"),
        (encapsulate([rle(offsets=(64, 60))]), RLE, "no valid header"),
        (encapsulate([rle(offsets=(64, 4000))]), RLE, "no valid header"),
        (encapsulate([rle(offsets=(60, 80))]), RLE, "no valid header"),
        (encapsulate([b"\1\0"]), RLE, "no valid header"),
    ],
    ids=lambda one: one if isinstance(one, str) else None,
)
def test_what_is_not_whole_is_refused_in_one_line(pixels: bytes, syntax: Syntax, says: str) -> None:
    with pytest.raises(ImageError, match=says) as caught:
        check(pixels, syntax)
    assert str(caught.value).startswith("film.dcm: ") and "\n" not in str(caught.value)


@given(
    st.binary(max_size=200),
    st.sampled_from([item(b""), item(b"") + item(b"")[:4], b""]),
    st.sampled_from(SYNTAXES),
)
@settings(max_examples=60)
def test_any_bytes_pass_or_are_refused(data: bytes, start: bytes, syntax: Syntax) -> None:
    try:
        check(start + data, syntax, Rows=16, Columns=16, BitsAllocated=8)
    except ImageError as error:
        assert "\n" not in str(error)


@given(
    st.binary(max_size=120),
    st.sampled_from([b"\xff\xd8", b"\xff\x4f\xff\x51", b"\0\0\0\x0cjP  \r\n\x87\n", b""]),
)
@settings(max_examples=100)
def test_any_codestream_has_a_claim_or_none(data: bytes, start: bytes) -> None:
    claim_of(start + data)


@pytest.mark.parametrize("short", [".4.50", ".4.70", ".4.80", ".4.90", ".4.91"])
def test_claims_are_those_that_were_made(short: str, tmp_path: Path) -> None:
    syntax = dicom_table.SHORT[short]
    if absent := dicom_table.missing(syntax):
        pytest.skip(f"{absent} is not installed")
    bits = 8 if short == ".4.50" else 12
    source = films.dicom(tmp_path / "plain.dcm", dicom_table.stored(bits, False), BitsStored=bits)
    packed = pydicom.dcmread(dicom_table.packed(source, syntax, tmp_path / "film.dcm"))
    claim = claim_of(get_frame(packed.PixelData, 0, number_of_frames=1))
    assert claim is not None and claim.family == syntax.family
    assert (claim.height, claim.width, claim.components) == (48, 40, 1)
    assert claim.precision in (bits, 16)  # dcmtk codes true-lossless pixels with all bits allocated
    check_pixel_data(packed, syntax, tmp_path)
