"""Retrieval: weights are those of ridge regression, and a draft says what evidence and head agree on."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from sklearn.linear_model import Ridge
from sklearn.preprocessing import StandardScaler

from hilum.consistency import Statement, Verdict, reading
from hilum.metrics import floors, nlg
from hilum.metrics.expected import Expected
from hilum.retrieval import (
    Bank,
    Evidence,
    RetrievalConfig,
    Section,
    Weighing,
    likeness_regression,
    regression,
    standard,
)
from hilum.study import Side, State
from hilum.text.tokenizer import Tokenizer
from hilum.worth import Worth
from tests.heads import NAMES, THRESHOLDS, head, worth

NORMAL = "the heart is normal . the lungs are clear . no pleural effusion ."
LEFT = "the heart is normal . there is a left pleural effusion ."
RIGHT = "the heart is normal . there is a right pleural effusion ."
LARGE = "the heart is enlarged . the lungs are clear . no pleural effusion ."
TEXTS = [NORMAL] * 6 + [LEFT] * 4 + [RIGHT] * 4 + [LARGE] * 4
LOGITS_NF = np.array([[-3.0, -3.0]] * 6 + [[3.0, -3.0]] * 8 + [[-3.0, 3.0]] * 4)
WORDS = {word for text in TEXTS for word in text.split()}


def evidence(known_NF: np.ndarray, asked_BF: np.ndarray, ridge: float) -> np.ndarray:
    return regression(known_NF, ridge)(asked_BF)


def test_weights_predict_what_ridge_regression_predicts() -> None:
    rng = np.random.default_rng(0)
    known_NF, asked_BF, values_NV = (
        rng.normal(2, 3, (40, 5)),
        rng.normal(2, 3, (7, 5)),
        rng.normal(size=(40, 3)),
    )
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
    assert section.draft(normal_N, worth(set()), config) == NORMAL
    sure = worth({"Pleural Effusion", "Pleural Effusion/left"}, Pleural_Effusion=0.9)
    assert section.draft(effusion_N, sure, config) == LEFT
    other = worth({"Pleural Effusion", "Pleural Effusion/right"}, Pleural_Effusion=0.9)
    assert section.draft(effusion_N, other, config) == RIGHT
    assert section.draft(large_N, worth({"Cardiomegaly"}, Cardiomegaly=0.9), config) == LARGE


def test_sentences_stand_in_the_order_of_the_reports_and_not_of_a_process() -> None:
    """A set of strings has another order in each process: equals would be decided by it."""
    said = [
        f"the {organ} is normal ." for organ in ("heart", "lung", "spine", "aorta", "trachea", "hilum", "rib")
    ]
    section = Section([" ".join(said)] * 5, {*" ".join(said).split()})
    assert section.sentences == tuple(said)


def test_what_no_report_says_together_is_composed() -> None:
    """Effusion and a large heart, each known from reports of its own."""
    section = Section(TEXTS, WORDS)
    weights_N = evidence(LOGITS_NF, np.array([[3.0, 3.0]]), 1.0)[0]
    both = worth(
        {"Pleural Effusion", "Pleural Effusion/left", "Cardiomegaly"},
        Pleural_Effusion=0.95,
        Cardiomegaly=0.95,
    )
    draft = section.draft(weights_N, both, RetrievalConfig(ridge=1.0, agreement=1.0, sentences=8))
    said = reading(draft)
    assert draft not in TEXTS
    assert said["Pleural Effusion"] == Statement(State.PRESENT, Side.LEFT)
    assert said["Cardiomegaly"].state is State.PRESENT


@pytest.mark.parametrize("seed", range(4))
def test_a_draft_is_what_climbing_one_text_at_a_time_finds(seed: int) -> None:
    """The estimate of each text computed alone, as it is written down in the module's first lines."""
    rng = np.random.default_rng(seed)
    said = [sentence for text in (NORMAL, LEFT, RIGHT, LARGE) for sentence in floors.sentences(text)]
    texts = [" ".join(rng.choice(said, size=rng.integers(1, 5))) for _ in range(30)]
    section, config = Section(texts, WORDS), RetrievalConfig(agreement=0.8, sentences=6)
    weights_N = rng.normal(1 / 30, 0.05, 30)
    weights_N += (1.0 - weights_N.sum()) / 30
    called = worth({"Cardiomegaly"}, Cardiomegaly=float(rng.uniform(0.4, 0.9)))
    expected = Expected(nlg.References(tuple(texts))).given(weights_N)

    def value(sentences: Sequence[str]) -> float:
        return expected.cider_d(" ".join(sentences)) + config.agreement * called.of(sentences)

    start = max((tuple(floors.sentences(text)) for text in dict.fromkeys(texts)), key=value)
    shortlist = section._shortlist(weights_N, called, config)
    best, _ = floors.climb(shortlist, lambda lists: [value(parts) for parts in lists], start)
    assert section.draft(weights_N, called, config) == " ".join(best)


