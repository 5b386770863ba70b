"""MeSH descriptors: a table of terms, round trips, the maps and codes, and all real descriptors."""

from __future__ import annotations

import csv
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom.sr.codedict import codes as dicom_codes

from hilum.text import findings, mesh
from hilum.text.mesh import DEGREES, TORCHXRAYVISION, ZONES, describe, observation, observations, parse
from tests import openi_real

KNOWN = {*findings.OBSERVATIONS, *findings.FURTHER}
with (Path(__file__).parent / "cases" / "mesh.csv").open(encoding="utf-8", newline="") as file:
    CASES = list(csv.DictReader(file))


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["descriptor"])
def test_cases(case: dict[str, str]) -> None:
    term = parse(case["descriptor"])
    assert (term.side or "") == case["side"]
    assert (term.zone or "") == case["zone"]
    assert (term.degree or "") == case["degree"]
    assert ";".join(term.sites) == case["sites"]
    assert ";".join(term.distribution) == case["distribution"]
    assert ";".join(observations(term)) == case["observations"]
    assert (observation(term) or "") == case["observations"].split(";")[0]
    assert (mesh.torchxrayvision(term) or "") == case["torchxrayvision"]
    assert describe(term) == case["descriptor"].strip()


words = st.sampled_from([part for case in CASES for part in case["descriptor"].split("/")]) | st.text(
    max_size=8
)


@settings(deadline=None, max_examples=60)
@given(st.lists(words).map("/".join))
def test_any_text(descriptor: str) -> None:
    term = parse(descriptor)
    assert term.descriptor == descriptor
    again = parse(describe(term))
    assert (again.heading, again.qualifiers, again.side, again.zone) == (
        term.heading, term.qualifiers, term.side, term.zone
    )  # fmt: skip
    assert describe(again) == describe(term)
    assert term.zone is None or term.zone in ZONES
    assert term.degree is None or term.degree in DEGREES
    assert set(observations(term)) <= KNOWN


def test_torchxrayvision_names() -> None:
    assert len(TORCHXRAYVISION) == 18
    names = {mesh.torchxrayvision_name(name) for name in KNOWN} - {None}
    assert names <= set(TORCHXRAYVISION)
    assert names | {"Infiltration", "Fibrosis", "Pleural_Thickening", "Nodule", "Mass"} == set(
        TORCHXRAYVISION
    )
    assert mesh.torchxrayvision_name("Support Devices") is None


def test_codes() -> None:
    assert mesh.codes("Pneumothorax")[0].value == "36118008"
    assert mesh.codes("No Finding") == ()
    seen: set[tuple[str, str]] = set()
    for name in KNOWN:
        schemes = [code.scheme for code in mesh.codes(name)]
        assert len(schemes) == len(set(schemes)), name
        for code in mesh.codes(name):
            assert code.scheme in {"SCT", "RADLEX", "MSH", "DCM"} and code.source and code.meaning
            assert (code.scheme, code.value) not in seen
            seen.add((code.scheme, code.value))
    listed = {name for name in mesh._codes()}
    assert listed <= KNOWN


def test_dicom_codes_are_those_of_the_standard() -> None:
    """Codes that name DICOM PS3.16 as their source, against pydicom's copy of its tables."""
    checked = 0
    for name in KNOWN:
        for code in mesh.codes(name):
            if not code.source.startswith("DICOM"):
                continue
            group = getattr(
                dicom_codes, code.source.split()[-2].lower() + code.source.split()[-1].lstrip("0")
            )
            found = {(c.scheme_designator, c.value): c.meaning for c in group.concepts.values()}
            assert found[code.scheme, code.value] == code.meaning
            checked += 1
    assert checked >= 4


def test_all_real_descriptors(openi_archive: Path) -> None:
    studies = openi_real.studies(openi_archive)
    counts = Counter(descriptor for study in studies for descriptor in study.mesh)
    assert len(counts) == 1719
    mapped: Counter[str] = Counter()
    for descriptor, count in counts.items():
        term = parse(descriptor)
        assert describe(term) == "/".join(" ".join(part.split()) for part in descriptor.split("/"))
        mapped.update({name: count for name in observations(term)})
    assert mapped.keys() == KNOWN
    assert mapped["No Finding"] == 1391
    assert mapped["Cardiomegaly"] == 430
    unmapped = sum(count for descriptor, count in counts.items() if not observations(parse(descriptor)))
    assert unmapped / counts.total() < 0.25
