"""Changed, cut and mixed DICOM files: a well-formed film or one line; never a crash, a hang or half a film."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydicom.encaps import encapsulate, get_frame

from hilum.errors import ImageError
from hilum.imaging.film import Film
from hilum.imaging.pixels import read_film, read_header
from tests import films
from tests.test_imaging_decoder import CASES, lossy

relaxed = settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
TWELVE = films.grey(top=4095)
CURVE = (65_535 * np.linspace(0, 1, 64) ** 2).astype(int)
STREAMS = (
    "JPEG lossless",
    "JPEG lossless, any predictor",
    "JPEG-LS",
    "JPEG 2000",
    "JPEG baseline",
    "JPEG 2000, lossy",
    "HTJ2K",
)
NAMES = ("plain", "big endian", "implicit", "deflated", "RLE", *STREAMS)
LONG = 400
"""Examples of the slow tests for each kind of object."""


@pytest.fixture(scope="module")
def objects(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of one small object a syntax, with much in its header."""
    folder = tmp_path_factory.mktemp("objects")
    rich: dict[str, Any] = {
        "VOILUTSequence": [films.lut(0, CURVE, 16)],
        "PixelSpacing": [0.2, 0.1],
        "PatientOrientation": ["L", "F"],
        "ViewPosition": "PA",
        "ViewCodeSequence": films.codes("272479007"),
        "PixelPaddingValue": 4000,
        "ShutterShape": ["RECTANGULAR", "CIRCULAR", "POLYGONAL"],
        "ShutterLeftVerticalEdge": 2,
        "ShutterRightVerticalEdge": 39,
        "ShutterUpperHorizontalEdge": 2,
        "ShutterLowerHorizontalEdge": 47,
        "CenterOfCircularShutter": [24, 20],
        "RadiusOfCircularShutter": 60,
        "VerticesOfThePolygonalShutter": [1, 1, 1, 40, 48, 40, 48, 1],
    }
    source = films.dicom(folder / "plain", TWELVE, BitsStored=12, **rich)
    for name, syntax in films.LOSSLESS.items():
        films.transcoded(source, folder / name, syntax)
    jpeg = encapsulate([films.encoded(films.grey(), "JPEG", quality=90)])
    films.dicom(
        folder / "JPEG baseline", films.grey(), syntax="1.2.840.10008.1.2.4.50", PixelData=jpeg, **rich
    )
    try:
        lossy(folder, TWELVE, 12, BitsStored=12, **rich).rename(folder / "JPEG 2000, lossy")
        stream = encapsulate([base64.b64decode(CASES["lossless, 12 bits"]["stream"])])
        films.dicom(
            folder / "HTJ2K",
            TWELVE,
            syntax="1.2.840.10008.1.2.4.201",
            BitsStored=12,
            PixelData=stream,
            **rich,
        )
    except pytest.skip.Exception:
        pass  # without pylibjpeg-openjpeg there are none of the two
    return folder


def at_hand(objects: Path, name: str) -> bytes:
    if not (objects / name).exists():
        pytest.skip("pylibjpeg-openjpeg is not installed")
    return (objects / name).read_bytes()


def film_or_line(path: Path, data: bytes) -> Film | None:
    """Reads ``data`` as a film, whose well-formedness is checked, and its size; ``None`` where it is refused."""
    path.write_bytes(data)
    found: Film | None = None
    for read in (read_film, read_header):
        try:
            result = read(path)
        except ImageError as error:
            line = str(error)
            assert "\n" not in line and line.startswith(str(path)), line
            assert not re.search(r"\(\w+ in \w+\.py:\d+\)", line), line  # a mistake of ours
        else:
            if isinstance(result, Film):
                found = result
                assert found.pixels_HW.dtype == np.float32 and found.pixels_HW.ndim == 2
                assert found.pixels_HW.min() >= 0 and found.pixels_HW.max() <= 1
                assert all("\n" not in line for line in found.warnings)
    return found


CHANGES = st.lists(st.tuples(st.integers(0, 1 << 16), st.integers(0, 255)), min_size=1, max_size=6)


def changed(data: bytes, changes: list[tuple[int, int]]) -> bytes:
    result = bytearray(data)
    for position, value in changes:
        result[position % len(result)] = value
    return bytes(result)


@given(name=st.sampled_from(NAMES), share=st.floats(0, 0.98))
@settings(relaxed, max_examples=40)
def test_no_object_cut_anywhere_is_read(objects: Path, tmp_path: Path, name: str, share: float) -> None:
    data = at_hand(objects, name)
    assert film_or_line(tmp_path / "film.dcm", data[: int(len(data) * share)]) is None


