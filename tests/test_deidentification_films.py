"""A clean film shows what the film showed, is valid DICOM, and says nothing of the patient, in no odd place."""

from __future__ import annotations

import io
import shutil
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from pydicom.encaps import encapsulate, get_frame

from hilum.deidentification.films import CleanFilm, HeldBack, deidentified
from hilum.deidentification.profile import Options
from hilum.deidentification.pseudonyms import Pseudonyms
from hilum.errors import HilumError, ImageError, InputError
from hilum.imaging import apart
from hilum.imaging.pixels import read_film
from hilum.study import Box
from tests import canaries, films
from tests.test_imaging_dicom import BOTH, CURVE, TWELVE

KEY = Pseudonyms(b"k" * 32)
BASIC = Options()
IDENTIFIED = {
    "PatientName": "DOE^JANE",
    "PatientID": "123",
    "StudyInstanceUID": "1.2.3",
    "SeriesInstanceUID": "1.2.4",
}
BOX: Box = (2.0, 3.0, 20.0, 9.0)


def nothing(pixels_HW: np.ndarray) -> tuple[Box, ...]:
    return ()


def made(path: Path, options: Options = BASIC, find: Any = nothing, **more: Any) -> CleanFilm:
    found = deidentified(path.read_bytes(), path, options, KEY, find, **more)
    assert isinstance(found, CleanFilm)
    return found


def film(tmp_path: Path, pixels: np.ndarray = TWELVE, **attributes: Any) -> Path:
    attributes = IDENTIFIED | {"SOPInstanceUID": "1.2.3.4"} | attributes
    if pixels.dtype.itemsize == 2:
        attributes.setdefault("BitsStored", 12)
    return films.dicom(tmp_path / "film.dcm", pixels, **attributes)


@pytest.mark.parametrize("name", BOTH)
def test_pixels_are_the_same_to_our_reader(name: str, tmp_path: Path) -> None:
    pixels, _, attributes = BOTH[name]
    path = film(tmp_path, pixels, **attributes)
    clean = tmp_path / "clean.dcm"
    clean.write_bytes(made(path).data)
    before, after = read_film(path), read_film(clean)
    np.testing.assert_array_equal(after.pixels_HW, before.pixels_HW)
    assert after.projection == before.projection and after.warnings == before.warnings


@pytest.mark.parametrize("name", films.LOSSLESS)
def test_every_syntax_becomes_the_uncompressed_one(name: str, tmp_path: Path) -> None:
    path = films.transcoded(film(tmp_path), tmp_path / "packed.dcm", films.LOSSLESS[name])
    clean = tmp_path / "clean.dcm"
    clean.write_bytes(made(path).data)
    after = pydicom.dcmread(clean)
    assert after.file_meta.TransferSyntaxUID == "1.2.840.10008.1.2.1"
    np.testing.assert_array_equal(after.pixel_array, TWELVE)


