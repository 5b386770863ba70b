"""What becomes of each attribute: DICOM PS3.15 Table E.1-1 under the options chosen, and what stays besides it.

``profile.csv`` is Table E.1-1, the Basic Application Confidentiality Profile and its options: the actions of the
profile as of edition 2026c, the options as published in September 2024. The 33 rows that came in between have no
option here: the profile's own action stands. ``kept.csv`` is ours: the attributes outside that table that a film
needs, each with a rule that its value must keep. What neither names is removed, as is every attribute of an overlay
or a curve, and every private one that no safe list names.
"""

from __future__ import annotations

import csv
from dataclasses import dataclass
from functools import cache
from importlib import resources
from pathlib import Path

from pydicom.datadict import tag_for_keyword

from hilum.errors import InputError

EDITION = "PS3.15 Table E.1-1, profile 2026c, options 2024"

PROFILE_CODE = ("113100", "Basic Application Confidentiality Profile")

# "X unless Z is required" (Type 2): all that this comes to in the objects that are accepted is this one, in DX.
_TYPE_2 = frozenset({"AcquisitionContextSequence"})


@dataclass(frozen=True, slots=True)
class PrivateAttribute:
    """A private attribute that a safe list names: whose block it is in, and its place there."""

    creator: str
    group: int
    element: int
    """The low byte of the element number: the high byte is the block's, which is not fixed."""


@dataclass(frozen=True, slots=True)
class Options:
    """The options of PS3.15 E.3 that are applied. All off is the basic profile."""

    retain_longitudinal_modified: bool = False
    retain_device: bool = False
    retain_patient_characteristics: bool = False
    retain_uids: bool = False
    clean_descriptors: bool = False
    clean_pixel_data: bool = False
    safe_private: frozenset[PrivateAttribute] = frozenset()

    def codes(self) -> tuple[tuple[str, str], ...]:
        """(code value, meaning) of the profile and each option, DCM, PS3.16 CID 7050, in the order of the codes."""
        named = (
            (self.clean_pixel_data, "113101", "Clean Pixel Data Option"),
            (self.clean_descriptors, "113105", "Clean Descriptors Option"),
            (
                self.retain_longitudinal_modified,
                "113107",
                "Retain Longitudinal Temporal Information Modified Dates Option",
            ),
            (self.retain_patient_characteristics, "113108", "Retain Patient Characteristics Option"),
            (self.retain_device, "113109", "Retain Device Identity Option"),
            (self.retain_uids, "113110", "Retain UIDs Option"),
            (bool(self.safe_private), "113111", "Retain Safe Private Option"),
        )
        return (PROFILE_CODE, *((code, meaning) for on, code, meaning in named if on))

    def columns(self) -> tuple[str, ...]:
        """The columns of ``profile.csv`` that are in force besides ``basic``."""
        named = {
            "uids": self.retain_uids,
            "device": self.retain_device,
            "patient": self.retain_patient_characteristics,
            "modified_dates": self.retain_longitudinal_modified,
            "descriptors": self.clean_descriptors,
        }
        return tuple(column for column, on in named.items() if on)


@dataclass(frozen=True, slots=True)
class Rule:
    """What the value of an attribute outside Table E.1-1 must be to stay; ``terms`` for rule ``terms``."""

    name: str
    terms: frozenset[str] = frozenset()


def read_safe_list(path: Path) -> frozenset[PrivateAttribute]:
    """A CSV of private attributes that may stay: creator, group and the low byte of the element, in hexadecimal.

    Whoever writes the list has to know that they identify nobody. Raises InputError that names the first broken line.
    """
    found: set[PrivateAttribute] = set()
    try:
        rows = list(csv.reader(read_lines(path)))
    except csv.Error as error:
        raise InputError(f"cannot be read as a table ({error})", where=path, fix="mend it") from None
    for number, row in enumerate(rows, start=1):
        if not row or row[0].strip().lower() == "creator":
            continue
        try:
            creator, group, element = (one.strip() for one in row)
            one = PrivateAttribute(creator, int(group, 16), int(element, 16))
        except ValueError:
            one = PrivateAttribute("", 0, 0)
        if not (one.creator and one.group % 2 == 1 and one.group < 0x10000 and 0 <= one.element < 0x100):
            raise InputError(
                f"line {number} is not: creator, odd group, element, in hexadecimal (FUJI, 0009, 1F)",
                where=path, fix="mend it",
            )  # fmt: skip
        found.add(one)
    return frozenset(found)


def read_lines(path: Path) -> list[str]:
    """The lines of a text that a person has written. Raises InputError where it cannot be read or is not UTF-8."""
    try:
        return path.read_text("utf-8-sig").splitlines()
    except OSError as error:
        raise InputError(f"cannot be read ({error.strerror})", where=path, fix="check the name") from None
    except UnicodeDecodeError as error:
        raise InputError(f"not UTF-8 text (byte {error.start})", where=path, fix="save it as UTF-8") from None


def action(tag: int, options: Options) -> str | None:
    """``D``, ``Z``, ``X``, ``K``, ``C`` or ``U`` of PS3.15 Table E.1-1a for ``tag``; ``None``: not in Table E.1-1.

    Of two options that disagree, K goes before C: one of them asks for the value as it is. A choice such as X/Z/D is
    settled for the objects that are accepted here.
    """
    row = _table().get(tag)
    if row is None:
        return "X" if (tag >> 24) in (0x50, 0x60) else None
    asked = {row[column] for column in options.columns()} - {""}
    for letter in ("K", "C"):
        if letter in asked:
            return letter
    return basic(tag)


def basic(tag: int) -> str:
    """The action of the profile without options; ``X`` for what Table E.1-1 does not name."""
    row = _table().get(tag)
    if row is None or row["basic"].startswith("X"):
        return "Z" if row is not None and row["keyword"] in _TYPE_2 else "X"
    return row["basic"][0]


def rule(tag: int) -> Rule | None:
    """The rule for an attribute outside Table E.1-1; ``None``: it is removed."""
    return _kept().get(tag)


@cache
def _table() -> dict[int, dict[str, str]]:
    rows = csv.DictReader(_read("profile.csv"))
    return {int(row["tag"], 16): row for row in rows if "X" not in row["tag"]}


@cache
def _kept() -> dict[int, Rule]:
    found: dict[int, Rule] = {}
    for row in csv.DictReader(_read("kept.csv")):
        tag = tag_for_keyword(row["keyword"])
        assert tag is not None, row["keyword"]
        found[tag] = Rule(row["rule"], frozenset(filter(None, row["terms"].split("|"))))
    return found


@cache
def words() -> frozenset[str]:
    """The words that a cleaned descriptor may hold, upper case."""
    return frozenset(word for line in _read("words.txt") for word in line.split())


def _read(name: str) -> list[str]:
    return resources.files("hilum.deidentification").joinpath(name).read_text("utf-8").splitlines()
