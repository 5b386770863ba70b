"""The list of what is read of a header: attributes of the standard, and none that tells who it is."""

from __future__ import annotations

from pathlib import Path

import pydicom
from pydicom.datadict import dictionary_VR, tag_for_keyword

from hilum.imaging import attributes
from hilum.imaging.dicom import _parse
from tests import films


def test_all_are_of_the_standard_and_none_names_anybody() -> None:
    assert len(set(attributes.READ)) == len(attributes.READ)
    for keyword in attributes.READ:
        tag = tag_for_keyword(keyword)
        assert tag is not None, keyword
        assert tag >> 16 not in (0x0010, 0x0032, 0x0040, 0x4008), (
            keyword
        )  # patient, request, procedure, results
        assert dictionary_VR(tag) not in ("PN", "DA", "DT", "TM", "LT", "ST", "UT", "SH", "LO", "AS"), keyword


def test_nothing_else_is_parsed(tmp_path: Path) -> None:
    path = films.dicom(
        tmp_path / "film.dcm",
        films.grey(),
        PatientName="A^B",
        StudyDate="20000101",
        ViewPosition="PA",
        InstanceNumber=3,
    )
    found = {element.keyword for element in _parse(path.read_bytes(), path, [])}
    assert found <= {*attributes.READ, "PixelData", "SpecificCharacterSet"}
    assert "PatientName" in pydicom.dcmread(path) and "ViewPosition" in found
