"""Reading PNG and JPEG, and what every unusable file says."""

from __future__ import annotations

import csv
import io
import os
import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image, ImageOps
from pydicom.encaps import encapsulate
from pydicom.uid import (
    MPEG2MPML,
    DeflatedExplicitVRLittleEndian,
    HTJ2KLossless,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
)

from hilum.errors import ImageError
from hilum.imaging.film import check_pixels
from hilum.imaging.geometry import fit_square
from hilum.imaging.pixels import read_film, read_header
from hilum.study import Projection
from tests import films

SHARED = Path(os.environ.get("HILUM_SHARED_DATA", Path(__file__).parents[2] / "shared" / "data"))
needs_shared = pytest.mark.skipif(not SHARED.is_dir(), reason=f"no shared data at {SHARED}")
with (Path(__file__).parent / "cases" / "bad_images.csv").open(encoding="utf-8", newline="") as _file:
    BAD = list(csv.DictReader(_file))


def saved(tmp_path: Path, data: bytes, name: str = "film.png") -> Path:
    path = tmp_path / name
    path.write_bytes(data)
    return path


def animated(kind: str) -> bytes:
    first, second = (Image.fromarray(films.grey(seed=seed)) for seed in (0, 1))
    out = io.BytesIO()
    first.save(out, kind, save_all=True, append_images=[second], duration=100)
    return out.getvalue()


def flipped(data: bytes, position: int) -> bytes:
    return data[:position] + bytes([data[position] ^ 1]) + data[position + 1 :]


def resized_jpeg(height: int, width: int) -> bytes:
    data = films.encoded(films.grey(), "JPEG")
    start = data.index(b"\xff\xc0") + 5
    return data[:start] + struct.pack(">HH", height, width) + data[start + 4 :]


