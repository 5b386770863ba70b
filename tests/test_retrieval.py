"""Retrieval: weights are those of ridge regression, and a draft says what evidence and head agree on."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.linear_model import Ridge
from sklearn.preprocessing import StandardScaler

from hilum.retrieval import MARGIN, RetrievalConfig, Section, Worth, evidence, statements
from hilum.study import Side, State

NORMAL = "the heart is normal . the lungs are clear . no pleural effusion ."
LEFT = "the heart is normal . there is a left pleural effusion ."
RIGHT = "the heart is normal . there is a right pleural effusion ."
LARGE = "the heart is enlarged . the lungs are clear . no pleural effusion ."
TEXTS = [NORMAL] * 6 + [LEFT] * 4 + [RIGHT] * 4 + [LARGE] * 4
LOGITS_NF = np.array([[-3.0, -3.0]] * 6 + [[3.0, -3.0]] * 8 + [[-3.0, 3.0]] * 4)
NAMES = ("Pleural Effusion", "Cardiomegaly")
WORDS = {word for text in TEXTS for word in text.split()}
KNOWN = {*NAMES, "Pleural Effusion/left", "Pleural Effusion/right"}


def verdict(decided: set[str], **probabilities: float) -> Worth:
    given = dict.fromkeys(NAMES, 0.05) | {name.replace("_", " "): value for name, value in probabilities.items()}
    return Worth(given, dict.fromkeys(NAMES, (0.2, 0.5)), decided, KNOWN)


def test_weights_predict_what_ridge_regression_predicts() -> None:
    rng = np.random.default_rng(0)
    known_NF, asked_BF, values_NV = rng.normal(2, 3, (40, 5)), rng.normal(2, 3, (7, 5)), rng.normal(size=(40, 3))
    weights_BN = evidence(known_NF, asked_BF, 10.0)
    scaler = StandardScaler().fit(known_NF)
    ridge = Ridge(alpha=10.0).fit(scaler.transform(known_NF), values_NV)
    np.testing.assert_allclose(weights_BN @ values_NV, ridge.predict(scaler.transform(asked_BF)), atol=1e-9)
    np.testing.assert_allclose(weights_BN.sum(1), 1.0)
    np.testing.assert_allclose(evidence(known_NF, asked_BF, 1e12), 1 / 40, atol=1e-8)  # nothing is believed


def test_a_feature_that_never_varies_says_nothing() -> None:
    known_NF = np.array([[1.0, 5.0], [2.0, 5.0]])
    np.testing.assert_allclose(
        evidence(known_NF, np.array([[1.0, 5.0]]), 1.0), evidence(known_NF[:, :1], np.array([[1.0]]), 1.0)
    )
    with pytest.raises(ValueError, match="ridge"):
        evidence(known_NF, np.array([[1.0]]), 1.0)


@pytest.mark.parametrize("sentences", [0, 8])
def test_a_draft_follows_evidence_and_head(sentences: int) -> None:
    section = Section(TEXTS, WORDS)
    config = RetrievalConfig(ridge=1.0, sentences=sentences)
    asked_BF = np.array([[-3.0, -3.0], [3.0, -3.0], [-3.0, 3.0]])
    normal_N, effusion_N, large_N = evidence(LOGITS_NF, asked_BF, config.ridge)
    assert section.draft(normal_N, verdict(set()), config) == NORMAL
    sure = verdict({"Pleural Effusion", "Pleural Effusion/left"}, Pleural_Effusion=0.9)
    assert section.draft(effusion_N, sure, config) == LEFT
    other = verdict({"Pleural Effusion", "Pleural Effusion/right"}, Pleural_Effusion=0.9)
    assert section.draft(effusion_N, other, config) == RIGHT
    assert section.draft(large_N, verdict({"Cardiomegaly"}, Cardiomegaly=0.9), config) == LARGE


def test_what_no_report_says_together_is_composed() -> None:
    """Effusion and a large heart, each known from reports of its own."""
    section = Section(TEXTS, WORDS)
    weights_N = evidence(LOGITS_NF, np.array([[3.0, 3.0]]), 1.0)[0]
    both = verdict(
        {"Pleural Effusion", "Pleural Effusion/left", "Cardiomegaly"}, Pleural_Effusion=0.95, Cardiomegaly=0.95
    )
    draft = section.draft(weights_N, both, RetrievalConfig(ridge=1.0, agreement=1.0, sentences=8))
    said = statements(draft)
    assert draft not in TEXTS
    assert said["Pleural Effusion"] == (State.PRESENT, frozenset({Side.LEFT}))
    assert said["Cardiomegaly"][0] is State.PRESENT


def test_a_decoders_draft_is_taken_where_it_is_better() -> None:
    section = Section(TEXTS, {"the", "heart", "is", "normal", "."})  # no training report may be drafted
    weights_N = evidence(LOGITS_NF, np.array([[-3.0, -3.0]]), 1.0)[0]
    config = RetrievalConfig(sentences=0)
    assert section.draft(weights_N, verdict(set()), config, ["nothing alike .", NORMAL]) == NORMAL
    assert section.draft(weights_N, verdict(set()), config) == ""


def test_reports_without_the_section_are_no_evidence() -> None:
    padded = Section([*TEXTS, "", ""], WORDS)
    weights_N = np.full(len(TEXTS) + 2, 1 / (len(TEXTS) + 2))
    plain_N = np.full(len(TEXTS), 1 / len(TEXTS))
    config = RetrievalConfig()
    assert padded.draft(weights_N, verdict(set()), config) == Section(TEXTS, WORDS).draft(
        plain_N, verdict(set()), config
    )
    with pytest.raises(ValueError, match="no training report"):
        Section(["", ""], WORDS)


def test_what_statements_are_worth() -> None:
    one = verdict({"Pleural Effusion", "Pleural Effusion/left"}, Pleural_Effusion=0.9, Cardiomegaly=0.1)
    beyond = np.log(9.0)  # 0.9 against an operating point of 0.5
    assert one.of("there is a pleural effusion .") == pytest.approx(beyond)
    assert one.of("there is a left pleural effusion .") == pytest.approx(beyond + 1)
    assert one.of("there is a right pleural effusion .") == pytest.approx(beyond - MARGIN)
    assert one.of("no pleural effusion .") == pytest.approx(-beyond)
    assert one.of("the heart is enlarged .") == pytest.approx(-beyond)
    assert one.of("the heart is not enlarged .") == 0
    assert one.of("there is a hiatal hernia .") == 0  # the head cannot call it


def test_statements_are_those_of_the_whole_text() -> None:
    text = "no pleural effusion on the left . there is a small right pleural effusion . the heart is normal ."
    assert statements(text)["Pleural Effusion"] == (State.PRESENT, frozenset({Side.RIGHT}))
    assert statements(f"{LEFT} {RIGHT}")["Pleural Effusion"] == (
        State.PRESENT, frozenset({Side.LEFT, Side.RIGHT})
    )  # fmt: skip