def test_a_decoders_draft_is_taken_where_it_is_better() -> None:
    section = Section(TEXTS, {"the", "heart", "is", "normal", "."})  # no training report may be drafted
    weights_N = evidence(LOGITS_NF, np.array([[-3.0, -3.0]]), 1.0)[0]
    config = RetrievalConfig(sentences=0)
    assert section.draft(weights_N, worth(set()), config, ["nothing alike .", NORMAL]) == NORMAL
    assert section.draft(weights_N, worth(set()), config) == ""


def test_reports_without_the_section_are_no_evidence() -> None:
    padded = Section([*TEXTS, "", ""], WORDS)
    weights_N = np.full(len(TEXTS) + 2, 1 / (len(TEXTS) + 2))
    plain_N = np.full(len(TEXTS), 1 / len(TEXTS))
    config = RetrievalConfig()
    assert padded.draft(weights_N, worth(set()), config) == Section(TEXTS, WORDS).draft(
        plain_N, worth(set()), config
    )
    with pytest.raises(ValueError, match="no training report"):
        Section(["", ""], WORDS)


def test_what_is_abnormal_need_not_be_common_to_be_composed() -> None:
    """One report in eighteen states a nodule: its sentence is put in where the head calls one, and only there."""
    nodule = "there is a nodule in the lung ."
    section = Section([*TEXTS, f"the heart is normal . {nodule}"], {*WORDS, *nodule.split()})
    assert nodule in section.sentences
    weights_N = np.full(len(TEXTS) + 1, 1 / (len(TEXTS) + 1))
    names = {**dict.fromkeys(NAMES, 0.05), "Lung Lesion": 0.9}
    points = {**THRESHOLDS, "Lung Lesion": (0.1, 0.3)}
    called = Verdict(names, frozenset({"Lung Lesion"}), frozenset(), frozenset(points))
    config = RetrievalConfig(agreement=1.0, sentences=2, each=1)
    assert nodule in section.draft(weights_N, Worth(called, points), config)
    assert "nodule" not in section.draft(weights_N, worth(set()), config)


REPORTS = [(text, "no effusion ." if text in (NORMAL, LARGE) else "effusion .") for text in TEXTS]


def test_from_likenesses_as_from_features() -> None:
    rng = np.random.default_rng(0)
    known_NF, asked_BF = rng.normal(2, 3, (40, 5)), rng.normal(2, 3, (7, 5))
    known, asked = standard(known_NF)(known_NF), standard(known_NF)(asked_BF)
    weights_BN = likeness_regression(known @ known.T, 10.0)(asked @ known.T)
    np.testing.assert_allclose(weights_BN, regression(known_NF, 10.0)(asked_BF), atol=1e-12)
    with pytest.raises(ValueError, match="ridge"):
        likeness_regression(known @ known.T, 0.0)


ASKED = {"indication": ["chest pain ."] * 9 + ["dyspnea ."] * 9, "comparison": [""] * 18}
BOTH = RetrievalConfig(ridge=1.0, background=("indication", "comparison"))


def asked_bank() -> Bank:
    return Bank.of(REPORTS, 1.0 / (1.0 + np.exp(-LOGITS_NF)), ASKED)


