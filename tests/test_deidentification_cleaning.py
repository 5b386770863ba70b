"""No header says who the patient is, whatever it holds and wherever it holds it."""

from __future__ import annotations

import io
from typing import Any

import pydicom
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

from hilum.deidentification import profile
from hilum.deidentification.cleaning import clean, described
from hilum.deidentification.profile import Options, PrivateAttribute
from hilum.deidentification.pseudonyms import Pseudonyms
from tests import canaries

KEY = Pseudonyms(b"k" * 32)
BASIC = Options()
RETAINED = {  # what an option asks for by name, and its value is then its own
    "retain_device": ("device",),
    "retain_patient_characteristics": ("patient",),
    "retain_uids": ("uids",),
}


def cleaned(made: Dataset, options: Options = BASIC, key: Pseudonyms = KEY) -> Dataset:
    return clean(made, options, key).dataset


@pytest.fixture(scope="module")
def identified() -> Dataset:
    """Written and read again, as a header comes."""
    made = canaries.dataset()
    out = io.BytesIO()
    pydicom.dcmwrite(out, made, implicit_vr=False, little_endian=True)
    out.seek(0)
    return pydicom.dcmread(out, force=True)


def test_the_canaries_are_many(identified: Dataset) -> None:
    assert len(canaries.named_by(identified)) > 3000


def test_nothing_of_any_attribute_is_left(identified: Dataset) -> None:
    made = cleaned(identified)
    assert canaries.named_by(made) == set()
    assert not [element for element in made.iterall() if element.tag.is_private]
    assert not [element for element in made if element.tag.group in range(0x5000, 0x6100)]


@pytest.mark.parametrize("name", ["clean_descriptors", "retain_longitudinal_modified", "clean_pixel_data"])
def test_cleaning_options_leave_nothing_either(name: str, identified: Dataset) -> None:
    assert canaries.named_by(cleaned(identified, Options(**{name: True}))) == set()


@pytest.mark.parametrize("name", RETAINED)
def test_retaining_options_leave_what_they_name_and_no_more(name: str, identified: Dataset) -> None:
    options = Options(**{name: True})
    left = canaries.named_by(cleaned(identified, options))
    allowed = set()
    for keyword in left:
        tag = pydicom.datadict.tag_for_keyword(keyword)
        assert tag is not None
        rule = profile.rule(tag)
        if profile.action(tag, options) == "K" or (rule is not None and rule.name == "device"):
            allowed.add(keyword)
    assert left == allowed and left
    assert not {"PatientName", "PatientID", "PatientBirthDate", "AccessionNumber"} & left


ATTRIBUTES = canaries.attributes()


@given(st.data())
@settings(max_examples=40)
def test_random_data_sets_with_sequences(data: st.DataObject) -> None:
    def draw(depth: int) -> Dataset:
        made = Dataset()
        for tag, vr in data.draw(st.lists(st.sampled_from(ATTRIBUTES), max_size=8)):
            if vr == "SQ":
                made.add_new(tag, vr, Sequence(draw(depth + 1) for _ in range(depth < 3)))
            else:
                value = canaries.value_of(vr, depth)
                if value is not None:
                    made.add_new(tag, vr, value)
        return made

    source = draw(0)
    flags = data.draw(st.tuples(*[st.booleans()] * 2))
    options = Options(clean_descriptors=flags[0], retain_longitudinal_modified=flags[1])
    made = cleaned(source, options)
    assert canaries.named_by(made) == set()
    assert made.PatientIdentityRemoved == "YES"
    assert cleaned(source, options) == made
    # Once more changes nothing but the pseudonyms of what are pseudonyms already, and dates that are moved again.
    again = cleaned(made, Options(retain_uids=True, clean_descriptors=flags[0]))
    for element in made:
        if element.VR not in ("UI", "DA", "TM", "DT", "SQ") and element.keyword not in (
            "PatientID", "PatientName", "LongitudinalTemporalInformationModified",
        ):  # fmt: skip
            assert again[element.tag] == element, element.keyword


def header(**attributes: Any) -> Dataset:
    made = Dataset()
    made.PatientID, made.StudyInstanceUID, made.SOPInstanceUID = "123", "1.2.3", "1.2.3.4"
    for keyword, value in attributes.items():
        setattr(made, keyword, value)
    return made


def test_it_says_what_was_done() -> None:
    made = cleaned(header(), Options(retain_longitudinal_modified=True))
    assert made.PatientIdentityRemoved == "YES"
    assert made.LongitudinalTemporalInformationModified == "MODIFIED"
    assert [item.CodeValue for item in made.DeidentificationMethodCodeSequence] == ["113100", "113107"]
    assert {item.CodingSchemeDesignator for item in made.DeidentificationMethodCodeSequence} == {"DCM"}
    assert made.DeidentificationMethod[0].startswith("Hilum ")
    assert cleaned(header()).LongitudinalTemporalInformationModified == "REMOVED"


def test_films_of_one_patient_belong_together_and_of_two_do_not() -> None:
    first, second = cleaned(header(StudyInstanceUID="1.2.3")), cleaned(header(StudyInstanceUID="1.2.9"))
    assert first.PatientID == second.PatientID == first.PatientName
    assert first.StudyInstanceUID != second.StudyInstanceUID
    assert cleaned(header(PatientID="124")).PatientID != first.PatientID
    assert cleaned(header(), key=Pseudonyms(b"x" * 32)).PatientID != first.PatientID
    unnamed = [cleaned(header(PatientID="", StudyInstanceUID=uid)) for uid in ("1.2.3", "1.2.3", "1.2.9")]
    assert unnamed[0].PatientID == unnamed[1].PatientID != unnamed[2].PatientID


