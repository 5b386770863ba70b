"""The scorecard: floors beside every system, intervals, lifts, subsets, and one clear line for bad input."""

from __future__ import annotations

import dataclasses
import json
import random
from pathlib import Path

import jsonschema
import numpy as np
import pytest

from hilum import evaluation
from hilum.errors import TextError
from hilum.metrics import intervals, nlg, probabilities
from hilum.metrics.scorecard import both_to_json, differs, side_by_side
from hilum.study import DrawnFinding, Report, Side, Study, View

SCHEMA = Path(__file__).parents[1] / "docs" / "schemas" / "score.schema.json"
NORMAL = ["The heart is normal in size.", "The lungs are clear.", "No pleural effusion or pneumothorax."]
SICK = ["Mild cardiomegaly.", "There is a small left pleural effusion.", "Right basilar atelectasis."]


def reports(n: int, seed: int) -> dict[str, str]:
    rng = random.Random(seed)
    found = {}
    for k in range(n):
        sick = rng.sample(SICK, rng.randint(1, 2)) if rng.random() < 0.5 else []
        found[f"S{k}"] = " ".join([*sick, *rng.sample(NORMAL, rng.randint(1, 3))])
    return found


REFERENCES, TRAIN, VALIDATION = reports(80, 1), reports(120, 2), reports(60, 3)


@pytest.fixture(scope="module")
def card() -> evaluation.Scorecard:
    return evaluation.score(
        REFERENCES,
        {"good": REFERENCES, "poor": reports(80, 4), "floor:nearest-image": reports(80, 5)},
        train=TRAIN,
        validation=VALIDATION,
        text_form="honest",
        with_meteor=False,
        resamples=200,
        subsets={"first half": [f"S{k}" for k in range(40)], "too small": ["S1"]},
    )


def test_every_system_stands_beside_its_floors(card: evaluation.Scorecard) -> None:
    assert list(card.systems) == [
        "good",
        "poor",
        "floor:nearest-image",
        "floor:commonest",
        "floor:constant-bleu4",
        "floor:constant-rouge",
        "floor:constant-cider",
        "floor:constant-clinical",
        "floor:random",
        "floor:ngram",
        "ceiling:oracle-retrieval",
    ]
    assert card.n == 80 and card.protocol["train"] == 120
    assert card.systems["good"]["bleu_4"].value == pytest.approx(1)
    assert card.systems["good"]["findings_f1_micro_14"].value == 1
    assert card.texts["good"].verbatim_from_train == card.texts["references"].verbatim_from_train > 0
    assert card.texts["floor:random"].verbatim_from_train == 1
    assert card.texts["floor:constant-bleu4"].distinct == 1


def test_lift_is_over_the_best_floor_on_the_same_resamples(card: evaluation.Scorecard) -> None:
    assert set(card.lift) == {"good", "poor"}
    for metric, lift in card.lift["poor"].items():
        best = max(s[metric].value for n, s in card.systems.items() if n.startswith("floor:") and metric in s)
        assert card.systems[lift.over][metric].value == best
        assert lift.value == pytest.approx(card.systems["poor"][metric].value - best)
    assert card.lift["good"]["bleu_4"].low > 0
    assert "contradictions" not in card.lift["good"] and "contradictions" in card.systems["good"]


def test_subsets(card: evaluation.Scorecard) -> None:
    assert set(card.subsets) == {"normal", "abnormal", "not verbatim in train", "first half"}
    assert card.subsets["normal"].n + card.subsets["abnormal"].n == 80
    first = evaluation.score(
        {id: REFERENCES[id] for id in list(REFERENCES)[:40]},
        {"poor": {id: reports(80, 4)[id] for id in list(REFERENCES)[:40]}},
        text_form="honest",
        with_meteor=False,
        resamples=200,
    )
    for metric in ("bleu_4", "rouge_l", "findings_f1_macro_14"):
        assert card.subsets["first half"].systems["poor"][metric] == first.systems["poor"][metric]


def test_the_json_follows_its_schema_and_the_text_names_everything(card: evaluation.Scorecard) -> None:
    plain = json.loads(card.to_json())
    jsonschema.validate(plain, json.loads(SCHEMA.read_text()))
    assert set(plain["systems"]["poor"]["bleu_4"]) == {"value", "low", "high"}
    text = card.to_text()
    for word in (
        "80 reports",
        "honest",
        "floor:commonest",
        "lift over the best floor",
        "meteor: absent",
        "F1-14",
    ):
        assert word in text
    assert max(map(len, text.splitlines())) <= 110
    assert evaluation.Scorecard(1, "as-is", {"a": {"bleu_4": intervals.Interval(0, 0, 0)}}).to_text()


