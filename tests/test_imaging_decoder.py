"""Stored values come out of every transfer syntax as they went in, and a lossy one turns no white into black."""

from __future__ import annotations

import base64
import json
import os
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from pydicom.encaps import encapsulate

from hilum.errors import ImageError
from hilum.imaging import decoder
from hilum.imaging.decoder import missing, stored_values
from hilum.imaging.pixels import read_film
from hilum.imaging.syntaxes import SYNTAXES, Syntax
from tests import dicom_table, films
from tests.test_imaging_dicom import needs_dcmtk

CASES = json.loads((Path(__file__).parent / "cases" / "htj2k.json").read_text())
"""HTJ2K streams of ``dicom_table.stored``, made by OpenJPH 0.26: OpenJPEG decodes them, and makes none."""


def values(path: Path) -> tuple[np.ndarray, list[str]]:
    notes: list[str] = []
    return stored_values(pydicom.dcmread(path), path, notes), notes


@needs_dcmtk
@pytest.mark.parametrize("syntax", SYNTAXES, ids=lambda one: one.name)
def test_every_syntax_looks_as_dcmtk_shows_it(syntax: Syntax, tmp_path: Path) -> None:
    """One case of the table a syntax, each time another; all of them: test_the_whole_table."""
    if absent := dicom_table.missing(syntax):
        pytest.skip(f"{absent} is not installed")
    number = SYNTAXES.index(syntax)
    depths = [name for name, depth in dicom_table.DEPTHS.items() if dicom_table.applies(syntax, *depth)]
    chain, photometric = list(dicom_table.CHAINS)[number % 9], dicom_table.PHOTOMETRIC[number % 2]
    (found,) = dicom_table.outcomes(
        syntax, depths[-1 - number % len(depths)], tmp_path, lambda *case: case == (photometric, chain)
    )
    assert found.passed, found


@needs_dcmtk
@pytest.mark.slow
@pytest.mark.parametrize("syntax", SYNTAXES, ids=lambda one: one.name)
def test_the_whole_table(syntax: Syntax, tmp_path: Path) -> None:
    if absent := dicom_table.missing(syntax):
        pytest.skip(f"{absent} is not installed")
    for depth, (bits, signed) in dicom_table.DEPTHS.items():
        if dicom_table.applies(syntax, bits, signed):
            found = list(dicom_table.outcomes(syntax, depth, tmp_path, lambda *case: True))
            assert len(found) == 18 and [one for one in found if not one.passed] == []


@needs_dcmtk
@pytest.mark.slow
@pytest.mark.parametrize("syntax", SYNTAXES, ids=lambda one: one.name)
@pytest.mark.parametrize("name", ["RG1_UNCR", "RG1_J2KR"])
def test_the_real_films_in_every_lossless_syntax(
    name: str, syntax: Syntax, shared_data: Path, tmp_path: Path
) -> None:
    if absent := dicom_table.missing(syntax):
        pytest.skip(f"{absent} is not installed")
    if syntax.lossy:
        pytest.skip("what is lost is held against dcmtk on made films")
    dataset = pydicom.dcmread(shared_data / "dicom" / f"{name}.dcm")
    if name == "RG1_J2KR":
        dataset.decompress()
    dataset.save_as(tmp_path / "plain.dcm")
    film = dicom_table.packed(tmp_path / "plain.dcm", syntax, tmp_path / "packed.dcm")
    theirs = dicom_table.by_dcmtk(tmp_path / "plain.dcm", "+Wi", "1")
    np.testing.assert_allclose(read_film(film).pixels_HW, theirs, atol=1.01 / 65_535)


@pytest.mark.parametrize("name", CASES)
def test_high_throughput_streams(name: str, tmp_path: Path) -> None:
    pytest.importorskip("openjpeg", reason="pylibjpeg-openjpeg is not installed")
    case = CASES[name]
    pixels = dicom_table.stored(case["bits"], case["signed"])
    path = films.dicom(
        tmp_path / "film.dcm",
        pixels,
        syntax=f"1.2.840.10008.1.2.4.{203 if case['lossy'] else 201}",
        BitsStored=case["bits"],
        PixelData=encapsulate([base64.b64decode(case["stream"])]),
    )
    found, notes = values(path)
    assert notes == [] and found.max() <= pixels.max()
    error = np.abs(found.astype(int) - pixels)
    assert error.max() == 0 if not case["lossy"] else 0 < error.max() < 128 and error.mean() < 24
    assert read_film(path).bits == case["bits"]


