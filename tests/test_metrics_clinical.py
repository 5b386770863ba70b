"""Clinical metrics: equal to scikit-learn's; sides, contradictions and priors on small cases."""

from __future__ import annotations

import csv
import re
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import precision_recall_fscore_support

from hilum.metrics import clinical
from hilum.study import Finding, Side, State, Study
from hilum.text.findings import COMPETITION_5, OBSERVATIONS, Reading, label

reports = st.dictionaries(st.sampled_from(OBSERVATIONS), st.sampled_from(State), max_size=8)
pairs = st.lists(st.tuples(reports, reports), min_size=1, max_size=12)
TO_SKLEARN = {"micro": "micro", "macro": "macro", "example": "samples"}


@pytest.mark.parametrize("policy", clinical.POLICIES)
@given(pairs=pairs)
@settings(deadline=None, max_examples=60)
def test_equal_to_scikit_learn(
    policy: clinical.Policy, pairs: list[tuple[dict[str, State], dict[str, State]]]
) -> None:
    wanted, made = [w for w, _ in pairs], [m for _, m in pairs]
    found = clinical.agreement(wanted, made, policy).total()
    yes = {State.PRESENT} if policy == "positive" else {State.PRESENT, State.UNCERTAIN}
    suffix = "" if policy == "positive" else "_uncertain_positive"
    for size, names in (("14", OBSERVATIONS), ("5", COMPETITION_5)):
        tables = [
            np.array([[int(report.get(name) in yes) for name in names] for report in side])
            for side in (wanted, made)
        ]
        for average, theirs in TO_SKLEARN.items():
            expected = precision_recall_fscore_support(*tables, average=theirs, zero_division=0)[:3]
            for kind, value in zip(("precision", "recall", "f1"), expected, strict=True):
                assert found[f"findings_{kind}_{average}_{size}{suffix}"] == pytest.approx(value, abs=1e-12)
        if size == "14" and policy == "positive":
            expected = precision_recall_fscore_support(*tables, average=None, zero_division=0)[2]
            assert [found[f"findings_f1/{name}"] for name in names] == pytest.approx(list(expected))


def test_not_mentioned_is_not_absent_nor_present() -> None:
    table = clinical.positives([{}, {"Edema": State.ABSENT}, {"Edema": State.UNCERTAIN}], ["Edema"])
    assert table.tolist() == [[False], [False], [False]]
    assert clinical.positives([{"Edema": State.UNCERTAIN}], ["Edema"], "uncertain_positive").tolist() == [
        [True]
    ]


def finding(state: State = State.PRESENT, side: Side | None = None, site: str | None = None) -> Finding:
    return Finding("Pleural Effusion", state, side=side, site=site)


def test_sides_are_compared_only_where_both_texts_name_one() -> None:
    wanted = [{"Pleural Effusion": finding(side=side)} for side in (Side.LEFT, Side.RIGHT, Side.LEFT, None)]
    made = [{"Pleural Effusion": finding(side=side)} for side in (Side.LEFT, Side.LEFT, None, Side.LEFT)]
    found = clinical.places(wanted, made).total()
    assert found["findings_side_accuracy"] == 0.5
    assert np.isnan(found["findings_site_accuracy"])
    several = [{"Pleural Effusion": finding(site="base, lower lobe")}]
    assert clinical.places(several, [{"Pleural Effusion": finding(site="base")}]).total() == pytest.approx(
        {"findings_side_accuracy": np.nan, "findings_site_accuracy": 1.0}, nan_ok=True
    )
    assert (
        clinical.places(several, [{"Pleural Effusion": finding(site="apex")}]).total()[
            "findings_site_accuracy"
        ]
        == 0
    )
    absent = [{"Pleural Effusion": finding(State.ABSENT, Side.LEFT)}]
    assert np.isnan(clinical.places(wanted[:1], absent).total()["findings_side_accuracy"])


@pytest.mark.parametrize(
    ("first", "second", "contradict"),
    [
        (finding(), finding(State.ABSENT), True),
        (finding(), finding(State.UNCERTAIN), False),
        (finding(), finding(), False),
        (finding(side=Side.LEFT), finding(State.ABSENT, Side.RIGHT), False),
        (finding(side=Side.LEFT), finding(State.ABSENT, Side.LEFT), True),
        (finding(side=Side.LEFT), finding(State.ABSENT), True),
        (finding(side=Side.LEFT), finding(State.ABSENT, Side.BILATERAL), True),
    ],
)
def test_contradictions(first: Finding, second: Finding, contradict: bool) -> None:
    for order in (["one .", "two ."], ["two .", "one ."]):
        said = {"one .": {first.name: first}, "two .": {second.name: second}}
        assert bool(clinical.contradictions(" ".join(order), lambda s, said=said: said[s])) is contradict


@cache
def plainly(text: str) -> dict[str, Finding]:
    return label(text, further=True, reading=Reading.PLAIN)


FAULTS = list(csv.reader((Path(__file__).parent / "cases" / "faults.csv").read_text().splitlines()))[1:]


@pytest.mark.parametrize(("text", "contradicted", "prior"), FAULTS, ids=[row[0] for row in FAULTS])
def test_the_table_of_faults(text: str, contradicted: str, prior: str) -> None:
    assert ";".join(sorted(clinical.contradictions(text, plainly))) == contradicted
    assert clinical.mentions_prior(text) is (prior == "yes")
    assert clinical.mentions_prior(text.upper()) is (prior == "yes")


def test_radiologists_hardly_contradict_themselves_and_rarely_invent_a_prior(
    openi_studies: list[Study],
) -> None:
    reports = [study for study in openi_studies if study.report and study.report.findings]
    contradicted = [s.id for s in reports[::5] if clinical.contradictions(s.report.findings, plainly)]
    assert len(reports) == 3425 and len(contradicted) <= 1
    alone = re.compile(r"\W*(none|no|n/a|not available)\W*", re.IGNORECASE)
    share = {
        without: np.mean([clinical.mentions_prior(s.report.findings) for s in group])
        for without in (True, False)
        if (
            group := [
                s for s in reports if s.comparison and (alone.fullmatch(s.comparison) is not None) is without
            ]
        )
    }
    assert share[True] < 0.02 and share[False] > 0.35


def test_faults_are_shares_of_reports() -> None:
    found = clinical.faults([True, False, False, False], [True, True, False, False]).total()
    assert found == {"contradictions": 0.25, "hallucinated_priors": 0.5}