def test_the_same_seed_gives_the_same_card() -> None:
    cards = [
        evaluation.score(
            REFERENCES, {"a": reports(80, 4)}, train=TRAIN, with_meteor=False, resamples=50, seed=seed
        )
        for seed in (1, 1, 2)
    ]
    assert cards[0].to_json() == cards[1].to_json() != cards[2].to_json()


def test_as_is_takes_tokens_as_they_stand() -> None:
    found = evaluation.score({"a": "The heart. "}, {"s": {"a": "the  heart."}}, with_meteor=False)
    assert found.systems["s"]["bleu_1"].value == pytest.approx(0.5)
    honest = evaluation.score(
        {"a": "The heart. "}, {"s": {"a": "the  heart."}}, text_form="honest", with_meteor=False
    )
    assert honest.systems["s"]["bleu_1"].value == pytest.approx(1)


def test_the_r2gen_form_fills_and_cuts_only_the_reference() -> None:
    long = " ".join(["The lungs are clear."] * 30)
    train = dict.fromkeys("abc", "The lungs are clear.") | {"d": "Odd word."}
    found = evaluation.score(
        {"x": long, "y": "The odd lungs are clear."},
        {"s": {"x": long, "y": "The odd lungs are clear."}},
        train=train,
        text_form="r2gen",
        with_meteor=False,
    )
    assert found.texts["references"].words_mean == pytest.approx((59 + 6) / 2)
    assert found.texts["s"].words_mean == pytest.approx((150 + 6) / 2)
    with pytest.raises(TextError, match="rare in the training reports"):
        evaluation.score({"x": long}, {"s": {"x": long}}, text_form="r2gen")


def test_the_r2gen_vocabulary_keeps_words_from_three_occurrences() -> None:
    words = evaluation.r2gen_vocabulary(["Clear lungs.", "Clear heart.", "Clear; lungs (clear).", "lungs"])
    assert words == {"clear", "lungs", "."}


def test_contradictions_and_hallucinated_priors_are_counted_in_the_drafts() -> None:
    references = {"a": "The heart is normal.", "b": "No pneumothorax.", "c": "The effusion has resolved."}
    drafts = {
        "a": "There is a pneumothorax. No pneumothorax.",
        "b": "The heart is unchanged.",
        "c": "The effusion has resolved.",
    }
    found = evaluation.score(references, {"s": drafts}, with_meteor=False).systems["s"]
    assert found["contradictions"].value == pytest.approx(1 / 3)
    assert found["hallucinated_priors"].value == pytest.approx(1 / 3)
    told = {"a": False, "b": True, "c": False}
    found = evaluation.score(references, {"s": drafts}, priors=told, with_meteor=False).systems["s"]
    assert found["hallucinated_priors"].value == pytest.approx(1 / 3)
    told = {"a": False, "b": False, "c": False}
    found = evaluation.score(references, {"s": drafts}, priors=told, with_meteor=False).systems["s"]
    assert found["hallucinated_priors"].value == pytest.approx(2 / 3)
    found = evaluation.score(references, {"s": drafts}, priors={}, with_meteor=False).systems["s"]
    assert found["hallucinated_priors"].value == pytest.approx(1 / 3), "as the references mention"


def test_plain_scores_read_what_the_sentence_says_and_the_others_what_chexpert_reads() -> None:
    misread = "The heart size and pulmonary vascularity appear within normal limits."
    references = {"a": "There is cardiomegaly.", "b": misread}
    found = evaluation.score(references, {"s": {"a": misread, "b": misread}}, with_meteor=False, resamples=20)
    scores = found.systems["s"]
    assert scores["findings_f1/Cardiomegaly"].value == 1, "CheXpert's labeller takes both for cardiomegaly"
    assert scores["findings_recall_micro_14"].value == 1
    assert scores["findings_recall_micro_14_plain"].value == pytest.approx(1 / 2), "b alone, No Finding"


def test_not_verbatim_in_train_leaves_out_what_train_holds() -> None:
    references = {f"S{k}": f"No effusion. Item {k}." for k in range(50)}
    train = {f"T{k}": f"no  Effusion.\nItem {k}." for k in range(20)}
    found = evaluation.score(
        references, {"s": references}, train=train, text_form="honest", with_meteor=False, resamples=20
    )
    assert found.subsets["not verbatim in train"].n == 30
    assert found.texts["references"].verbatim_from_train == pytest.approx(20 / 50)
    assert found.texts["s"].distinct == 50 and found.texts["floor:commonest"].verbatim_from_train == 1


