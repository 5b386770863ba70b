"""Reading DICOM: the same greys as dcmtk's dcm2pnm and pydicom, whatever the syntax; nothing of the patient."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pydicom
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate
from pydicom.pixels.processing import apply_voi, apply_windowing
from pydicom.sequence import Sequence

from hilum.errors import ImageError
from hilum.imaging.film import Film
from hilum.imaging.grayscale import display_table, window
from hilum.imaging.pixels import read_film, read_header
from hilum.study import Projection
from tests import films

needs_dcmtk = pytest.mark.skipif(shutil.which("dcm2pnm") is None, reason="dcmtk's dcm2pnm is not installed")
CURVE = (65_535 * np.linspace(0, 1, 4096) ** 2).astype(int)
TWELVE = films.grey(top=4095)
SIGNED = (TWELVE.astype(np.int32) - 2048).astype(np.int16)


def read(tmp_path: Path, pixels: np.ndarray | None = None, **attributes: Any) -> Film:
    pixels = TWELVE if pixels is None else pixels
    if pixels.dtype.itemsize == 2:
        attributes.setdefault("BitsStored", 12)
    if not {"WindowWidth", "VOILUTSequence"} & set(attributes):
        attributes |= films.window(4095 if pixels.dtype.itemsize == 2 else 255)
        if pixels.dtype.kind == "i":
            attributes["WindowCenter"] = 0
    return read_film(films.dicom(tmp_path / "film.dcm", pixels, **attributes))


def by_dcmtk(path: Path, *options: str) -> np.ndarray:
    """What dcm2pnm makes of ``path``, 16 bits, in [0, 1]."""
    out = path.with_suffix(".png")
    subprocess.run(["dcm2pnm", "+on2", *options, str(path), str(out)], check=True, capture_output=True)
    made = cv2.imread(str(out), cv2.IMREAD_UNCHANGED)
    return made.astype(np.float64) / np.iinfo(made.dtype).max


ONE = ("+Wi", "1")
LUT = ("+Wl", "1")
BOTH: dict[str, tuple[np.ndarray, tuple[str, ...], dict[str, Any]]] = {
    "8 bits": (films.grey(), ONE, {"WindowCenter": 128, "WindowWidth": 256}),
    "8 bits, MONOCHROME1": (
        films.grey(),
        ONE,
        {"WindowCenter": 100, "WindowWidth": 180, "PhotometricInterpretation": "MONOCHROME1"},
    ),
    "10 bits": (films.grey(top=1023), ONE, {"BitsStored": 10, "WindowCenter": 512, "WindowWidth": 900}),
    "12 bits": (TWELVE, ONE, {}),
    "12 bits, MONOCHROME1": (TWELVE, ONE, {"PhotometricInterpretation": "MONOCHROME1"}),
    "14 bits": (films.grey(top=16_383), ONE, {"BitsStored": 14, "WindowCenter": 6000, "WindowWidth": 9000}),
    "16 bits": (
        films.grey(top=65_535),
        ONE,
        {"BitsStored": 16, "WindowCenter": 32_768, "WindowWidth": 65_536},
    ),
    "16 bits, MONOCHROME1": (
        films.grey(top=65_535),
        ONE,
        {
            "BitsStored": 16,
            "WindowCenter": 30_000,
            "WindowWidth": 50_000,
            "PhotometricInterpretation": "MONOCHROME1",
        },
    ),
    "signed": (SIGNED, ONE, {"WindowCenter": -100, "WindowWidth": 3000}),
    "rescale": (
        SIGNED,
        ONE,
        {"RescaleSlope": 2.5, "RescaleIntercept": -100, "WindowCenter": -100, "WindowWidth": 5000},
    ),
    "negative slope": (TWELVE, ONE, {"RescaleSlope": -1, "RescaleIntercept": 4095}),
    "sigmoid": (TWELVE, ONE, {"VOILUTFunction": "SIGMOID", "WindowCenter": 2048, "WindowWidth": 1500}),
    "narrow window": (TWELVE, ONE, {"WindowCenter": 1500, "WindowWidth": 100}),
    "modality LUT": (TWELVE, ONE, {"ModalityLUTSequence": [films.lut(0, CURVE >> 4, 12)]}),
    "VOI LUT of 16 bits": (TWELVE, LUT, {"VOILUTSequence": [films.lut(0, CURVE, 16)]}),
    "VOI LUT of 12 bits": (TWELVE, LUT, {"VOILUTSequence": [films.lut(0, CURVE >> 4, 12)]}),
    "VOI LUT, short": (TWELVE, LUT, {"VOILUTSequence": [films.lut(1000, CURVE[::2] >> 4, 12)]}),
    "VOI LUT, signed": (SIGNED, LUT, {"VOILUTSequence": [films.lut(-2048, CURVE, 16, signed=True)]}),
    "INVERSE": (TWELVE, ONE, {"PresentationLUTShape": "INVERSE"}),
    "INVERSE, MONOCHROME1": (
        TWELVE,
        ONE,
        {"PresentationLUTShape": "INVERSE", "PhotometricInterpretation": "MONOCHROME1"},
    ),
    "values in the upper bits": (TWELVE << 4, ONE, {"HighBit": 15}),
    "rubbish in unused bits": (TWELVE | 0xA000, ONE, {}),
    "big endian": (TWELVE, ONE, {"syntax": "1.2.840.10008.1.2.2"}),
}


@needs_dcmtk
@pytest.mark.parametrize("name", BOTH)
def test_greys_are_those_of_dcmtk(name: str, tmp_path: Path) -> None:
    pixels, options, attributes = BOTH[name]
    film = read(tmp_path, pixels, **attributes)
    # dcmtk works with tables of as many greys as a VOI LUT has bits: 1 / 4095 at worst.
    np.testing.assert_allclose(film.pixels_HW, by_dcmtk(tmp_path / "film.dcm", *options), atol=1.05 / 4095)
    assert film.warnings == ()


@needs_dcmtk
def test_colour_captures_are_grey_as_dcmtk_makes_them(tmp_path: Path) -> None:
    colour = np.stack([films.grey(), 255 - films.grey(seed=1), films.grey(seed=2) // 2], axis=-1)
    film = read(tmp_path, colour, PhotometricInterpretation="RGB", SOPClassUID=films.CAPTURE, Modality="OT")
    np.testing.assert_allclose(film.pixels_HW, by_dcmtk(tmp_path / "film.dcm", "+G"), atol=2.5 / 255)
    assert any("colour" in line for line in film.warnings)
    assert any("secondary capture" in line for line in film.warnings)


@needs_dcmtk
def test_the_real_film_is_that_of_dcmtk(shared_data: Path, tmp_path: Path) -> None:
    path = shutil.copy(shared_data / "dicom" / "RG1_UNCR.dcm", tmp_path / "film.dcm")
    np.testing.assert_allclose(read_film(path).pixels_HW, by_dcmtk(path, *ONE), atol=1e-4)


def test_the_real_films_are_one_film_in_two_syntaxes_and_read_as_a_film(shared_data: Path) -> None:
    plain, packed = (read_film(shared_data / "dicom" / f"RG1_{name}.dcm") for name in ("UNCR", "J2KR"))
    np.testing.assert_array_equal(plain.pixels_HW, packed.pixels_HW)
    assert plain.photometric == "MONOCHROME1" and plain.projection is Projection.FRONTAL
    assert plain.view_position == "PA" and plain.orientation == ("L", "F")
    assert plain.aspect is None and plain.warnings == ()  # its pixel spacing is 0 and says nothing
    height, width = plain.pixels_HW.shape
    assert read_header(shared_data / "dicom" / "RG1_UNCR.dcm") == (height, width)

    def mean(top: float, bottom: float, left: float, right: float) -> float:
        rows, cols = (
            slice(int(top * height), int(bottom * height)),
            slice(int(left * width), int(right * width)),
        )
        return float(plain.pixels_HW[rows, cols].mean())

    spine, lung, air = mean(0.3, 0.5, 0.46, 0.52), mean(0.15, 0.3, 0.2, 0.35), mean(0.04, 0.09, 0.04, 0.12)
    assert air < lung < spine
    # The heart lies on the patient's left, which is on the viewer's right.
    assert mean(0.62, 0.7, 0.56, 0.68) > mean(0.62, 0.7, 0.3, 0.38) + 0.02


@pytest.mark.parametrize("name", films.LOSSLESS)
@pytest.mark.parametrize(("top", "signed"), [(255, False), (4095, False), (4095, True), (65_535, False)])
def test_every_lossless_syntax_gives_the_same_film(name: str, top: int, signed: bool, tmp_path: Path) -> None:
    pixels = films.grey(top=top)
    if signed:
        pixels = (pixels.astype(np.int32) - (top + 1) // 2).astype(np.int16)
    middle = 0 if signed else (top + 1) / 2
    stored = top.bit_length()
    path = films.dicom(
        tmp_path / "plain.dcm", pixels, BitsStored=stored, WindowCenter=middle, WindowWidth=top + 1
    )
    film = read_film(films.transcoded(path, tmp_path / "film.dcm", films.LOSSLESS[name]))
    np.testing.assert_array_equal(film.pixels_HW, read_film(path).pixels_HW)
    assert film.bits == stored


@pytest.mark.parametrize("photometric", ["YBR_FULL", "YBR_FULL_422"])
def test_colour_jpegs_in_captures(photometric: str, tmp_path: Path) -> None:
    colour = np.stack([films.grey(), films.grey() // 2, films.grey() // 3], axis=-1)
    data = films.encoded(colour, "JPEG", quality=100, subsampling=0 if photometric == "YBR_FULL" else 1)
    film = read(
        tmp_path,
        colour,
        syntax="1.2.840.10008.1.2.4.50",
        PhotometricInterpretation=photometric,
        PixelData=encapsulate([data]),
        SOPClassUID=films.CAPTURE,
        Modality="OT",
    )
    expected = (colour @ np.array([0.299, 0.587, 0.114])) / 255
    np.testing.assert_allclose(film.pixels_HW, expected, atol=0.04)
    assert np.abs(film.pixels_HW - expected).mean() < 0.01


@pytest.mark.parametrize(
    ("photometric", "shape", "dark_is_large"),
    [
        ("MONOCHROME2", None, False),
        ("MONOCHROME2", "IDENTITY", False),
        ("MONOCHROME1", None, True),
        ("MONOCHROME1", "INVERSE", True),
        ("MONOCHROME1", "IDENTITY", True),
        ("MONOCHROME2", "INVERSE", True),
    ],
)
def test_air_is_black_and_bone_is_white(
    photometric: str, shape: str | None, dark_is_large: bool, tmp_path: Path
) -> None:
    pixels = 4095 - TWELVE if dark_is_large else TWELVE
    film = read(tmp_path, pixels, PhotometricInterpretation=photometric, PresentationLUTShape=shape)
    np.testing.assert_allclose(film.pixels_HW, TWELVE / 4095, atol=1e-3)
    assert bool(film.warnings) == (photometric == "MONOCHROME1" and shape == "IDENTITY")


@given(st.floats(-5000, 5000), st.floats(1, 9000), st.sampled_from(["LINEAR", "LINEAR_EXACT", "SIGMOID"]))
@settings(deadline=None, max_examples=60)
def test_windows_are_those_of_pydicom(centre: float, width: float, function: str) -> None:
    width += {"LINEAR": 0.01, "LINEAR_EXACT": 0, "SIGMOID": 60}[
        function
    ]  # pydicom overflows where it is steep
    header = Dataset()
    header.PhotometricInterpretation, header.BitsStored, header.PixelRepresentation = "MONOCHROME2", 12, 0
    header.VOILUTFunction = function
    header.WindowCenter, header.WindowWidth = round(centre, 3), round(width, 3)
    values = np.arange(4096)
    expected = apply_windowing(values, header) / 4095
    ours = window(values.astype(float), round(centre, 3), round(width, 3), function)
    np.testing.assert_allclose(ours, expected, atol=1e-9)


@pytest.mark.parametrize("first", [0, 500, 3000])
def test_voi_luts_are_those_of_pydicom(first: int) -> None:
    header = Dataset()
    header.PhotometricInterpretation, header.BitsStored, header.PixelRepresentation = "MONOCHROME2", 12, 0
    header.VOILUTSequence = Sequence([films.lut(first, CURVE[:2000] >> 4, 10)])
    ours, _ = display_table(header, np.ones(4096, np.int64), 0)
    np.testing.assert_allclose(ours, apply_voi(np.arange(4096), header) / 1023, atol=1e-6)


def test_luts_come_as_bytes_too(tmp_path: Path) -> None:
    wide, narrow = films.lut(0, CURVE, 16), films.lut(0, CURVE >> 8, 8)
    expected = read(tmp_path, VOILUTSequence=[wide]).pixels_HW
    wide.add_new("LUTData", "OW", CURVE.astype("<u2").tobytes())
    np.testing.assert_array_equal(read(tmp_path, VOILUTSequence=[wide]).pixels_HW, expected)
    narrow.add_new("LUTData", "OW", (CURVE >> 8).astype(np.uint8).tobytes())
    np.testing.assert_allclose(read(tmp_path, VOILUTSequence=[narrow]).pixels_HW, expected, atol=1.1 / 255)


def test_a_luts_first_value_may_be_negative_and_written_as_positive(tmp_path: Path) -> None:
    attributes = {"VOILUTSequence": [films.lut(-2048, CURVE, 16, signed=True)]}
    expected = read(tmp_path, SIGNED, **attributes).pixels_HW
    attributes = {"VOILUTSequence": [films.lut(65_536 - 2048, CURVE, 16)]}
    np.testing.assert_array_equal(read(tmp_path, SIGNED, **attributes).pixels_HW, expected)


def test_a_lut_that_lies_about_its_bits_is_scaled_by_what_it_uses(tmp_path: Path) -> None:
    film = read(tmp_path, VOILUTSequence=[films.lut(0, CURVE >> 6, 16)])
    np.testing.assert_allclose(film.pixels_HW, (TWELVE / 4095) ** 2, atol=2 / 1023)
    assert "claims 16 bits but uses 10" in film.warnings[0]


def test_the_first_of_several_windows_is_taken_and_said(tmp_path: Path) -> None:
    film = read(tmp_path, WindowCenter=[2048, 100], WindowWidth=[4096, 10])
    np.testing.assert_allclose(film.pixels_HW, TWELVE / 4095, atol=1e-6)
    assert film.warnings == ("the first of 2 windows was applied",)


@pytest.mark.parametrize(
    ("attributes", "says"),
    [
        ({"WindowWidth": "", "WindowCenter": ""}, "gives no window"),
        ({"WindowWidth": 0, "WindowCenter": 100}, "is invalid"),
        ({"WindowWidth": -7, "WindowCenter": 100}, "is invalid"),
        ({"WindowWidth": 10, "WindowCenter": 60_000}, "shows nothing"),
    ],
)
def test_without_a_usable_window_the_middle_of_the_pixels_is_shown(
    attributes: dict[str, Any], says: str, tmp_path: Path
) -> None:
    pixels = (TWELVE // 8 + 1000).astype(np.uint16)
    pixels[0, :2], pixels[1, :2] = 0, 4095  # dead pixels must not set the range
    film = read(tmp_path, pixels, **attributes)
    low, high = np.quantile(pixels, [0.005, 0.995])
    expected = np.clip((pixels - low) / (high - low), 0, 1)
    np.testing.assert_allclose(film.pixels_HW, expected, atol=0.02)
    assert len(film.warnings) == 1 and says in film.warnings[0]


@pytest.mark.parametrize("photometric", ["MONOCHROME1", "MONOCHROME2"])
def test_padding_is_black_and_does_not_set_the_window(photometric: str, tmp_path: Path) -> None:
    pixels = (TWELVE // 4 + 1000).astype(np.uint16)
    pixels[:, :6] = 0
    film = read(
        tmp_path, pixels, WindowWidth=None, PixelPaddingValue=0, PhotometricInterpretation=photometric
    )
    assert film.pixels_HW[:, :6].max() == 0
    inside = film.pixels_HW[:, 6:]
    assert inside.min() == 0 and inside.max() == 1 and 0.2 < inside.mean() < 0.8
    pixels[:, :6] = np.arange(40, 46)
    film = read(tmp_path, pixels, WindowWidth=None, PixelPaddingValue=40, PixelPaddingRangeLimit=45)
    assert film.pixels_HW[:, :6].max() == 0


def test_raw_detector_data_is_shown_by_its_logarithm_with_a_warning(tmp_path: Path) -> None:
    dose = np.exp2(TWELVE / 4095 * 11).astype(np.uint16)  # linear in the dose
    film = read(
        tmp_path,
        dose,
        WindowWidth=None,
        PresentationIntentType="FOR PROCESSING",
        PixelIntensityRelationship="LIN",
    )
    assert "meant for processing" in film.warnings[0]
    within = (dose > np.quantile(dose, 0.01)) & (dose < np.quantile(dose, 0.99))
    assert np.corrcoef(film.pixels_HW[within], TWELVE[within])[0, 1] > 0.99


@pytest.mark.parametrize(
    ("attributes", "expected"),
    [
        ({"PixelSpacing": [0.2, 0.1]}, 48 * 2 / 40),
        ({"ImagerPixelSpacing": [0.1, 0.2]}, 48 / 80),
        ({"NominalScannedPixelSpacing": [0.15, 0.1]}, 48 * 1.5 / 40),
        ({"PixelAspectRatio": [4, 3]}, 48 * 4 / (40 * 3)),
        ({"PixelSpacing": [0.1, 0.1]}, None),
        ({"PixelSpacing": [0, 0], "PixelAspectRatio": [2, 1]}, 48 * 2 / 40),
        ({"PixelSpacing": [0.1, 9]}, None),
        ({}, None),
    ],
)
def test_pixels_that_are_not_square_are_said(
    attributes: dict[str, Any], expected: float | None, tmp_path: Path
) -> None:
    film = read(tmp_path, **attributes)
    assert film.aspect == (None if expected is None else pytest.approx(expected))
    assert film.pixels_HW.shape == (48, 40)


@pytest.mark.parametrize(
    ("attributes", "projection", "says"),
    [
        ({"ViewPosition": "PA"}, Projection.FRONTAL, None),
        ({"ViewPosition": "AP"}, Projection.FRONTAL, None),
        ({"ViewPosition": "LL"}, Projection.LATERAL, None),
        ({"ViewPosition": "RL"}, Projection.LATERAL, None),
        ({"ViewPosition": "LATERAL"}, Projection.LATERAL, None),
        ({"ViewPosition": "LLO"}, Projection.UNKNOWN, None),
        ({"ViewPosition": ""}, Projection.UNKNOWN, None),
        ({"ViewPosition": "NONSENSE"}, Projection.UNKNOWN, None),
        ({"ViewCodeSequence": films.codes("272479007")}, Projection.FRONTAL, None),
        ({"ViewCodeSequence": films.codes("R-10206")}, Projection.FRONTAL, None),
        ({"ViewCodeSequence": films.codes("399173006")}, Projection.LATERAL, None),
        ({"PatientOrientation": ["L", "F"]}, Projection.FRONTAL, None),
        ({"PatientOrientation": ["LA", "FP"]}, Projection.FRONTAL, None),
        ({"PatientOrientation": ["A", "F"]}, Projection.LATERAL, None),
        ({"PatientOrientation": ["P", "F"]}, Projection.LATERAL, None),
        ({"PatientOrientation": ["L", "P"]}, Projection.UNKNOWN, None),
        ({"PatientOrientation": ["R", "F"]}, Projection.FRONTAL, "sides may be swapped"),
        ({"PatientOrientation": ["L", "H"]}, Projection.FRONTAL, "not upright"),
        ({"PatientOrientation": ["F", "R"]}, Projection.FRONTAL, "not upright"),
        (
            {"ViewPosition": "PA", "PatientOrientation": ["A", "F"]},
            Projection.FRONTAL,
            "contradict each other",
        ),
    ],
)
def test_the_projection_is_found(
    attributes: dict[str, Any], projection: Projection, says: str | None, tmp_path: Path
) -> None:
    film = read(tmp_path, **attributes)
    assert film.projection is projection
    assert film.warnings == () if says is None else len(film.warnings) == 1 and says in film.warnings[0]


@pytest.mark.filterwarnings("ignore")
def test_nothing_of_the_patient_comes_along(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, recwarn: pytest.WarningsRecorder
) -> None:
    secret = "SECRETIVE^NAME"
    attributes = dict.fromkeys(
        [
            "PatientName",
            "PatientID",
            "InstitutionName",
            "ReferringPhysicianName",
            "StudyDescription",
            "SeriesDescription",
            "ImageComments",
            "AccessionNumber",
            "ViewPosition",
            "BodyPartExamined",
            "Laterality",
            "ImageLaterality",
            "VOILUTFunction",
            "WindowCenterWidthExplanation",
            "PresentationIntentType",
            "RescaleType",
        ],
        secret,
    )
    film = read(tmp_path, **attributes, PatientOrientation=[secret, secret], PresentationLUTShape=secret)
    assert "SECRETIVE" not in repr(film)
    path = films.dicom(tmp_path / "film.dcm", TWELVE, BitsStored=12, SOPClassUID="1.2.SECRETIVE")
    caplog.clear()
    recwarn.clear()
    read_film(path)
    assert caplog.text == "" and not recwarn.list  # the parser quotes what it finds odd
    for broken in ({"Modality": secret}, {"PhotometricInterpretation": secret}):
        with pytest.raises(ImageError) as caught:
            read(tmp_path, **attributes, **broken)
        assert "SECRETIVE" not in str(caught.value)
        assert caught.value.__cause__ is None


@pytest.mark.parametrize("keyword", ["PixelSpacing", "ImagerPixelSpacing", "PixelAspectRatio"])
def test_one_spacing_where_two_belong_says_nothing(keyword: str, tmp_path: Path) -> None:
    assert read(tmp_path, **{keyword: "3"}).aspect is None


def test_another_body_part_is_said(tmp_path: Path) -> None:
    assert "not the chest" in read(tmp_path, BodyPartExamined="HAND").warnings[0]
    assert read(tmp_path, BodyPartExamined="CHEST").warnings == ()


def test_an_object_without_preamble_is_read(tmp_path: Path) -> None:
    path = films.dicom(tmp_path / "film.dcm", TWELVE, BitsStored=12, **films.window(4095))
    expected = read_film(path).pixels_HW
    path.write_bytes(path.read_bytes()[132:])
    np.testing.assert_array_equal(read_film(path).pixels_HW, expected)
    header = pydicom.dcmread(tmp_path / "film.dcm", force=True)
    del header.file_meta
    header.save_as(path, implicit_vr=True, little_endian=True)
    np.testing.assert_array_equal(read_film(path).pixels_HW, expected)


def test_a_damaged_entry_of_the_header_is_ignored_and_said(tmp_path: Path) -> None:
    path = films.dicom(
        tmp_path / "film.dcm", TWELVE, BitsStored=12, PixelSpacing=[0.2, 0.1], **films.window(4095)
    )
    data = path.read_bytes()
    spacing = b"\x28\0\x30\0DS"
    assert data.count(spacing) == 1
    path.write_bytes(data.replace(spacing, b"\x28\0\x30\0XS"))
    film = read_film(path)
    assert film.aspect is None and film.warnings == ("an entry of the header is damaged and was ignored",)