def lossy(tmp_path: Path, pixels: np.ndarray, precision: int, **attributes: Any) -> Path:
    """A JPEG 2000 film of which so little is kept that values go beyond their range."""
    encode_array = pytest.importorskip(
        "openjpeg.utils", reason="pylibjpeg-openjpeg is not installed"
    ).encode_array
    stream = encode_array(pixels, bits_stored=precision, photometric_interpretation=2, compression_ratios=[6])
    return films.dicom(
        tmp_path / "film.dcm",
        pixels,
        syntax="1.2.840.10008.1.2.4.91",
        PixelData=encapsulate([stream]),
        **attributes,
    )


@pytest.mark.parametrize("signed", [False, True])
def test_white_that_is_carried_beyond_its_bits_stays_white(signed: bool, tmp_path: Path) -> None:
    pixels = dicom_table.stored(12, signed)
    top = int(pixels.max())
    path = lossy(tmp_path, pixels, 16, BitsStored=12)
    raw = pydicom.dcmread(path).pixel_array  # pydicom gives what it gets
    assert raw.max() > top
    found, _ = values(path)
    np.testing.assert_array_equal(found, np.clip(raw.astype(int), top - 4095, top))
    assert found[films.grey() == 255].min() > top - 400  # the marker


def test_more_bits_than_the_header_says_are_no_film(tmp_path: Path) -> None:
    with pytest.raises(ImageError, match="more bits than the header says"):
        values(lossy(tmp_path, dicom_table.stored(12, False), 12, BitsStored=8, BitsAllocated=16))


def test_unused_bits_are_cut_off_and_said_where_they_vary(tmp_path: Path) -> None:
    pixels = films.grey(top=4095)
    rubbish = pixels | (np.arange(40, dtype=np.uint16) % 2 << 15)
    for name, stored, says in (("same", pixels | 0xA000, 0), ("vary", rubbish, 1), ("none", pixels, 0)):
        found, notes = values(films.dicom(tmp_path / name, stored, BitsStored=12))
        np.testing.assert_array_equal(found, pixels)
        assert len(notes) == says and all("cut off" in note for note in notes)
    signed = (pixels.astype(np.int32) - 2048).astype(np.int16)
    for stored in (signed, signed & 0xFFF):  # with and without the sign in the unused bits
        found, notes = values(films.dicom(tmp_path / "signed", stored, BitsStored=12))
        np.testing.assert_array_equal(found, signed)
        assert notes == []
    found, notes = values(films.dicom(tmp_path / "high", pixels << 4, BitsStored=12, HighBit=15))
    np.testing.assert_array_equal(found, pixels)


def test_a_syntax_without_its_decoder_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = films.dicom(
        tmp_path / "film.dcm", films.grey(), syntax="1.2.840.10008.1.2.4.201", PixelData=encapsulate([b"12"])
    )
    monkeypatch.setattr(decoder, "missing", lambda syntax: True)
    with pytest.raises(ImageError, match="High-Throughput JPEG 2000 Lossless needs a decoder") as caught:
        values(path)
    assert caught.value.fix == "pip install 'hilum[dicom]'"


@pytest.mark.parametrize(
    ("uid", "name"),
    [
        ("1.2.840.10008.1.2.4.102", "MPEG-4"),
        ("1.2.840.10008.1.2.4.110", "that the file names"),
        ("1.2.3.4", "that the file names"),
    ],
)
def test_other_syntaxes_are_refused_by_name(uid: str, name: str, tmp_path: Path) -> None:
    path = films.dicom(tmp_path / "film.dcm", films.grey())
    header = pydicom.dcmread(path)
    header.file_meta.TransferSyntaxUID = uid
    with pytest.raises(ImageError, match=name) as caught:
        stored_values(header, path, [])
    assert "Explicit VR Little Endian" in str(caught.value.fix)


def test_uncompressed_films_need_no_decoder() -> None:
    assert not any(missing(one) for one in SYNTAXES if one.decoder == "pydicom")


def test_what_is_said_on_standard_error_is_heard(capfd: pytest.CaptureFixture[str]) -> None:
    with decoder._listening() as said:
        os.write(2, b"from C\n")
        print("from Python", file=sys.stderr)
        sys.stderr.flush()
    os.write(2, b"afterwards\n")
    assert "from C" in said and "afterwards" not in said
    assert "afterwards" in capfd.readouterr().err


@pytest.mark.parametrize(
    ("line", "damage"),
    [
        ("Corrupt JPEG data: premature end of data segment", True),
        ("Corrupt JPEG data: 3 extraneous bytes before marker 0xd9", False),
        ("Unsupported JPEG data precision 12", False),
        ("", False),
    ],
)
def test_which_complaints_are_damage(line: str, damage: bool) -> None:
    assert decoder._is_damage(line) == damage