@given(st.sampled_from(NAMES), CHANGES)
@settings(relaxed, max_examples=70)
def test_changed_bytes_give_a_film_or_one_line(
    objects: Path, tmp_path: Path, name: str, changes: list[tuple[int, int]]
) -> None:
    film_or_line(tmp_path / "film.dcm", changed(at_hand(objects, name), changes))


def mutants(data: bytes, seed: int, count: int) -> Iterator[bytes]:
    """Copies of ``data`` with bytes set, flipped, cut out, doubled and swapped, in the header or in the pixels."""
    draw = np.random.default_rng(seed)
    start = data.find(b"\xe0\x7f\x10\x00") + 1
    for number in range(count):
        result = bytearray(data)
        low, high = ((0, start), (start, len(data)), (0, len(data)))[number % 3]
        for _ in range(int(draw.integers(1, 8))):
            here = int(draw.integers(low, max(low + 1, min(high, len(result) - 1))))
            there, length = int(draw.integers(0, len(result))), int(draw.integers(1, 40))
            match int(draw.integers(0, 6)):
                case 0:
                    result[here] = int(draw.integers(0, 256))
                case 1:
                    result[here] ^= 1 << int(draw.integers(0, 8))
                case 2:
                    result[here : here + length] = b"\xff" * length
                case 3:
                    del result[here : here + length]
                case 4:
                    result[here:here] = result[there : there + length]
                case _:
                    result[here : here + 4] = int(
                        draw.choice([0, 1, 0x7FFF, 0xFFFF, 2**31, 2**32 - 1])
                    ).to_bytes(4, "little")
        yield bytes(result)


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("name", NAMES)
def test_many_mutants(objects: Path, tmp_path: Path, name: str) -> None:
    """The same ones each time; for a search, raise LONG."""
    data = at_hand(objects, name)
    read = [film_or_line(tmp_path / "film.dcm", one) for one in mutants(data, NAMES.index(name), LONG)]
    assert 0 < sum(one is not None for one in read) < LONG


@pytest.mark.parametrize("name", STREAMS)
def test_a_codestream_cut_and_closed_is_no_film(name: str, objects: Path, tmp_path: Path) -> None:
    """Most decoders go on with grey where a stream ends too early and its end marker was put back."""
    at_hand(objects, name)
    packed = pydicom.dcmread(objects / name)
    stream = get_frame(packed.PixelData, 0, number_of_frames=1)
    packed.PixelData = encapsulate([stream[: len(stream) * 2 // 3] + b"\xff\xd9"])
    packed.save_as(tmp_path / "film.dcm")
    with pytest.raises(ImageError, match="damaged"):
        read_film(tmp_path / "film.dcm")


LAYOUT = {
    "Rows": (0, 1, 16, 24, 47, 49, 96, 65_535),
    "Columns": (0, 1, 16, 20, 39, 41, 80, 65_535),
    "SamplesPerPixel": (0, 2, 3, 4, 65_535),
    "BitsAllocated": (0, 1, 8, 12, 32, 64),
    "BitsStored": (0, 1, 7, 8, 10, 11, 13, 16, 17),
    "HighBit": (0, 7, 10, 12, 15, 16),
    "NumberOfFrames": (0, 2, 100_000),
    "PlanarConfiguration": (0, 1, 7),
    "PixelRepresentation": (2, 65_535),
}
"""Wrong numbers. Without a codestream nothing tells Rows and Columns that come to the same product from right ones,
and nothing ever tells a sign."""


@pytest.mark.parametrize(
    "name",
    [
        name
        if name in ("plain", "RLE", "JPEG-LS", "JPEG 2000, lossy")
        else pytest.param(name, marks=pytest.mark.slow)
        for name in NAMES
    ],
)
def test_no_wrong_film_comes_of_a_wrong_layout(name: str, objects: Path, tmp_path: Path) -> None:
    """The film is refused, or the same, or a warning says that bits were cut off."""
    at_hand(objects, name)
    header = pydicom.dcmread(objects / name)
    del header.PixelPaddingValue
    del header.ShutterShape
    path = tmp_path / "film.dcm"
    header.save_as(path)
    right = read_film(path)
    kept = 0
    for keyword, values in LAYOUT.items():
        for value in values:
            was = header.get(keyword)
            setattr(header, keyword, value)
            header.save_as(path)
            try:
                film = read_film(path)
            except ImageError:
                pass
            else:
                kept += 1
                cut = any("were cut off" in line for line in film.warnings)
                if not cut:
                    np.testing.assert_array_equal(film.pixels_HW, right.pixels_HW, f"{keyword} {value}")
            if was is None:
                delattr(header, keyword)
            else:
                setattr(header, keyword, was)
    assert 0 < kept < 20