@pytest.mark.filterwarnings("ignore:Invalid value for VR")
def test_dates_of_one_patient_keep_their_intervals() -> None:
    from datetime import datetime

    def moment(made: Dataset, kind: str) -> datetime:
        return datetime.strptime(made[f"{kind}Date"].value + made[f"{kind}Time"].value, "%Y%m%d%H%M%S")

    options = Options(retain_longitudinal_modified=True)
    source = header(
        StudyDate="20200101", StudyTime="235900.12", SeriesDate="20200102", SeriesTime="000100",
        AcquisitionDateTime="20200102000200.5+0100", PatientBirthDate="19500101",
    )  # fmt: skip
    first = cleaned(source, options)
    second = cleaned(header(StudyDate="20210101", StudyTime="235900"), options)
    assert (moment(first, "Series") - moment(first, "Study")).total_seconds() == 120
    assert (moment(second, "Study") - moment(first, "Study")).days == 366
    acquired = datetime.strptime(first.AcquisitionDateTime, "%Y%m%d%H%M%S")
    assert (acquired - moment(first, "Series")).total_seconds() == 60
    assert moment(first, "Study") < datetime(2019, 12, 3) and not first.PatientBirthDate
    assert cleaned(header(StudyDate="nonsense"), options).StudyDate in ("", None)
    alone = cleaned(header(StudyDate="20200101", StudyTime="noon"), options)
    assert alone.StudyDate and not alone.StudyTime


@pytest.mark.filterwarnings("ignore:Invalid value for VR")
@pytest.mark.parametrize(("age", "shown"), [("045Y", "045Y"), ("089Y", "089Y"), ("090Y", "090Y"), ("104Y", "090Y"),
                                            ("003M", "003M"), ("", "")])  # fmt: skip
def test_ages_above_89_are_90(age: str, shown: str) -> None:
    made = cleaned(header(PatientAge=age, PatientSex="F"), Options(retain_patient_characteristics=True))
    assert (made.PatientAge or "") == shown and made.PatientSex == "F"
    assert "PatientAge" not in cleaned(header(PatientAge=age))


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("Chest PA and LAT, DOE^JANE 1947-02-03", "CHEST PA AND LAT"),
        ("XR chest 2 views", "XR CHEST 2 VIEWS"),
        ("Thorax Müller", "THORAX"),
        ("12345678", ""),
        ("", ""),
    ],
)
def test_descriptors_keep_known_words(text: str, shown: str) -> None:
    assert described(text) == shown
    made = cleaned(header(StudyDescription=text), Options(clean_descriptors=True))
    assert made.get("StudyDescription", "") == shown
    assert "StudyDescription" not in cleaned(header(StudyDescription=text))


@pytest.mark.filterwarnings("ignore:Invalid value for VR")
def test_values_must_be_what_the_rules_say() -> None:
    made = cleaned(header(
        ImageType=["ORIGINAL", "PRIMARY", "DOE JANE"], ViewPosition="DOE", BodyPartExamined="chest", KVP="120.5",
        SeriesNumber="20190312", InstanceNumber="7", PatientOrientation=["L", "DOE"], ExposureIndex="123456789",
        Manufacturer="Dr. Doe's", PixelSpacing=["0.139999991", "0.14"],
    ))  # fmt: skip
    assert (
        made.ImageType == ["ORIGINAL", "PRIMARY"] and made.BodyPartExamined == "CHEST" and made.KVP == 120.5
    )
    assert made.InstanceNumber == 7 and [float(one) for one in made.PixelSpacing] == [0.14, 0.14]
    for keyword in ("ViewPosition", "SeriesNumber", "PatientOrientation", "ExposureIndex", "Manufacturer"):
        assert not made[keyword].value, keyword


def test_codes_that_are_known_stay_with_the_meaning_that_is_known() -> None:
    def code(value: str, scheme: str) -> Dataset:
        item = Dataset()
        item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = value, scheme, "view of Jane Doe"
        item.ViewModifierCodeSequence = Sequence()
        return item

    made = cleaned(
        header(ViewCodeSequence=[code("R-10206", "SRT"), code("399067008", "SCT"), code("4711", "99DOE")])
    )
    assert [(one.CodeValue, one.CodingSchemeDesignator, one.CodeMeaning) for one in made.ViewCodeSequence] == [
        ("399348003", "SCT", "antero-posterior"), ("399067008", "SCT", "lateral"),
    ]  # fmt: skip
    assert all("ViewModifierCodeSequence" in one for one in made.ViewCodeSequence)


def test_a_safe_list_keeps_what_it_names_and_its_creator_alone() -> None:
    source = header()
    block = source.private_block(0x0019, "MAKER", create=True)
    block.add_new(0x10, "DS", "1.5")
    block.add_new(0x11, "LO", "Jane Doe")
    source.private_block(0x0019, "OTHER", create=True).add_new(0x10, "LO", "Jane Doe")
    made = cleaned(source, Options(safe_private=frozenset({PrivateAttribute("MAKER", 0x19, 0x10)})))
    kept = [element for element in made if element.tag.is_private]
    assert [str(element.value) for element in kept] == ["MAKER", "1.5"]
    assert "113111" in [item.CodeValue for item in made.DeidentificationMethodCodeSequence]


def test_counts_hold_keywords_and_no_values() -> None:
    source = header(PatientComments="Jane Doe", StudyDate="20200101")
    source.add_new((0x0019, 0x1001), "LO", "Jane Doe")
    counts = clean(source, Options(), KEY).counts
    assert counts["PatientComments", "removed"] == 1 and counts["private", "removed"] == 1
    assert counts["StudyDate", "emptied"] == 1 and counts["StudyInstanceUID", "replaced"] == 1
    assert "Doe" not in repr(counts) and "2020" not in repr(counts)