@pytest.mark.filterwarnings("ignore")
def test_nothing_is_left_in_the_whole_file(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = canaries.write(tmp_path / "film.dcm", canaries.dataset())
    assert len(canaries.spoken_in(path.read_bytes())) == len(canaries.SPOKEN)
    caplog.clear()
    clean = made(path)
    assert canaries.spoken_in(clean.data) == [] and canaries.spoken_in(repr(clean.counts).encode()) == []
    assert caplog.text == ""
    again = pydicom.dcmread(io.BytesIO(clean.data))
    assert canaries.named_by(again) == set()
    assert again.preamble == bytes(128)
    assert again.pixel_array.max() < 4096  # the unused bits are empty
    assert again.SOPInstanceUID == again.file_meta.MediaStorageSOPInstanceUID == clean.instance


def test_comments_in_a_compressed_stream_are_gone(tmp_path: Path) -> None:
    path = films.transcoded(film(tmp_path), tmp_path / "packed.dcm", films.LOSSLESS["JPEG lossless"])
    source = pydicom.dcmread(path)
    stream = get_frame(source.PixelData, 0, number_of_frames=1)
    comment = b"\xff\xfe" + (2 + 14).to_bytes(2) + b"CANARY^CANARY "
    source.PixelData = encapsulate([stream[:2] + comment + stream[2:]])
    source.save_as(path)
    assert b"CANARY" in path.read_bytes()
    clean = made(path).data
    assert b"CANARY" not in clean
    np.testing.assert_array_equal(pydicom.dcmread(io.BytesIO(clean)).pixel_array, TWELVE)


def test_tables_hold_entries_and_nothing_else(tmp_path: Path) -> None:
    table = films.lut(0, CURVE >> 4, 12)
    table.LUTExplanation = "CANARY"
    table.add_new("LUTData", "OW", (CURVE >> 4).astype("<u2").tobytes() + b"CANARY")
    clean = made(film(tmp_path, VOILUTSequence=[table])).data
    item = pydicom.dcmread(io.BytesIO(clean)).VOILUTSequence[0]
    assert b"CANARY" not in clean and len(item.LUTData) == 2 * 4096 and "LUTExplanation" not in item


def test_signed_and_high_bits_are_written_as_readers_expect(tmp_path: Path) -> None:
    signed = (TWELVE.astype(np.int32) - 2048).astype(np.int16)
    again = pydicom.dcmread(io.BytesIO(made(film(tmp_path, signed)).data))
    np.testing.assert_array_equal(again.pixel_array, signed)
    high = pydicom.dcmread(io.BytesIO(made(film(tmp_path, TWELVE << 4 | 0xA, HighBit=15)).data))
    np.testing.assert_array_equal(high.pixel_array, TWELVE)
    assert high.HighBit == 11


def test_colour_captures(tmp_path: Path) -> None:
    colour = np.stack([films.grey(), 255 - films.grey(seed=1), films.grey(seed=2) // 2], axis=-1)
    path = film(tmp_path, colour, PhotometricInterpretation="RGB", SOPClassUID=films.CAPTURE, Modality="OT")
    again = pydicom.dcmread(io.BytesIO(made(path).data))
    np.testing.assert_array_equal(again.pixel_array, colour)


def test_text_holds_a_film_back_or_is_blackened(tmp_path: Path) -> None:
    path = film(tmp_path, PhotometricInterpretation="MONOCHROME1")
    held = deidentified(path.read_bytes(), path, Options(), KEY, lambda _: (BOX,))
    assert isinstance(held, HeldBack) and held.boxes == (BOX,) and "text" in held.reason

    def grain(pixels_HW: np.ndarray) -> tuple[Box, ...]:
        return (BOX,) if np.ptp(pixels_HW[3:9, 2:20]) > 0.001 else ()

    clean = made(path, Options(clean_pixel_data=True), grain)
    again = pydicom.dcmread(io.BytesIO(clean.data))
    outside = np.ones(TWELVE.shape, bool)
    outside[3:9, 2:20] = False
    np.testing.assert_array_equal(again.pixel_array[outside], TWELVE[outside])
    assert set(again.pixel_array[~outside]) == {TWELVE.max()}  # MONOCHROME1: the largest value is black
    assert clean.blackened == (BOX,) and again.BurnedInAnnotation == "NO"
    assert "113101" in [item.CodeValue for item in again.DeidentificationMethodCodeSequence]
    still = deidentified(path.read_bytes(), path, Options(clean_pixel_data=True), KEY, lambda _: (BOX,))
    assert isinstance(still, HeldBack) and "even where" in still.reason


@pytest.mark.parametrize(
    "hiding",
    [
        {"WindowCenter": 1000, "WindowWidth": 1000},
        {"ShutterShape": "RECTANGULAR", "ShutterLeftVerticalEdge": 20, "ShutterRightVerticalEdge": 41,
         "ShutterUpperHorizontalEdge": 20, "ShutterLowerHorizontalEdge": 49, **films.window(4095)},
    ],
    ids=["window", "shutter"],
)  # fmt: skip
def test_text_that_is_not_shown_is_looked_for_too(hiding: dict[str, Any], tmp_path: Path) -> None:
    pixels = np.tile(np.linspace(600, 1400, 40).astype(np.uint16), (48, 1))
    pixels[:12] = 3000
    pixels[4:8, 4:30:3] = 3500  # strokes, white on white to who looks at the film through its window

    def strokes(pixels_HW: np.ndarray) -> tuple[Box, ...]:
        return (BOX,) if np.ptp(pixels_HW[6, 3:12]) > 0.001 else ()

    path = film(tmp_path, pixels, **hiding)
    assert strokes(read_film(path).pixels_HW) == ()
    held = deidentified(path.read_bytes(), path, Options(), KEY, strokes)
    assert isinstance(held, HeldBack) and held.boxes == (BOX,)


def test_what_a_person_has_looked_at_is_written_as_it_is(tmp_path: Path) -> None:
    path = film(tmp_path, BurnedInAnnotation="YES")
    said = deidentified(path.read_bytes(), path, Options(clean_pixel_data=True), KEY, nothing)
    assert isinstance(said, HeldBack) and "says that it shows" in said.reason
    clean = made(path, find=lambda _: (BOX,), looked_at=True)
    np.testing.assert_array_equal(pydicom.dcmread(io.BytesIO(clean.data)).pixel_array, TWELVE)


@pytest.mark.parametrize(
    ("attributes", "says"),
    [
        ({"SOPClassUID": "1.2.840.10008.5.1.4.1.1.2", "Modality": "CT"}, "not a radiograph"),
        ({"SOPClassUID": "1.2.840.10008.5.1.4.1.1.104.1"}, "no CR, DX or"),
        ({"SOPClassUID": "1.2.840.10008.5.1.4.1.1.7.2"}, "no CR, DX or"),
        ({"NumberOfFrames": 2}, "frames"),
        ({"StudyInstanceUID": None}, "no SOP or Study"),
    ],
)
def test_what_cannot_be_cleaned_is_refused(attributes: dict[str, Any], says: str, tmp_path: Path) -> None:
    path = film(tmp_path, **attributes)
    with pytest.raises(InputError, match=says) as caught:
        deidentified(path.read_bytes(), path, Options(), KEY, nothing)
    assert "DOE" not in caught.value.what and str(tmp_path) not in caught.value.what


@pytest.mark.filterwarnings("ignore")
def test_damage_is_refused_in_one_line(tmp_path: Path) -> None:
    whole = film(tmp_path).read_bytes()
    rng = np.random.default_rng(5)
    refused = 0
    for _ in range(60):
        data = bytearray(whole)
        for place in rng.integers(128, 800, 3):
            data[place] = rng.integers(256)
        path = tmp_path / "broken.dcm"
        path.write_bytes(bytes(data))
        try:
            found = deidentified(bytes(data), path, Options(), KEY, nothing)
        except HilumError as error:
            refused += 1
            assert "DOE" not in error.what and error.__cause__ is None
        else:
            assert isinstance(found, CleanFilm) and b"DOE^JANE" not in found.data
    assert 0 < refused < 60


@pytest.mark.skipif(shutil.which("dcmdump") is None, reason="dcmtk's dcmdump is not installed")
@pytest.mark.filterwarnings("ignore")
def test_dcmtk_finds_nothing_wrong(tmp_path: Path) -> None:
    for name, source in (
        ("plain", film(tmp_path)),
        ("full", canaries.write(tmp_path / "c.dcm", canaries.dataset())),
    ):
        clean = tmp_path / f"{name}.dcm"
        options = Options(*[True] * 5) if name == "full" else Options()
        clean.write_bytes(made(source, options).data)
        said = subprocess.run(["dcmdump", "-v", str(clean)], capture_output=True, text=True, check=True)
        assert "W:" not in said.stderr and "E:" not in said.stderr
        assert "PatientIdentityRemoved" in said.stdout
        assert subprocess.run(["dcmftest", str(clean)], capture_output=True, check=False).returncode == 0


def test_the_real_film(shared_data: Path) -> None:
    path = shared_data / "dicom" / "RG1_J2KR.dcm"
    clean = made(path, Options(retain_longitudinal_modified=True, clean_descriptors=True))
    again = pydicom.dcmread(io.BytesIO(clean.data))
    assert again.StudyDescription == "THORAX" and again.StudyDate < "20040727"
    assert (
        b"CompressedSamples" not in clean.data and b"5962" not in clean.data and b"Hamburg" not in clean.data
    )


def test_a_copy_that_would_look_different_is_no_copy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from hilum.deidentification import films as ours

    monkeypatch.setattr(ours, "_written", lambda made: film(tmp_path, TWELVE // 2).read_bytes())
    path = film(tmp_path)
    with pytest.raises(ImageError, match="look different"):
        deidentified(path.read_bytes(), path, Options(), KEY, nothing)


def test_a_film_is_decoded_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And its clean copy, which is not compressed, once more: to see that it shows the same."""
    asked: list[str] = []
    ask = apart._Worker.ask

    def counted(worker: apart._Worker, request: bytes) -> Any:
        asked.append(request.decode())
        return ask(worker, request)

    monkeypatch.setattr(apart._Worker, "ask", counted)
    clean = made(film(tmp_path))
    assert len(asked) == 1
    np.testing.assert_array_equal(pydicom.dcmread(io.BytesIO(clean.data)).pixel_array, TWELVE)
