"""A header without what could name a patient: each attribute as the profile, its options and the rules say.

Only what is named stays (``hilum.deidentification.profile``); the pixels are no part of this.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import timedelta
from functools import cache
from typing import Any

from pydicom.datadict import dictionary_VR, keyword_for_tag, tag_for_keyword
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from pydicom.sr.codedict import codes
from pydicom.sr.coding import Code
from pydicom.valuerep import format_number_as_ds

import hilum
from hilum.deidentification import profile
from hilum.deidentification.profile import Options, PrivateAttribute
from hilum.deidentification.pseudonyms import Pseudonyms, is_standard, shifted
from hilum.imaging.grayscale import lut_data
from hilum.imaging.positioning import sides

_DATES = ("DA", "TM", "DT")
_WORDS = ("LO", "LT", "SH", "ST", "UC", "UT")
_WHOLE = ("IS", "US", "SS", "UL", "SL")
_OLDEST = 89
"""Years: an age above it is given as 90, as HIPAA's safe harbour has it (45 CFR 164.514(b)(2)(i)(C))."""
_PIXELS = frozenset(
    (
        "PixelData",
        "PhotometricInterpretation",
        "PlanarConfiguration",
        "BitsAllocated",
        "BitsStored",
        "HighBit",
        "PixelRepresentation",
        "NumberOfFrames",
    )
)
"""What the pixels say of themselves: written anew with them (``hilum.deidentification.films``)."""
_IDENTITY = frozenset(("PatientID", "PatientName", "IssuerOfPatientID"))


@dataclass(slots=True)
class Cleaned:
    """A clean header, and how often each attribute met which fate: keywords and counts, no values."""

    dataset: Dataset
    counts: Counter[tuple[str, str]]
    """(keyword, fate): ``removed``, ``emptied``, ``replaced``, ``cleaned``, ``kept``; ``private`` and ``unknown``
    stand for what has no keyword."""


@dataclass(frozen=True, slots=True)
class _Work:
    options: Options
    pseudonyms: Pseudonyms
    shift: timedelta
    counts: Counter[tuple[str, str]]


def clean(source: Dataset, options: Options, pseudonyms: Pseudonyms) -> Cleaned:
    """``source`` as PS3.15 asks, sequences at any depth included; ``source`` stays as it is.

    Patient ID and Name become the pseudonym, which is that of the study where there is no Patient ID. The pixels are
    left out. Raises nearly anything where a value that is looked at is damaged.
    """
    number = str(source.get("PatientID", "") or "").strip()
    patient = pseudonyms.patient(
        number or str(source.get("StudyInstanceUID", "")),
        str(source.get("IssuerOfPatientID", "") or "") if number else "study",
    )
    counts: Counter[tuple[str, str]] = Counter()
    made = _dataset(source, _Work(options, pseudonyms, pseudonyms.shift(patient), counts))
    made.PatientID, made.PatientName = patient, patient
    for keyword in ("PatientID", "PatientName"):
        counts[keyword, "replaced"] += 1
    made.SpecificCharacterSet = "ISO_IR 192"
    made.PatientIdentityRemoved = "YES"
    made.LongitudinalTemporalInformationModified = (
        "MODIFIED" if options.retain_longitudinal_modified else "REMOVED"
    )
    made.DeidentificationMethod = [f"Hilum {hilum.__version__}", profile.EDITION]
    made.DeidentificationMethodCodeSequence = Sequence(_coded(*code, "DCM") for code in options.codes())
    return Cleaned(made, counts)


def _dataset(source: Dataset, work: _Work) -> Dataset:
    made = Dataset()
    blocks = _safe_blocks(source, work.options.safe_private)
    for tag in source.keys():  # noqa: SIM118 - iterating a Dataset parses its values
        keyword = keyword_for_tag(tag)
        if keyword in _PIXELS or keyword in _IDENTITY or tag.element == 0:
            continue
        if tag.is_private:
            kept = blocks.get(int(tag))
            work.counts["private", "removed" if kept is None else "kept"] += 1
            if kept is not None:
                made.add(kept)
            continue
        fate = _attribute(source, int(tag), keyword, made, work)
        work.counts[keyword or "unknown", fate] += 1
    return made


def _attribute(source: Dataset, tag: int, keyword: str, made: Dataset, work: _Work) -> str:
    """Puts into ``made`` what becomes of one attribute, and says what became of it."""
    letter = profile.action(tag, work.options)
    rule = profile.rule(tag)
    if letter is None and rule is None:
        return "removed"
    vr = _representation(source[tag], tag)
    if letter is None:
        assert rule is not None
        if rule.name == "device":
            if not work.options.retain_device:
                return _basic(made, tag, "Z", vr, source, work)
            return _put(made, tag, vr, source[tag].value, "kept")
        value = _RULES[rule.name](source[tag], rule.terms, work)
        if value is None:
            return _basic(made, tag, "Z", vr, source, work)
        return _put(made, tag, vr, value, "kept")
    if letter in "KC" and vr == "SQ":
        items = [_dataset(item, work) for item in source[tag].value]
        return _put(made, tag, vr, Sequence(item for item in items if len(item)), "cleaned")
    if letter == "K":
        value = _age(source[tag].value) if keyword == "PatientAge" else source[tag].value
        return _put(made, tag, vr, value, "kept")
    if letter == "C":
        value = _clean(source, tag, keyword, vr, work)
        if value:
            return _put(made, tag, vr, value, "cleaned")
        letter = profile.basic(tag)
    return _basic(made, tag, letter, vr, source, work)


