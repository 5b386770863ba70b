"""Findings as MeSH descriptors and back: a table of sentences, every observation, side, site and severity."""

from __future__ import annotations

import itertools
import tomllib
from importlib import resources

import pytest

from hilum.study import Finding, Side, State, Study
from hilum.text import mesh, mesh_findings
from hilum.text.findings import FURTHER, OBSERVATIONS, Reading, label

RAW = tomllib.loads(resources.files("hilum.text").joinpath("tables/mesh_findings.toml").read_text())
ATTRIBUTES = tomllib.loads(
    resources.files("hilum.text").joinpath("tables/findings_attributes.toml").read_text()
)


@pytest.mark.parametrize(
    ("text", "name", "descriptor"),
    [
        ("Mild cardiomegaly.", "Cardiomegaly", "Cardiomegaly/mild"),
        ("Patchy opacity in the left base.", "Lung Opacity", "Opacity/lung/base/left"),
        ("Small right pleural effusion.", "Pleural Effusion", "Pleural Effusion/right/small"),
        ("Right middle lobe pneumonia.", "Pneumonia", "Pneumonia/middle lobe/right"),
        ("Bibasilar atelectasis.", "Atelectasis", "Pulmonary Atelectasis/base/bilateral"),
        ("Fracture of a left rib.", "Fracture", "Fractures, Bone/ribs/left"),
        ("Trace left pleural effusion.", "Pleural Effusion", "Pleural Effusion/left/mild"),
        ("The lungs are clear.", "No Finding", "normal"),
        ("Opacity in the right mid lung zone.", "Lung Opacity", "Opacity/lung/right"),
        ("Opacity in the left lower lobe base.", "Lung Opacity", "Opacity/lung/lower lobe/base/left"),
    ],
)
def test_what_a_sentence_says_is_coded(text: str, name: str, descriptor: str) -> None:
    found = label(text, further=True, reading=Reading.PLAIN)[name]
    term = mesh_findings.term(found)
    assert term is not None and mesh.describe(term) == descriptor


def test_what_is_not_present_or_not_one_thing_has_no_descriptor() -> None:
    for state in (State.ABSENT, State.UNCERTAIN):
        assert mesh_findings.term(Finding("Edema", state)) is None
    for name in ("Lung Lesion", "Pleural Other", "Support Devices", "Something"):
        assert mesh_findings.term(Finding(name, State.PRESENT)) is None
    assert mesh_findings.findings(mesh.parse("Technical Quality of Image Unsatisfactory")) == ()


def test_names_are_those_of_the_labeller() -> None:
    assert set(RAW["descriptors"]) <= {*OBSERVATIONS, *FURTHER}
    assert set(RAW["sites"]) <= set(ATTRIBUTES["site"])
    assert set(RAW["severities"]) == set(ATTRIBUTES["severity"])


def test_a_coded_finding_is_the_finding_again() -> None:
    places = itertools.product((None, *Side), (None, *RAW["sites"]), (None, *RAW["severities"]))
    for name, (side, site, severity) in itertools.product(RAW["descriptors"], places):
        term = mesh_findings.term(Finding(name, State.PRESENT, side=side, site=site, severity=severity))
        assert term is not None and name in mesh.observations(term)
        again = next(one for one in mesh_findings.findings(term) if one.name == name)
        assert again.site in (site, None) or term.heading == "Spine"
        assert side is None or again.side is side
        assert again.severity == {"minimal": "mild"}.get(severity or "", severity)
    kept = Finding("Lung Opacity", State.PRESENT, side=Side.LEFT, site="base", severity="mild")
    assert mesh_findings.findings(mesh.parse("Opacity/lung/base/left/mild")) == (kept,)
    both = Finding("Scarring", State.PRESENT, site="apex, base")
    assert mesh_findings.findings(mesh.parse("Cicatrix/lung/apex/base")) == (both,)
    two = mesh_findings.findings(mesh.parse("Hydropneumothorax/right"))
    assert [(one.name, one.side) for one in two] == [
        ("Pneumothorax", Side.RIGHT), ("Pleural Effusion", Side.RIGHT)
    ]  # fmt: skip


def test_the_real_codes_are_of_the_same_finding_when_written_anew(openi_studies: list[Study]) -> None:
    seen = 0
    for descriptor in sorted({descriptor for study in openi_studies for descriptor in study.mesh}):
        coded = mesh.parse(descriptor)
        for finding in mesh_findings.findings(coded):
            written = mesh_findings.term(finding)
            if written is not None:
                seen += 1
                assert finding.name in mesh.observations(written)
                assert written.side == coded.side or coded.side is None
    assert seen > 800
