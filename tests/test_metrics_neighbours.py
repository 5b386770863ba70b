"""Retrieval by predicted findings: the likeliest report, whatever order its findings are summed in."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hilum.metrics import neighbours
from hilum.study import State

NAMES = ("Edema", "Fracture", "Pneumonia", "No Finding")
YES, NO, MAYBE = State.PRESENT, State.ABSENT, State.UNCERTAIN
TRAIN = [
    {"Edema": YES},
    {"Edema": NO, "No Finding": YES},
    {"Edema": YES, "Fracture": YES},
    {"Fracture": MAYBE},
]


def test_the_report_with_the_predicted_findings_is_taken() -> None:
    predicted = [
        {"Edema": 0.9, "Fracture": 0.1, "No Finding": 0.1},
        {"Edema": 0.9, "Fracture": 0.8, "No Finding": 0.1},
        {"Edema": 0.1, "Fracture": 0.1, "No Finding": 0.9},
        {"Edema": 0.1, "Fracture": 0.1, "No Finding": 0.1},
    ]
    assert neighbours.likeliest(TRAIN, predicted).tolist() == [0, 2, 1, 3]


def test_an_operating_point_decides_from_where_on_a_finding_is_there() -> None:
    predicted = [{"Edema": 0.3, "Fracture": 0.05, "No Finding": 0.4}]
    assert neighbours.likeliest(TRAIN, predicted).tolist() == [3]
    assert neighbours.likeliest(TRAIN, predicted, {"Edema": 0.2}).tolist() == [0]
    assert neighbours.likeliest(TRAIN, predicted, {"Edema": 0.2, "Fracture": 0.01}).tolist() == [2]


reports = st.dictionaries(st.sampled_from(NAMES), st.sampled_from(State))
guesses = st.dictionaries(st.sampled_from(NAMES), st.floats(0.01, 0.99))


@given(st.lists(reports, min_size=1, max_size=6), st.lists(guesses, min_size=1, max_size=4))
@settings(deadline=None, max_examples=80)
def test_it_is_the_likeliest_under_independent_probabilities(
    train: list[dict[str, State]], predicted: list[dict[str, float]]
) -> None:
    def likelihood(report: dict[str, State], one: dict[str, float]) -> float:
        return float(np.prod([p if report.get(name) is YES else 1 - p for name, p in one.items()]))

    for k, one in zip(neighbours.likeliest(train, predicted), predicted, strict=True):
        assert likelihood(train[k], one) == pytest.approx(max(likelihood(each, one) for each in train))


def test_of_equals_one_is_drawn() -> None:
    train = [{"Edema": YES}] * 40
    drawn = {int(neighbours.likeliest(train, [{"Edema": 0.9}], seed=seed)[0]) for seed in range(10)}
    assert len(drawn) > 3
    assert neighbours.likeliest(train, [{"Edema": 0.9}], seed=1) == neighbours.likeliest(
        train, [{"Edema": 0.9}], seed=1
    )


def test_certain_and_missing_probabilities_are_no_trouble() -> None:
    predicted = [{"Edema": 1.0, "Fracture": 0.0}, {"Edema": 0.0}, {}, {"Fracture": 1.0}]
    assert neighbours.likeliest(TRAIN, predicted).tolist()[0] == 0
    assert neighbours.likeliest(TRAIN, predicted).tolist()[3] == 2
    with pytest.raises(ValueError, match="no training report"):
        neighbours.likeliest([], predicted)


def test_operating_points_are_those_of_the_best_f1() -> None:
    states = [{"Edema": YES}, {"Edema": YES}, {"Edema": NO}, {"Fracture": YES}]
    predicted = [
        {"Edema": 0.3, "Fracture": 0.9},
        {"Edema": 0.2},
        {"Edema": 0.1, "Fracture": 0.5},
        {"Edema": 0.15},
    ]
    found = neighbours.operating_points(states, predicted)
    assert set(found) == {"Edema"}, "nobody with a probability of it has a fracture"
    assert 0.15 < found["Edema"] < 0.2 and found["Edema"] == pytest.approx(0.2, rel=1e-5)
    assert neighbours.likeliest([{}, {"Edema": YES}], [{"Edema": 0.2}], found).tolist() == [1]