def test_image_truth_has_its_floors_and_the_reference_as_ceiling() -> None:
    truths = {
        id: [DrawnFinding("Cardiomegaly", "Cardiomegaly/mild", ())] * ("cardiomegaly" in text)
        + [DrawnFinding("Pleural Effusion", "Pleural Effusion/left", (), side=Side.LEFT)] * ("left" in text)
        for id, text in REFERENCES.items()
    }
    found = evaluation.score(
        REFERENCES, {"poor": reports(80, 4)}, train=TRAIN, truths=truths, with_meteor=False, resamples=50
    )
    assert found.systems["ceiling:reference"]["image_truth_f1_macro"].value == 1
    assert found.lift["poor"]["image_truth_f1_macro"].over.startswith("floor:")
    tally = found.image_truth["poor"]["Cardiomegaly"]
    assert (
        tally["found"] + tally["missed"]
        == tally["drawn"]
        == sum("cardiomegaly" in t for t in REFERENCES.values())
    )
    found = dataclasses.replace(
        found,
        calibration=probabilities.score(
            ("Cardiomegaly", "Edema"),
            np.array([[k % 2, 0] for k in range(20)], float),
            np.linspace(0, 1, 40).reshape(20, 2),
            {"Cardiomegaly": (0.2, 2.0)},
            resamples=20,
        ),
        grounding={"pointing_game": intervals.Interval(0.5, 0.4, 0.6)},
    )
    assert json.loads(found.to_json())["grounding"]["pointing_game"]["low"] == 0.4
    jsonschema.validate(json.loads(found.to_json()), json.loads(SCHEMA.read_text()))


def test_a_metric_with_nothing_to_count_is_absent_with_a_reason() -> None:
    found = evaluation.score({"a": "The lungs are clear."}, {"s": {"a": "Clear."}}, with_meteor=False)
    assert "findings_side_accuracy" not in found.systems["s"]
    assert found.absent["findings_side_accuracy"] == "nothing to count for any system"
    assert "null" not in found.to_json() and "NaN" not in found.to_json()


@pytest.mark.parametrize(
    ("references", "systems", "said"),
    [
        ({}, {"s": {}}, "no references"),
        ({"a": "x"}, {}, "no system"),
        ({"a": "x", "b": "y"}, {"s": {"a": "x"}}, "s: 1 references without a text: b"),
        ({"a": "x"}, {"s": {"a": "x", "z": "y"}}, "s: 1 texts without a reference: z"),
        ({"a": "x"}, {"s": {"a": " "}}, "s: 1 empty texts: a"),
        ({"a": ""}, {"s": {"a": "x"}}, "references: 1 empty texts: a"),
        ({"a": "x"}, {"s": {"a": 3}}, "s: 1 entries that are not text: a"),
        (dict.fromkeys("abcdefgh", "x"), {"s": {"a": "x"}}, "7 references without a text: b, c, d, e, f, …"),
    ],
)
def test_bad_input_is_said_in_one_line(
    references: dict[str, str], systems: dict[str, dict[str, str]], said: str
) -> None:
    with pytest.raises(TextError) as caught:
        evaluation.score(references, systems)
    assert said in str(caught.value).splitlines()[0]


def test_every_problem_is_listed() -> None:
    with pytest.raises(TextError) as caught:
        evaluation.score({"a": "x", "b": "y"}, {"s": {"a": "", "z": "y"}, "t": {"a": "x"}})
    assert len(str(caught.value).splitlines()) == 4


def test_empty_texts_are_scored_where_that_is_asked_for() -> None:
    found = evaluation.score(
        {"a": "x y", "b": "z"}, {"s": {"a": "", "b": "z"}}, allow_empty=True, with_meteor=False
    )
    assert found.texts["s"].empty == 1
    slow = nlg.count(nlg.References(("x y", "z")), ["", "z"]).total()
    assert found.systems["s"]["rouge_l"].value == slow["rouge_l"]
    with pytest.raises(TextError, match="references: 1 empty"):
        evaluation.score({"a": ""}, {"s": {"a": "x"}}, allow_empty=True)


def test_names_of_floors_are_taken() -> None:
    with pytest.raises(TextError, match="floor:random"):
        evaluation.score(REFERENCES, {"floor:random": REFERENCES}, train=TRAIN, with_meteor=False)