def test_reports_whose_studies_were_asked_alike_weigh_more() -> None:
    weigh, logits_F = Weighing(asked_bank(), BOTH), LOGITS_NF[0]
    pain, dyspnea, silent, strange = (
        weigh(logits_F, {"indication": words})
        for words in ("chest pain .", "dyspnea .", "", "something else entirely")
    )
    assert pain[:6].sum() > silent[:6].sum() > dyspnea[:6].sum()
    for weights_N in (pain, dyspnea, silent, strange):
        np.testing.assert_allclose(weights_N.sum(), 1.0)
    np.testing.assert_allclose(weigh(logits_F, {}), silent)


def test_a_background_that_says_nothing_changes_nothing() -> None:
    silent = Bank.of(REPORTS, 1.0 / (1.0 + np.exp(-LOGITS_NF)), {name: [""] * 18 for name in ASKED})
    logits_F = np.array([2.0, -1.0])
    expected = regression(silent.logits_NF, 1.0)(logits_F[None])[0]
    np.testing.assert_allclose(Weighing(silent, BOTH)(logits_F, {"indication": "pain"}), expected, atol=1e-12)
    np.testing.assert_allclose(Weighing(silent, RetrievalConfig(ridge=1.0))(logits_F, {}), expected)


def test_what_takes_part_must_be_in_the_bank() -> None:
    tokenizer = Tokenizer.train([part for texts in REPORTS for part in texts], min_count=1)
    with pytest.raises(ValueError, match="no indication and no comparison"):
        Evidence(bank(), BOTH, tokenizer, NAMES, THRESHOLDS)


def bank() -> Bank:
    return Bank.of(REPORTS, 1.0 / (1.0 + np.exp(-LOGITS_NF)))


def test_a_bank_comes_back_as_it_was_saved() -> None:
    saved = bank().to_json()
    again = Bank.from_json(saved, 2)
    assert (again.findings, again.impressions) == (bank().findings, bank().impressions)
    np.testing.assert_allclose(again.logits_NF, LOGITS_NF, atol=1e-4)
    assert again.to_json() == saved
    asked = Bank.from_json(asked_bank().to_json(), 2)
    assert asked.background == {name: tuple(some) for name, some in ASKED.items()}


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"[]",
        b'{"findings": ["a"], "impressions": [], "logits": [[0, 0]]}',
        b'{"findings": ["a"], "impressions": [""], "logits": [[0, 0]], "background": {"indication": []}}',
    ],
)
def test_what_is_no_bank_is_refused(data: bytes) -> None:
    with pytest.raises(ValueError, match=r"bank of reports|fit together"):
        Bank.from_json(data, 2)
    with pytest.raises(ValueError, match="fit together"):
        Bank.from_json(bank().to_json(), 3)


def test_each_section_is_drafted_under_the_same_evidence() -> None:
    tokenizer = Tokenizer.train([part for texts in REPORTS for part in texts], min_count=1)
    ready = Evidence(bank(), RetrievalConfig(ridge=1.0), tokenizer, NAMES, THRESHOLDS)
    sure = head({"Pleural Effusion", "Pleural Effusion/left"}, Pleural_Effusion=0.9)
    tokens = ready.draft(np.array([3.0, -3.0]), sure)
    assert tokenizer.decode_report(tokens) == (LEFT, "effusion .")
    tokens = ready.draft(np.array([-3.0, -3.0]), head(set()))
    assert tokenizer.decode_report(tokens) == (NORMAL, "no effusion .")


def test_logits_are_finite_at_0_and_1() -> None:
    found = Bank.of([("a .", "")] * 3, np.array([[0.0], [0.5], [1.0]])).logits_NF[:, 0]
    np.testing.assert_allclose(found, [-13.8155, 0.0, 13.8155], atol=1e-3)


def test_no_draft_compares_with_a_film_that_nobody_has_shown() -> None:
    stable = "the heart is stable ."
    section = Section([stable] * 5 + [NORMAL] * 4, WORDS | {"stable"})
    assert stable not in section.candidates and stable not in section.sentences
    weights_N = np.array([0.2] * 5 + [0.0] * 4)  # all the evidence says so
    assert "stable" not in section.draft(weights_N, worth(set()), RetrievalConfig())
