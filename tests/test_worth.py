"""What statements are worth to a study's head."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hilum.metrics import floors
from hilum.study import Side
from hilum.worth import MARGIN, UNKNOWN, Trait, Worth, traits
from tests.heads import THRESHOLDS, head, worth

SENTENCES = (
    "the lungs are clear .", "there is a left pleural effusion .", "no pleural effusion .", "cardiomegaly .",
    "the heart size and pulmonary vascularity appear within normal limits .", "no large pleural effusion .",
)  # fmt: skip


def test_what_statements_are_worth() -> None:
    one = worth({"Pleural Effusion", "Pleural Effusion/left"}, Pleural_Effusion=0.9, Cardiomegaly=0.1)
    beyond = np.log(9.0)  # 0.9 against an operating point of 0.5
    assert one.of(floors.sentences("there is a pleural effusion .")) == pytest.approx(beyond)
    assert one.of(floors.sentences("there is a left pleural effusion .")) == pytest.approx(beyond + 1)
    assert one.of(floors.sentences("there is a right pleural effusion .")) == pytest.approx(beyond - MARGIN)
    assert one.of(floors.sentences("no pleural effusion .")) == pytest.approx(-beyond)
    assert one.of(floors.sentences("the heart is enlarged .")) == pytest.approx(-beyond)
    assert one.of(floors.sentences("the heart is not enlarged .")) == 0
    assert one.of(floors.sentences("there is a hiatal hernia .")) == UNKNOWN  # the head cannot call it
    assert one.of(floors.sentences("there is no hiatal hernia .")) == 0


def test_what_contradicts_itself_costs() -> None:
    one = worth(set(), Pleural_Effusion=0.5)
    assert one.of(floors.sentences("there is a pleural effusion . no pleural effusion .")) == pytest.approx(
        -MARGIN
    )
    assert one.of(
        floors.sentences("there is a pleural effusion . no large pleural effusion .")
    ) == pytest.approx(0)


def test_saying_it_twice_costs_and_calling_nothing_is_worth_no_finding() -> None:
    one = worth(set(), Cardiomegaly=0.5)
    assert one.of(floors.sentences("the heart is enlarged .")) == pytest.approx(0)
    assert one.of(floors.sentences("the heart is enlarged . there is cardiomegaly .")) == pytest.approx(-1)
    normal = Worth(head(set()), THRESHOLDS, normal=1.5)
    assert normal.of(floors.sentences("the lungs are clear .")) == pytest.approx(1.5)
    assert normal.of(floors.sentences("the heart is enlarged .")) == pytest.approx(np.log(0.05 / 0.95))
    assert Worth(head(set()), THRESHOLDS, normal=9.0).of(floors.sentences("the lungs are clear .")) == MARGIN


def test_what_the_two_readings_disagree_on_can_only_cost() -> None:
    """CheXpert's reading calls the heart enlarged in a sentence that says it is not: it must neither be a way to say
    so, nor be said of a heart that is not."""
    doubtful = "the heart size and pulmonary vascularity appear within normal limits ."
    assert Trait("doubtful", "Cardiomegaly") in traits([doubtful])
    assert worth(set(), Cardiomegaly=0.1).of([doubtful]) == pytest.approx(-np.log(9.0))
    assert worth({"Cardiomegaly"}, Cardiomegaly=0.9).of([doubtful]) <= 0


def test_a_text_states_what_its_sentences_state() -> None:
    assert traits(["there is a left pleural effusion ."]) == (
        Trait("present", "Pleural Effusion"),
        Trait("side", "Pleural Effusion", Side.LEFT),
    )
    assert traits(["the lungs are clear ."])[-1] == Trait("normal")


@given(st.lists(st.sampled_from(SENTENCES), min_size=1, max_size=5), st.floats(0.01, 0.99))
@settings(deadline=None, max_examples=60)
def test_traits_are_all_that_worth_looks_at(sentences: list[str], probability: float) -> None:
    one = worth({"Cardiomegaly"}, Cardiomegaly=probability)
    assert one.of(sentences) == pytest.approx(sum(one.value(trait) for trait in traits(sentences)))
    assert all(abs(one.value(trait)) <= MARGIN for trait in traits(sentences))