def _basic(made: Dataset, tag: int, letter: str, vr: str, source: Dataset, work: _Work) -> str:
    """The actions that keep nothing: D, Z, X, and U, which keeps what belongs together together."""
    if letter == "U" or (letter == "D" and vr == "UI"):
        uids = [work.pseudonyms.uid(str(uid)) for uid in _several(source[tag].value) if str(uid)]
        return _put(made, tag, vr, uids, "replaced")
    if letter == "D" and vr in _DUMMIES:
        return _put(made, tag, vr, _DUMMIES[vr], "replaced")
    if letter == "Z" and vr != "UN":
        return _put(made, tag, vr, Sequence() if vr == "SQ" else None, "emptied")
    return "removed"


_DUMMIES: dict[str, Any] = {
    **dict.fromkeys(("AE", "CS", "LO", "LT", "PN", "SH", "ST", "UC", "UT"), "REMOVED"),
    **{"AS": "000Y", "DA": "19000101", "DT": "19000101", "TM": "000000", "IS": 0, "DS": 0},
    **dict.fromkeys(("FD", "FL", "SL", "SS", "UL", "US"), 0),
}


def _put(made: Dataset, tag: int, vr: str, value: object, fate: str) -> str:
    """Adds the attribute; where its value does not fit the standard it is left out."""
    try:
        made.add_new(tag, vr, value)
    except (ValueError, TypeError, OverflowError):
        return "removed"
    return fate


def _representation(element: DataElement, tag: int) -> str:
    """The VR to write: the dictionary's, whatever the file says; of two, the file's where it is one of them."""
    known = dictionary_VR(tag).split(" or ") if keyword_for_tag(tag) else [str(element.VR)]
    return str(element.VR) if str(element.VR) in known else known[0]


def _clean(source: Dataset, tag: int, keyword: str, vr: str, work: _Work) -> str | None:
    """Action C: a date is moved, of a text the words that are known stay; ``None`` where nothing can."""
    if vr in _WORDS and work.options.clean_descriptors:
        return described(" ".join(map(str, _several(source[tag].value))))[:64] or None
    if vr not in _DATES or not work.options.retain_longitudinal_modified:
        return None
    value = str(source[tag].value or "")
    if vr == "DT":
        found = shifted(value[:8], re.split(r"[.+-]", value[8:])[0], work.shift)
        return "".join(found) if found else None
    other = keyword.replace("Date", "Time") if vr == "DA" else keyword.replace("Time", "Date")
    beside = str(source.get(other, "") or "") if other != keyword and tag_for_keyword(other) else ""
    date, time = (value, beside) if vr == "DA" else (beside, value)
    found = shifted(date, time, work.shift)
    if found is None and vr == "DA":  # a time that makes no sense does not spoil the date
        found = shifted(date, "", work.shift)
    return None if found is None else found[0 if vr == "DA" else 1] or None


def described(text: str) -> str:
    """The words of ``text`` that are known words of radiography, and counts up to 9, in their order, upper case."""
    found = re.findall(r"[^\W\d_]+|\d+", text.upper())
    return " ".join(word for word in found if word in profile.words() or re.fullmatch("[1-9]", word))


def _age(value: object) -> object:
    """An Age String (PS3.5 6.2), years above 89 as 90; what is none comes back empty."""
    found = re.fullmatch(r"(\d{3})([DWMY])", str(value or "").strip())
    if found is None:
        return None
    return "090Y" if found[2] == "Y" and int(found[1]) > _OLDEST else found[0]


def _several(value: object) -> list[Any]:
    if value is None or value == "":
        return []
    return list(value) if hasattr(value, "__iter__") and not isinstance(value, str | bytes) else [value]


# The rules of kept.csv: each returns the value to write, or None.


def _terms(element: DataElement, terms: frozenset[str], work: _Work) -> list[str] | None:
    """The values up to the first that is no term of the list."""
    found: list[str] = []
    for value in _several(element.value):
        shown = str(value).strip().upper()
        if shown not in terms:
            break
        found.append(shown)
    return found or None


def _numbers(element: DataElement, digits: int | None) -> list[Any] | None:
    vr = _representation(element, int(element.tag))
    found: list[Any] = []
    for value in _several(element.value):
        try:
            number = float(value)
        except (TypeError, ValueError):
            return None
        if not math.isfinite(number):
            return None
        if vr in _WHOLE:
            found.append(round(number))
        else:
            number = float(f"{number:.{digits}g}") if digits else number
            found.append(format_number_as_ds(number) if vr == "DS" else number)
    return found or None


