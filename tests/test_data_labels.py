"""Labels that come with a collection: what they say of Hilum's observations, and what they leave open."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hilum.data.imports.chestxray14 import LABELS
from hilum.data.labels import MEANS, readings
from hilum.data.targets import HEAD_FINDINGS, targets
from hilum.study import Label, Report, State, Study
from hilum.text.findings import FURTHER, OBSERVATIONS

P, A, U = State.PRESENT, State.ABSENT, State.UNCERTAIN


@pytest.mark.parametrize(
    ("labels", "wanted"),
    [
        ([("Cardiomegaly", P, "a")], {"Cardiomegaly": P}),
        ([("Cardiomegaly", A, "a"), ("Cardiomegaly", A, "b")], {"Cardiomegaly": A}),
        (
            [("Cardiomegaly", P, "a"), ("Cardiomegaly", A, "b")],
            {},
        ),  # two labellers that contradict one another
        ([("Effusion", P, "a")], {"Pleural Effusion": P}),
        ([("Infiltration", P, "a")], {"Lung Opacity": P}),
        ([("Infiltration", A, "a")], {}),  # another opacity may be there
        ([("Pleural_Thickening", A, "a")], {}),
        ([("Mass", P, "a"), ("Nodule", A, "a")], {"Lung Lesion": P}),
        ([("Mass", U, "a"), ("Nodule", A, "a")], {"Lung Lesion": U}),
        ([("Mass", A, "a")], {}),  # a nodule may be there
        ([("Mass", A, "a"), ("Nodule", A, "a")], {"Lung Lesion": A}),
        ([("Mass", A, "a"), ("Nodule", A, "b")], {}),
        ([("Lung Lesion", A, "chexpert")], {"Lung Lesion": A}),
        ([("No Finding", P, "a")], {"No Finding": P}),
        ([("No Finding", A, "a")], {}),
        ([("Pneumonia/Viral/COVID-19", P, "a"), ("Tuberculosis", P, "a")], {"Pneumonia": P}),
        ([], {}),
    ],
)
def test_readings(labels: list[tuple[str, State, str]], wanted: dict[str, State]) -> None:
    assert readings([Label(*label) for label in labels]) == wanted


def test_every_word_of_the_collections_is_known() -> None:
    assert set(LABELS) <= set(MEANS) and set(MEANS.values()) <= {*OBSERVATIONS, *FURTHER}


some = st.builds(Label, st.sampled_from(sorted(MEANS)), st.sampled_from(list(State)), st.sampled_from("ab"))


@given(st.lists(some, max_size=12))
def test_readings_do_not_depend_on_order_and_invent_nothing(labels: list[Label]) -> None:
    found = readings(labels)
    mixed = sorted(labels, key=lambda label: (label.by, label.state, label.name))
    assert readings(mixed) == found
    for name, state in found.items():
        assert state in {label.state for label in labels if MEANS[label.name] == name}


def test_labels_say_what_codes_and_text_leave_open() -> None:
    def one(name: str, study: Study) -> float:
        return float(targets(study)[HEAD_FINDINGS.index(name)])

    absent = (Label("Cardiomegaly", A, "chexpert"),)
    assert math.isnan(one("Cardiomegaly", Study("s")))
    assert one("Cardiomegaly", Study("s", labels=absent)) == 0.0
    assert math.isnan(one("Edema", Study("s", labels=absent)))
    assert one("Cardiomegaly", Study("s", labels=absent, report=Report("The heart is enlarged."))) == 1.0
    assert math.isnan(one("Cardiomegaly", Study("s", labels=absent, report=Report("Possible cardiomegaly."))))
    assert one("Cardiomegaly", Study("s", mesh=("Cardiomegaly",), labels=absent)) == 1.0
    assert math.isnan(one("Edema", Study("s", labels=(Label("Edema", U, "chexpert"),))))
    assert one("No Finding", Study("s", labels=(Label("Edema", P, "chexpert"),))) == 0.0
    assert math.isnan(one("No Finding", Study("s", labels=(Label("Support Devices", P, "chexpert"),))))
    assert one("No Finding", Study("s", labels=(Label("No Finding", P, "chexpert"),))) == 1.0
