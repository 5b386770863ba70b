"""METEOR: equal to what pycocoevalcap gets from the same program; absent with a reason without it."""

from __future__ import annotations

import random
import shutil

import pytest

from hilum import evaluation
from hilum.errors import HilumError, MissingDependencyError
from hilum.metrics import meteor

pytest.importorskip("pycocoevalcap")
from pycocoevalcap.meteor.meteor import Meteor

needs_java = pytest.mark.skipif(shutil.which("java") is None, reason="METEOR's program needs Java")
SENTENCES = [
    "the heart is normal in size .",
    "no pleural effusions or pneumothorax .",
    "there is a small effusion on the left .",
    "lungs are clear .",
    "cardiac size is enlarged .",
]


@needs_java
def test_equal_to_pycocoevalcap() -> None:
    rng = random.Random(0)
    made = [[" ".join(rng.choices(SENTENCES, k=rng.randint(1, 6))) for _ in range(40)] for _ in range(2)]
    references, hypotheses = made
    edges = [
        "",
        "heart",
        "größe 肺",
        "the the the the",
        references[4],
        " ".join(SENTENCES * 9),
        ".",
        "e\u0301",
    ]
    hypotheses[: len(edges)] = edges
    references[8:12] = ["heart", "größe 肺", "the the the the", " ".join(SENTENCES * 9)]
    hypotheses[8:12] = ["hearts", "肺 größe", "the", "the"]
    # Anything of few words, drawn anew here and not by hypothesis: each run of the program takes a second to start.
    words = [*" ".join(SENTENCES).split(), "größe", "肺", "e\u0301", "3.5", "x-ray", "hearts", "enlarging"]
    for side in (references, hypotheses):
        side += [" ".join(rng.choices(words, k=rng.randint(1, 70))) for _ in range(25)]
    scorer = Meteor()
    expected, per_report = scorer.compute_score(
        {i: [text] for i, text in enumerate(references)}, {i: [text] for i, text in enumerate(hypotheses)}
    )
    # Its own tidying leaves the pipes of the process open, which the test run counts as a fault.
    for pipe in (scorer.meteor_p.stdout, scorer.meteor_p.stderr):
        pipe.close()
    spread = [f"{text} |||\n" for text in references]
    found = meteor.count(references, {"made": hypotheses, "copy": spread})
    assert found["made"].total()["meteor"] == pytest.approx(expected, abs=1e-9)
    each = meteor.compute(found["made"].stats_NS)["meteor"]
    assert list(each) == pytest.approx(per_report, abs=1e-9)
    assert found["copy"].total()["meteor"] == pytest.approx(1)


def test_without_java_it_is_absent_with_a_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    with pytest.raises(MissingDependencyError, match="METEOR needs Java"):
        meteor.count(["a"], {"s": ["a"]})


@needs_java
def test_a_program_that_dies_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JAVA_TOOL_OPTIONS", "-Xms99999999m")
    with pytest.raises(HilumError, match="METEOR's program failed"):
        meteor.count(["a"], {"s": ["a"]})


@needs_java
def test_a_scorecard_says_by_which_program_it_is() -> None:
    texts = {"a": SENTENCES[0], "b": SENTENCES[1]}
    card = evaluation.score(texts, {"s": texts}, resamples=20)
    assert card.systems["s"]["meteor"].value == pytest.approx(1)
    assert str(card.protocol["meteor"]).startswith("METEOR 1.5 by its reference program (Java)")
    assert "meteor" not in card.absent
    without = evaluation.score(texts, {"s": texts}, with_meteor=False, resamples=20)
    assert "meteor" not in without.protocol and without.absent["meteor"] == "not asked for"