def _number(element: DataElement, terms: frozenset[str], work: _Work) -> list[Any] | None:
    """Finite numbers of up to 6 figures: more would be a number of something else."""
    found = _numbers(element, 6)
    return None if found is None or any(abs(float(one)) >= 1e7 for one in found) else found


def _exact(element: DataElement, terms: frozenset[str], work: _Work) -> list[Any] | None:
    """Finite numbers that the pixels depend on, as they are."""
    return _numbers(element, None)


def _small(element: DataElement, terms: frozenset[str], work: _Work) -> list[Any] | None:
    """A count below 10,000: a larger one may be an order's."""
    found = _numbers(element, None)
    return found if found and len(found) == 1 and 0 <= found[0] < 10_000 else None


def _orientation(element: DataElement, terms: frozenset[str], work: _Work) -> list[str] | None:
    """Patient Orientation, PS3.3 C.7.6.1.1.1."""
    return list(sides(element.value)) or None


def _uid(element: DataElement, terms: frozenset[str], work: _Work) -> str | None:
    """A UID of the standard."""
    return str(element.value) if is_standard(str(element.value)) else None


def _items(element: DataElement, terms: frozenset[str], work: _Work) -> Sequence | None:
    found = [_dataset(item, work) for item in element.value]
    for item, made in zip(element.value, found, strict=True):
        if "LUTData" in item and "LUTDescriptor" in made:
            made.add_new("LUTData", "OW", _table(item))
    return Sequence(item for item in found if len(item)) or None


def _codes(element: DataElement, terms: frozenset[str], work: _Work) -> Sequence | None:
    """Concepts of SNOMED and DICOM that are known here, with the meaning known here; modifiers likewise."""
    found: list[Dataset] = []
    for item in element.value:
        value = str(item.get("CodeValue", "") or "").strip()
        scheme = str(item.get("CodingSchemeDesignator", "") or "").strip()
        concept = _concept(value, scheme)
        if concept is None:
            continue
        made = _coded(*concept)
        for keyword in ("ViewModifierCodeSequence", "AnatomicRegionModifierSequence"):
            if keyword in item:
                modifiers = _codes(item[keyword], terms, work)
                made.add_new(keyword, "SQ", modifiers or Sequence())
        found.append(made)
    return Sequence(found) or None


def _concept(value: str, scheme: str) -> tuple[str, str, str] | None:
    """(value, meaning, scheme) of a code of a radiograph's view or region; ``None``: not known.

    Codes of SNOMED's older forms (SRT, SNM3, 99SDM) become those of SCT.
    """
    asked = Code(value, "SRT" if scheme in ("SNM3", "99SDM") else scheme, "")
    known = next((one for one in _known_codes() if one == asked), None)
    return None if known is None else (known.value, known.meaning, known.scheme_designator)


@cache
def _known_codes() -> tuple[Code, ...]:
    """PS3.16: DX Anatomy Imaged, DX View and its modifiers, anatomic modifiers, laterality."""
    contexts = (codes.cid4009, codes.cid4010, codes.cid4011, codes.cid2, codes.cid244)
    return tuple(getattr(context, name) for context in contexts for name in context.dir())


def _coded(value: str, meaning: str, scheme: str) -> Dataset:
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = value, scheme, meaning[:64]
    return item


def _descriptor(element: DataElement, terms: frozenset[str], work: _Work) -> list[int] | None:
    found = [int(one) for one in _several(element.value)]
    return found if len(found) == 3 else None


def _table(item: Dataset) -> bytes:
    """LUT Data as little-endian words, of which there are as many as the descriptor says, and not a byte more."""
    entries = int(item.LUTDescriptor[0]) & 0xFFFF or 1 << 16
    return lut_data(item, entries).astype("<u2").tobytes()


_RULES: dict[str, Callable[[DataElement, frozenset[str], _Work], Any]] = {
    "terms": _terms,
    "number": _number,
    "exact": _exact,
    "small": _small,
    "orientation": _orientation,
    "uid": _uid,
    "items": _items,
    "codes": _codes,
    "descriptor": _descriptor,
}


def _safe_blocks(source: Dataset, safe: Iterable[PrivateAttribute]) -> dict[int, DataElement]:
    """The private attributes of ``source`` that the list names, no sequences, and their blocks' creators, by tag."""
    found: dict[int, DataElement] = {}
    for one in safe:
        for low in range(0x10, 0x100):
            creator = source.get((one.group, low))
            if creator is None or str(creator.value).strip() != one.creator:
                continue
            element = source.get((one.group, low << 8 | one.element))
            if element is not None and element.VR != "SQ":
                found |= {int(element.tag): element, int(creator.tag): creator}
    return found