def test_subsets_by_views_and_by_finding() -> None:
    texts = ["There is cardiomegaly.", "No cardiomegaly.", "Possible cardiomegaly.", "Enlarged heart."]
    studies = [
        Study(
            f"S{k}",
            tuple(View(f"v{i}") for i in range(k % 5)),
            report=None if k % 9 == 8 else Report("", texts[k % 4]),
        )
        for k in range(90)
    ]
    found = evaluation.subsets_of(studies)
    assert list(found) == ["one view", "two views", "more views", "with Cardiomegaly"]
    assert found["one view"] == {f"S{k}" for k in range(90) if k % 5 == 1}
    assert found["more views"] == {f"S{k}" for k in range(90) if k % 5 in (3, 4)}
    assert found["with Cardiomegaly"] == {f"S{k}" for k in range(90) if k % 4 in (0, 3) and k % 9 != 8}
    assert "with Cardiomegaly" not in evaluation.subsets_of(studies[:40]), "fewer than 20"
    assert evaluation.subsets_of([]) == {}


def test_a_prior_is_what_comparison_says_and_else_what_the_reference_mentions() -> None:
    said = {
        "a": "None.", "b": "XXXX", "c": "", "d": "No comparison chest x-XXXX.", "e": "Radiograph chest, none",
        "f": "Chest CT without contrast XXXX", "g": "None available", "h": "n/a",
        "i": "Comparison is no acute chest XXXX",
    }  # fmt: skip
    studies = [Study(id, comparison=comparison) for id, comparison in said.items()]
    priors = evaluation.priors_of(studies)
    assert priors == {
        "a": False, "b": True, "d": False, "e": False, "f": True, "g": False, "h": False, "i": True
    }  # fmt: skip
    references = {id: "Heart size is stable." if id == "c" else "The heart is normal." for id in said}
    drafts = dict.fromkeys(said, "Unchanged.")
    scores = evaluation.score(references, {"s": drafts}, priors=priors, with_meteor=False, resamples=20)
    assert scores.systems["s"]["hallucinated_priors"].value == pytest.approx(5 / 9)


def test_such_subsets_are_scored() -> None:
    studies = [
        Study(id, (View("a"),) * (1 + k % 2), report=Report(text, ""))
        for k, (id, text) in enumerate(REFERENCES.items())
    ]
    found = evaluation.score(
        REFERENCES,
        {"poor": reports(80, 4)},
        subsets=evaluation.subsets_of(studies),
        with_meteor=False,
        resamples=20,
    )
    assert found.subsets["two views"].n == 40
    assert found.subsets["with Pleural Effusion"].n == sum("left" in text for text in REFERENCES.values())


def test_two_protocols_stand_side_by_side_where_they_differ() -> None:
    references = {id: f"{text} A rarity." for id, text in list(REFERENCES.items())[:10]}
    train = dict(list(TRAIN.items())[:30])
    cards = evaluation.score_forms(
        references,
        {"poor": references},
        evaluation.SIDE_BY_SIDE,
        train=train,
        with_meteor=False,
        resamples=20,
    )
    assert list(cards) == ["honest", "r2gen"] == [card.text_form for card in cards.values()]
    bleu = [card.systems["poor"]["bleu_1"].value for card in cards.values()]
    assert bleu[0] == pytest.approx(1)
    assert bleu[1] < 0.99
    assert differs(cards["honest"], cards["r2gen"], "bleu_1")
    assert not differs(cards["honest"], cards["r2gen"], "findings_f1_micro_14")
    text = side_by_side(cards)
    rows = [line.split() for line in text.splitlines()]
    at = next(k for k, row in enumerate(rows) if row[:2] == ["poor", "honest"])
    assert rows[at][2] == "1.000"
    assert rows[at + 1][:2] == ["r2gen", f".{round(1000 * bleu[1]):03}"]
    assert max(map(len, text.splitlines())) <= 110
    plain = json.loads(both_to_json(cards))
    assert plain["r2gen"]["systems"]["poor"]["bleu_1"]["value"] == bleu[1]
    for card in plain.values():  # validating thousands of intervals takes long
        card["systems"] = {"poor": {"bleu_1": card["systems"]["poor"]["bleu_1"]}}
        card["lift"] = {}
    jsonschema.validate(plain, json.loads(SCHEMA.read_text()))
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({"honest": plain["honest"]}, json.loads(SCHEMA.read_text()))
    assert "differ in nothing" in side_by_side({"a": cards["honest"], "b": cards["honest"]})
    with pytest.raises(ValueError, match="not 1"):
        side_by_side({"a": cards["honest"]})


def test_a_form_that_needs_training_reports_is_refused_before_anything_is_scored() -> None:
    with pytest.raises(TextError, match="rare in the training reports"):
        evaluation.score_forms({"a": "x"}, {"s": {}}, evaluation.SIDE_BY_SIDE)