def closed(data: bytes) -> bytes:
    return data[: len(data) * 2 // 3] + b"\xff\xd9"


def dicom_bytes(
    tmp_path: Path, pixels: np.ndarray | None, syntax: str = "1.2.840.10008.1.2.1", **more
) -> bytes:
    return films.dicom(tmp_path / "made.dcm", pixels, syntax, **more).read_bytes()


def stream(tmp_path: Path, data: bytes, syntax: str = JPEGBaseline8Bit, **more) -> bytes:
    return dicom_bytes(tmp_path, films.grey(), syntax, PixelData=encapsulate([data]), **more)


def bomb(tmp_path: Path) -> bytes:
    """A deflated object of 600 MiB of zeros, itself well below 1 MiB."""
    data = dicom_bytes(tmp_path, films.grey(), DeflatedExplicitVRLittleEndian)
    start = 144 + struct.unpack_from("<I", data, 140)[0]
    deflate = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    deflate.compress(bytes(1 << 15))
    deflate.flush(zlib.Z_FULL_FLUSH)
    block = deflate.compress(bytes(1 << 20)) + deflate.flush(zlib.Z_FULL_FLUSH)
    return data[:start] + block * 600 + deflate.flush()


PNG = films.encoded(films.grey())
JPEG = films.encoded(films.grey(), "JPEG")
FILES: dict[str, Callable[[Path], bytes]] = {
    "empty": lambda _: b"",
    "text named png": lambda _: b"not a film\n" * 9,
    "zeros": lambda _: bytes(4096),
    "gif": lambda _: films.encoded(films.grey(), "GIF"),
    "animated gif": lambda _: animated("GIF"),
    "webp": lambda _: films.encoded(films.grey(), "WEBP", lossless=True),
    "animated webp": lambda _: animated("WEBP"),
    "tiff": lambda _: films.encoded(films.grey(), "TIFF"),
    "bmp": lambda _: films.encoded(films.grey(), "BMP"),
    "pdf": lambda _: b"%PDF-1.7\n" + bytes(200),
    "png cut in header": lambda _: PNG[:20],
    "png cut in pixels": lambda _: PNG[: len(PNG) // 2],
    "png without end": lambda _: PNG[:-12],
    "png with flipped bit": lambda _: flipped(PNG, len(PNG) // 2),
    "png with damaged header": lambda _: flipped(PNG, 19),
    "png with too few rows": lambda _: films.png(40, 48, bytes(range(41)) * 20),
    "png claims 60000 x 60000": lambda _: films.png(60_000, 60_000, bytes(100)),
    "png claims 20000 x 10000": lambda _: films.png(20_000, 10_000, bytes(100)),
    "png claims 0 x 0": lambda _: films.png(0, 0, b""),
    "png 1 x 1": lambda _: films.encoded(np.zeros((1, 1), np.uint8)),
    "png animated": lambda _: animated("PNG"),
    "png black and white": lambda _: films.encoded(Image.fromarray(films.grey()).convert("1")),
    "png blank": lambda _: films.encoded(np.full((48, 40), 7, np.uint8)),
    "png 16 bits blank": lambda _: films.encoded(np.full((48, 40), 40_000, np.uint16)),
    "jpeg cut": lambda _: JPEG[: len(JPEG) // 2],
    "jpeg without end": lambda _: JPEG[:-2],
    "jpeg cut and closed": lambda _: closed(JPEG),
    "jpeg of three bytes": lambda _: JPEG[:3],
    "jpeg cmyk": lambda _: films.encoded(Image.fromarray(films.grey()).convert("CMYK"), "JPEG"),
    "jpeg 1 x 1": lambda _: films.encoded(np.zeros((1, 1), np.uint8), "JPEG"),
    "jpeg claims 60000 x 60000": lambda _: resized_jpeg(60_000, 60_000),
    "jpeg blank": lambda _: films.encoded(np.full((48, 40), 7, np.uint8), "JPEG"),
    "dicom without pixels": lambda p: dicom_bytes(p, films.grey(), PixelData=None),
    "dicom of modality CT": lambda p: dicom_bytes(p, films.grey(), Modality="CT"),
    "dicom of modality MG": lambda p: dicom_bytes(p, films.grey(), Modality="MG"),
    "dicom without modality or class": lambda p: dicom_bytes(
        p, films.grey(), Modality="", SOPClassUID="1.2.3"
    ),
    "dicom secondary capture of US": lambda p: dicom_bytes(
        p, films.grey(), Modality="US", SOPClassUID=films.CAPTURE
    ),
    "dicom of two frames": lambda p: dicom_bytes(p, films.grey(), NumberOfFrames=2),
    "dicom 60000 x 60000": lambda p: dicom_bytes(p, films.grey(), Rows=60_000, Columns=60_000),
    "dicom 1 x 1": lambda p: dicom_bytes(p, films.grey(1, 1)),
    "dicom without rows": lambda p: dicom_bytes(p, films.grey(), Rows=None),
    "dicom of 32 bits": lambda p: dicom_bytes(p, films.grey().astype(np.uint32)),
    "dicom of 1 bit": lambda p: dicom_bytes(p, films.grey(), BitsAllocated=1, BitsStored=1),
    "dicom palette": lambda p: dicom_bytes(p, films.grey(), PhotometricInterpretation="PALETTE COLOR"),
    "dicom three samples of grey": lambda p: dicom_bytes(p, films.grey(), SamplesPerPixel=3),
    "dicom cut in pixels": lambda p: dicom_bytes(p, films.grey())[:-100],
    "dicom cut in header": lambda p: dicom_bytes(p, films.grey())[:400],
    "dicom htj2k": lambda p: stream(p, JPEG, HTJ2KLossless),
    "dicom mpeg": lambda p: stream(p, JPEG, MPEG2MPML),
    "dicom private syntax": lambda p: stream(p, JPEG).replace(
        b"1.2.840.10008.1.2.4.50", b"1.2.840.99999.1.2.4.50"
    ),
    "dicom stream of another size": lambda p: stream(p, JPEG, Rows=47),
    "dicom stream claims 60000 x 60000": lambda p: stream(p, resized_jpeg(60_000, 60_000)),
    "dicom stream cut": lambda p: stream(p, JPEG[: len(JPEG) // 2]),
    "dicom stream is no image": lambda p: stream(p, b"no image at all", JPEG2000Lossless),
    "dicom 8-bit jpeg cut and closed": lambda p: stream(p, closed(JPEG)),
    "dicom blank": lambda p: dicom_bytes(p, np.full((48, 40), 7, np.uint8), **films.window(255)),
    "dicom broken LUT": lambda p: dicom_bytes(p, films.grey(), VOILUTSequence=[broken_lut()]),
    "dicom deflated bomb": bomb,
    "dicom deflated and cut": lambda p: dicom_bytes(p, films.grey(), DeflatedExplicitVRLittleEndian)[:-900],
}


def broken_lut():
    item = films.lut(0, np.arange(256), 8)
    item.LUTDescriptor = [4096, 0, 8]
    return item


def bad_file(case: str, tmp_path: Path) -> Path:
    path = tmp_path / "film.png"
    if case == "folder":
        path.mkdir()
    elif case == "fifo":
        os.mkfifo(path)
    elif case != "missing":
        path.write_bytes(FILES[case](tmp_path))
    return path


@pytest.mark.parametrize("row", BAD, ids=lambda row: row["case"])
def test_a_bad_file_says_what_where_and_what_to_do(row: dict[str, str], tmp_path: Path) -> None:
    path = bad_file(row["case"], tmp_path)
    with pytest.raises(ImageError) as caught:
        read_film(path)
    line = str(caught.value)
    assert "\n" not in line and line.startswith(f"{path}: ")
    assert row["says"] in line
    assert row["advice"] in line and caught.value.fix


@pytest.mark.parametrize("row", BAD, ids=lambda row: row["case"])
def test_the_header_alone_of_a_bad_file_fails_in_one_line_or_gives_a_size(
    row: dict[str, str], tmp_path: Path
) -> None:
    path = bad_file(row["case"], tmp_path)
    try:
        height, width = read_header(path)
    except ImageError as error:
        assert "\n" not in str(error) and error.fix
    else:
        assert 16 <= height <= 20_000 and 16 <= width <= 20_000


def test_every_file_made_is_a_case_and_every_case_is_made() -> None:
    assert {row["case"] for row in BAD} == set(FILES) | {"missing", "folder", "fifo"}


@pytest.mark.parametrize("name", ["film.png", "film.jpg", "film.dcm", "film", "film.txt"])
def test_a_file_is_known_by_its_content(name: str, tmp_path: Path) -> None:
    film = read_film(saved(tmp_path, PNG, name))
    assert film.kind == "PNG" and film.source == name and film.projection is Projection.UNKNOWN
    np.testing.assert_array_equal(film.pixels_HW, films.grey() / np.float32(255))


def test_eight_bits_are_taken_as_they_are(tmp_path: Path) -> None:
    dark = films.grey() // 2
    film = read_film(saved(tmp_path, films.encoded(dark)))
    assert film.pixels_HW.max() == np.float32(127) / np.float32(255) and film.warnings == ()


@pytest.mark.parametrize("bits", [8, 10, 12, 14])
def test_fewer_bits_stored_in_sixteen_are_found_and_said(bits: int, tmp_path: Path) -> None:
    top = (1 << bits) - 1
    pixels = films.grey(top=top).astype(np.uint16)
    film = read_film(saved(tmp_path, films.encoded(pixels)))
    np.testing.assert_allclose(film.pixels_HW, pixels / top, atol=1e-6)
    assert len(film.warnings) == 1 and f"use {bits};" in film.warnings[0]


@pytest.mark.parametrize("top", [20_000, 32_767, 65_535])
def test_sixteen_bits_are_scaled_by_all_of_them(top: int, tmp_path: Path) -> None:
    pixels = films.grey(top=top)
    film = read_film(saved(tmp_path, films.encoded(pixels)))
    np.testing.assert_allclose(film.pixels_HW, pixels / 65_535, atol=1e-6)
    assert film.warnings == () and film.bits == 16


@pytest.mark.parametrize("kind", ["PNG", "JPEG"])
def test_grey_in_three_channels_is_grey(kind: str, tmp_path: Path) -> None:
    pixels = films.grey()
    one = read_film(saved(tmp_path, films.encoded(pixels, kind)))
    three = read_film(saved(tmp_path, films.encoded(np.stack([pixels] * 3, axis=-1), kind)))
    np.testing.assert_allclose(three.pixels_HW, one.pixels_HW, atol=1.01 / 255)
    assert three.warnings == ()


@pytest.mark.parametrize("top", [255, 65_535])
def test_colour_becomes_luminance_with_a_warning(top: int, tmp_path: Path) -> None:
    red, green, blue = (films.grey(top=top, seed=seed) for seed in range(3))
    blue = top - blue
    data = cv2.imencode(".png", np.stack([blue, green, red], axis=-1))[1].tobytes()
    film = read_film(saved(tmp_path, data))
    np.testing.assert_allclose(
        film.pixels_HW, (0.299 * red + 0.587 * green + 0.114 * blue) / top, atol=1 / 255
    )
    assert film.warnings == ("the picture is in colour; only its luminance was used",)


def test_palettes_alpha_and_interlacing(tmp_path: Path) -> None:
    pixels = films.grey()
    image = Image.fromarray(pixels)
    palette = read_film(saved(tmp_path, films.encoded(image.convert("P"))))
    np.testing.assert_array_equal(palette.pixels_HW, pixels / np.float32(255))
    opaque = read_film(saved(tmp_path, films.encoded(image.convert("LA"))))
    np.testing.assert_array_equal(opaque.pixels_HW, pixels / np.float32(255))
    assert opaque.warnings == ()
    clear = np.dstack([pixels, np.full_like(pixels, 255)])
    clear[20:, :, 1] = 0
    seen = read_film(saved(tmp_path, films.encoded(Image.fromarray(clear, "LA"))))
    assert seen.pixels_HW[20:].max() == 0 and "transparent" in seen.warnings[0]
    np.testing.assert_array_equal(seen.pixels_HW[:20], pixels[:20] / np.float32(255))


def test_metadata_that_is_broken_does_not_matter(tmp_path: Path) -> None:
    broken = films.chunk(b"iCCP", b"x") + films.chunk(b"zTXt", b"y") + films.chunk(b"gAMA", b"")
    data = PNG[:33] + broken + PNG[33:]
    np.testing.assert_array_equal(read_film(saved(tmp_path, data)).pixels_HW, films.grey() / np.float32(255))


@pytest.mark.parametrize("turn", range(1, 9))
def test_exif_orientation_is_that_of_pillow(turn: int, tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = turn
    path = saved(tmp_path, films.encoded(films.grey(), "JPEG", exif=exif))
    film = read_film(path)
    with Image.open(path) as image:
        expected = np.asarray(ImageOps.exif_transpose(image), np.float32) / 255
    np.testing.assert_allclose(film.pixels_HW, expected, atol=1.01 / 255)
    assert read_header(path) == film.pixels_HW.shape
    assert bool(film.warnings) == (turn != 1)


def test_a_broken_exif_is_ignored(tmp_path: Path) -> None:
    exif = b"Exif\0\0MM\0*\xff\xff\xff\xff" + bytes(20)
    data = JPEG[:2] + b"\xff\xe1" + struct.pack(">H", len(exif) + 2) + exif + JPEG[2:]
    assert read_film(saved(tmp_path, data)).warnings == ()


@given(st.integers(0, len(PNG) - 1))
@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_png_cut_anywhere_is_read(tmp_path: Path, end: int) -> None:
    with pytest.raises(ImageError):
        read_film(saved(tmp_path, PNG[:end]))


@given(st.integers(0, len(JPEG) - 1), st.booleans())
@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_jpeg_cut_anywhere_is_read(tmp_path: Path, end: int, close: bool) -> None:
    path = saved(tmp_path, JPEG[:end] + (b"\xff\xd9" if close and end < len(JPEG) - 2 else b""))
    with pytest.raises(ImageError):
        read_film(path)


@given(
    st.sampled_from([PNG, JPEG]),
    st.lists(st.tuples(st.integers(0, 700), st.integers(0, 255)), min_size=1, max_size=4),
)
@settings(deadline=None, max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_changed_bytes_give_a_film_or_one_line(
    tmp_path: Path, data: bytes, changes: list[tuple[int, int]]
) -> None:
    changed = bytearray(data)
    for position, value in changes:
        changed[position % len(changed)] = value
    path = saved(tmp_path, bytes(changed))
    for read in (read_film, read_header):
        try:
            read(path)
        except ImageError as error:
            assert "\n" not in str(error)


@given(st.binary(max_size=300))
@settings(deadline=None, max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_bytes_give_one_line(tmp_path: Path, data: bytes) -> None:
    with pytest.raises(ImageError):
        read_film(saved(tmp_path, data))


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "DICOM"])
def test_a_marker_at_the_upper_left_stays_there(kind: str, tmp_path: Path) -> None:
    pixels = films.grey(96, 72)
    data = (
        dicom_bytes(tmp_path, pixels, **films.window(255)) if kind == "DICOM" else films.encoded(pixels, kind)
    )
    film = read_film(saved(tmp_path, data))
    square_HW, place = fit_square(film.pixels_HW, 48)
    for picture_HW, y0, x0 in ((film.pixels_HW, 0, 0), (square_HW, place.top, place.left)):
        rows, cols = np.nonzero(picture_HW > 0.9)
        middle = ((rows.mean() - y0) / 1, (cols.mean() - x0) / 1)
        extent = (
            film.pixels_HW.shape
            if y0 == x0 == 0 and picture_HW is film.pixels_HW
            else (place.height, place.width)
        )
        assert middle[0] < extent[0] / 3 and middle[1] < extent[1] / 3


def test_the_gate_keeps_the_promise_of_the_range() -> None:
    good = np.linspace(0, 1, 400, dtype=np.float32).reshape(20, 20)
    assert check_pixels(good, "film") is good
    for bad in (
        good * 1.01,
        good - 0.01,
        good.astype(np.float64),
        good[None],
        np.where(good > 0.5, np.nan, good),
    ):
        with pytest.raises(ValueError, match="film"):
            check_pixels(bad, "film")


@needs_shared
def test_real_pngs_are_read_as_pillow_reads_them() -> None:
    paths = sorted((SHARED / "openi" / "images").glob("*.png"))
    assert len(paths) == 27
    for path in paths:
        film = read_film(path)
        with Image.open(path) as image:
            expected = np.asarray(image.convert("L"), np.float32) / 255
        np.testing.assert_allclose(film.pixels_HW, expected, atol=1e-6)
        assert film.warnings == () and read_header(path) == film.pixels_HW.shape


@needs_shared
def test_real_jpegs_are_read_as_pillow_reads_them() -> None:
    for path in sorted((SHARED / "nih" / "images").glob("*.jpg"))[::10]:
        film = read_film(path)
        with Image.open(path) as image:
            np.testing.assert_allclose(film.pixels_HW, np.asarray(image, np.float32) / 255, atol=1e-6)
        assert film.warnings == () and read_header(path) == film.pixels_HW.shape
