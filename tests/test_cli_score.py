"""`hilum score` as a user meets it: the page, two protocols, and one line with status 2 for every mistake."""

from __future__ import annotations

import json
from pathlib import Path

import jsonschema
import pytest

from hilum.data import manifest
from hilum.study import Study, View
from tests.command import call

SCHEMA = Path(__file__).parents[1] / "docs" / "schemas" / "score.schema.json"
SENTENCES = ["The heart is enlarged.", "No pleural effusion.", "Clear lungs.", "Left basilar atelectasis."]
DRAFTS = {f"S{k}": f"{SENTENCES[k % 4]} {SENTENCES[(k // 4) % 4]}" for k in range(12)}
TEXTS = {id: f"{text} A rarity." if id == "S3" else text for id, text in DRAFTS.items()}


@pytest.fixture
def hilum(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
):  # -> Callable[..., tuple[int, str, str]]
    """Runs the command line in an empty folder, without Java: its start takes longer than everything else."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH", str(tmp_path))

    return lambda *words: call(monkeypatch, capsys, "score", *words)


def put(name: str, content: object) -> str:
    text = content if isinstance(content, str) else json.dumps(content)
    Path(name).write_bytes(text.encode("utf-8", "surrogatepass"))
    return name


def files() -> list[str]:
    return ["--references", put("r.json", TEXTS), "--hypotheses", put("h.json", DRAFTS)]


def test_the_page_is_written_beside_the_table(hilum) -> None:
    train = put(
        "t.json", {"train": [{"id": k, "report": v} for k, v in TEXTS.items()], "val": [], "test": []}
    )
    status, out, err = hilum(*files(), "--train", train, "--html", "card.html", "--resamples", "100")
    assert status == 0, err
    assert "lift over the best floor" in out and "meteor: absent, METEOR needs Java" in out
    page = Path("card.html").read_text(encoding="utf-8")
    assert (
        page.startswith("<!doctype html>") and "Scorecard of h.json" in page and "Lift over the best" in page
    )


def test_a_data_set_adds_subsets_by_views_and_what_it_knows_of_priors(hilum) -> None:
    references = {f"S{k}": f"{SENTENCES[k % 2]} {SENTENCES[1]}" for k in range(60)}
    studies = [
        Study(id, (View("a"),) * (1 + k % 2), comparison="None." if k % 3 else "Chest radiograph XXXX.")
        for k, id in enumerate(references)
    ]
    manifest.write(Path("data"), manifest.DatasetInfo("made", "", "", simulated=False), studies)
    drafts = {id: f"{text} Unchanged." for id, text in references.items()}
    given = [
        "--references",
        put("r.json", references),
        "--hypotheses",
        put("h.json", drafts),
        "--resamples",
        100,
    ]
    status, out, err = hilum(*given, "--data", "data", "--json")
    assert status == 0, err
    card = json.loads(out)
    sizes = {name: subset["n"] for name, subset in card["subsets"].items()}
    assert sizes == {"normal": 30, "abnormal": 30, "one view": 30, "two views": 30, "with Cardiomegaly": 30}
    assert card["systems"]["hypotheses"]["hallucinated_priors"]["value"] == pytest.approx(2 / 3)
    assert "image_truth" not in card or not card["image_truth"]
    status, out, _ = hilum(*given, "--json")
    plain = json.loads(out)
    assert set(plain["subsets"]) == {"normal", "abnormal", "with Cardiomegaly"}
    assert plain["systems"]["hypotheses"]["hallucinated_priors"]["value"] == 1
    put("r.json", references | {"other": "The heart is enlarged."})
    put("h.json", drafts | {"other": "The heart is enlarged."})
    status, out, err = hilum(*given, "--data", "data")
    assert (status, out) == (2, "") and "1 of 61 references are no study of it, 'other'" in err


def test_constants_are_chosen_on_validation(hilum) -> None:
    parts = {
        "train": [{"id": k, "report": v} for k, v in TEXTS.items()],
        "val": [{"id": k, "report": "Clear lungs."} for k in "abc"],
        "test": [],
    }
    given = put("a.json", parts)
    words = [*files(), "--train", given, "--json", "--resamples", "100"]
    status, out, err = hilum(*words, "--validation", given)
    assert status == 0, err
    chosen = json.loads(out)
    assert chosen["protocol"]["validation"] == 3 and chosen["protocol"]["train"] == 12
    status, out, _ = hilum(*words)
    assert json.loads(out)["protocol"]["validation"] == 0
    name = "floor:constant-bleu4"
    assert chosen["texts"][name]["words_mean"] < json.loads(out)["texts"][name]["words_mean"]


def test_two_protocols_side_by_side(hilum) -> None:
    words = [*files(), "--train", put("t.json", DRAFTS), "--text-form", "both", "--resamples", "100"]
    status, out, err = hilum(*words, "--html", "card.html")
    assert status == 0, err
    assert "text form honest" in out and "honest and r2gen, where they differ" in out
    assert "Two text forms side by side" in Path("card.html").read_text(encoding="utf-8")
    status, out, _ = hilum(*words, "--json")
    cards = json.loads(out)
    assert {form: card["text_form"] for form, card in cards.items()} == {"honest": "honest", "r2gen": "r2gen"}
    for card in cards.values():
        card["systems"] = {"hypotheses": {"bleu_4": card["systems"]["hypotheses"]["bleu_4"]}}
        card["lift"] = {}
    jsonschema.validate(cards, json.loads(SCHEMA.read_text()))


def test_an_external_metric_that_is_not_there_is_absent_by_name(hilum) -> None:
    put("weights", "")
    status, out, err = hilum(*files(), "--external", "all", "--weights", "weights", "--resamples", "100")
    assert status == 0, err
    for name in ("chexbert", "radgraph", "ratescore", "green", "bertscore"):
        assert f"{name}: absent, {name}: " in out


def test_several_systems_are_tested_against_each_other_and_every_floor(hilum) -> None:
    better = put("better.json", DRAFTS)
    poorer = put("poorer.json", dict.fromkeys(DRAFTS, "Clear lungs."))
    words = ["--references", put("r.json", TEXTS), "--hypotheses", better, "--hypotheses", poorer]
    status, out, err = hilum(*words, "--train", put("t.json", TEXTS), "--resamples", "200", "--json")
    assert status == 0, err
    card = json.loads(out)
    jsonschema.validate(card, json.loads(SCHEMA.read_text()))
    floors = {name for name in card["systems"] if name.startswith("floor:")}
    assert set(card["tests"]["better"]) == floors | {"poorer"} and set(card["tests"]["poorer"]) == floors
    test = card["tests"]["better"]["poorer"]["bleu_4"]
    values = [card["systems"][name]["bleu_4"]["value"] for name in ("better", "poorer")]
    assert test["value"] == pytest.approx(values[0] - values[1]) and test["low"] > 0
    assert test["p_value"] == test["p_holm"] == pytest.approx(2 / 201)
    over = card["lift"]["better"]["bleu_4"]
    assert {**card["tests"]["better"][over["over"]]["bleu_4"], "over": over["over"]} == over
    assert over["p_holm"] >= over["p_value"]
    assert "Holm" in card["protocol"]["correction"] and "paired bootstrap" in card["protocol"]["test"]
    status, out, _ = hilum(*words, "--resamples", "200")
    assert status == 0 and "better minus …" in out and "poorer minus" not in out, "no floors, one pair"
    assert "Holm" in out and "floor:commonest, floor:constant-bleu4" in out
    assert "absent, no training reports were given" in " ".join(out.split())


def test_one_file_is_called_hypotheses_and_a_floor_may_come_as_a_file(hilum) -> None:
    near = put("floor:nearest-image.json", dict.fromkeys(DRAFTS, "Clear lungs."))
    status, out, err = hilum(*files(), "--hypotheses", near, "--resamples", "100", "--json")
    assert status == 0, err
    card = json.loads(out)
    assert list(card["systems"]) == ["hypotheses", "floor:nearest-image"]
    assert card["lift"]["hypotheses"]["bleu_4"]["over"] == "floor:nearest-image"
    assert "floor:nearest-image" not in card["absent"] and "floor:random" in card["absent"]


@pytest.mark.parametrize("shape", ["json", "csv"])
def test_a_classifiers_findings_make_one_more_floor(hilum, shape: str) -> None:
    seen = {id: {"Cardiomegaly": 0.9 if "enlarged" in text else 0.1} for id, text in TEXTS.items()}
    lines = ["id,Cardiomegaly,Edema", *(f"{id},{one['Cardiomegaly']}," for id, one in seen.items())]
    given = put(f"f.{shape}", seen if shape == "json" else "\n".join(lines))
    words = [*files(), "--train", put("t.json", TEXTS), "--resamples", "100", "--json"]
    status, out, err = hilum(*words, "--findings", given)
    assert status == 0, err
    card = json.loads(out)
    scores = card["systems"]["floor:nearest-labels"]
    assert scores["findings_f1/Cardiomegaly"]["value"] == 1 and card["protocol"]["operating_points"] == "0.5"
    assert "floor:nearest-labels" in card["tests"]["hypotheses"]
    status, out, _ = hilum(*words)
    assert json.loads(out)["absent"]["floor:nearest-labels"] == "no probabilities of findings were given"


def test_a_rexrank_file_goes_in_and_comes_out(hilum) -> None:
    studies = {
        id: {
            "study_id": id, "image_path": ["a.png"], "section_findings": text, "section_impression": "Normal.",
            "report": f"FINDINGS: {text} IMPRESSION: Normal.", "model_prediction": DRAFTS[id],
        }
        for id, text in TEXTS.items()
    }  # fmt: skip
    given = put("rexrank.json", studies)
    words = ["--references", given, "--hypotheses", given, "--resamples", "100", "--json"]
    status, out, err = hilum(*words, "--pairs", "pairs.json")
    assert status == 0, err
    card = json.loads(out)
    jsonschema.validate(card, json.loads(SCHEMA.read_text()))
    _, plain, _ = hilum(*files(), "--resamples", "100", "--json")
    assert json.loads(plain)["systems"] == card["systems"], "the same texts as {id: text}"
    written = json.loads(Path("pairs.json").read_text())
    assert written == {
        id: {"section_findings": text, "model_prediction": DRAFTS[id]} for id, text in TEXTS.items()
    }
    again = ["--references", "pairs.json", "--hypotheses", "pairs.json", "--resamples", "100", "--json"]
    for suffix in ("csv", "jsonl", "tsv"):
        status, out, err = hilum(*again, "--pairs", f"pairs.{suffix}")
        assert status == 0 and json.loads(out) == card, err
        again[1] = again[3] = f"pairs.{suffix}"
    status, out, _ = hilum(*words, "--section", "report")
    assert status == 0 and json.loads(out)["texts"]["references"] != card["texts"]["references"]
    status, out, _ = hilum(*words, "--section", "impression", "--pairs", "i.json")
    assert json.loads(Path("i.json").read_text())["S1"]["section_impression"] == "Normal."


def test_r2gens_annotation_gives_references_training_and_validation_reports(hilum) -> None:
    def entries(texts: dict[str, str]) -> list[dict[str, object]]:
        return [{"id": id, "report": text, "image_path": ["0.png", "1.png"]} for id, text in texts.items()]

    parts = {
        "train": entries(TEXTS), "val": entries({"v": "Clear lungs."}),
        "test": entries({f"T{k}": text for k, text in enumerate(TEXTS.values())}),
    }  # fmt: skip
    given = put("annotation.json", parts)
    made = put("h.json", {f"T{k}": text for k, text in enumerate(DRAFTS.values())})
    words = ["--references", given, "--hypotheses", made, "--train", given, "--validation", given]
    status, out, err = hilum(*words, "--text-form", "r2gen", "--resamples", "100", "--json")
    assert status == 0, err
    card = json.loads(out)
    jsonschema.validate(card, json.loads(SCHEMA.read_text()))
    assert (card["n"], card["protocol"]["train"], card["protocol"]["validation"]) == (12, 12, 1)
    assert card["systems"]["hypotheses"]["bleu_1"]["value"] > 0.9


def test_chrf_is_there_where_it_is_asked_for(hilum) -> None:
    pytest.importorskip("sacrebleu")
    status, out, err = hilum(*files(), "--external", "chrf", "--resamples", "100", "--json")
    assert status == 0, err
    card = json.loads(out)
    assert 0.9 < card["systems"]["hypotheses"]["chrf"]["value"] < 1
    assert card["protocol"]["chrf"].startswith("chrF2|nrefs:1|")
    status, out, _ = hilum(*files(), "--resamples", "100", "--json")
    assert "chrf" not in json.loads(out)["systems"]["hypotheses"]


def test_the_scorecard_holds_no_null_and_says_what_is_missing(hilum) -> None:
    status, out, err = hilum(*files(), "--train", put("t.json", TEXTS), "--resamples", "100", "--json")
    assert status == 0, err

    def leaves(value: object) -> list[object]:
        if isinstance(value, dict):
            return [leaf for item in value.values() for leaf in leaves(item)]
        return [value]

    card = json.loads(out)
    assert all(leaf is not None and leaf == leaf for leaf in leaves(card))
    everything = {metric for scores in card["systems"].values() for metric in scores}
    for name, scores in card["systems"].items():
        for metric in everything - scores.keys():
            assert name in card["absent"][metric], f"{metric} of {name} is missing without a reason"


GOOD = {"a": "Clear lungs.", "b": "No effusion.", "c": "Normal heart."}
MISTAKES: dict[str, tuple[object, str, tuple[str, ...]]] = {
    "too few": ({"a": "x"}, "h.json", ("hypotheses: 2 references without a text: b, c",)),
    "foreign": (GOOD | {"z": "x", "y": "x"}, "h.json", ("hypotheses: 2 texts without a reference: z, y",)),
    "many foreign": (
        GOOD | {f"z{k}": "x" for k in range(9)},
        "h.json",
        ("9 texts without a reference: z0, z1, z2, z3, z4, …",),
    ),
    "empty text": (GOOD | {"b": "  "}, "h.json", ("hypotheses: 1 empty texts: b",)),
    "twice in JSON": ('{"a": "x", "b": "x", "a": "y", "c": "z"}', "h.json", ("1 ids occur twice: a",)),
    "twice in lines": (
        '{"id": "a", "text": "x"}\n{"id": "a", "text": "y"}',
        "h.jsonl",
        ("h.jsonl", "1 ids occur twice: a"),
    ),
    "twice in a table": ("id,text\na,x\nb,y\na,z\n", "h.csv", ("h.csv", "1 ids occur twice: a")),
    "a number": (GOOD | {"b": 3}, "h.json", ("1 entries are not text: b",)),
    "null": (GOOD | {"b": None}, "h.json", ("1 entries are not text: b",)),
    "a number in lines": ('{"id": "a", "text": 7}', "h.jsonl", ("line 1 (a)", "not text")),
    "no JSON": ("{half", "h.json", ("h.json: not JSON", "line 1, column 2")),
    "other JSON": ("[1, 2]", "h.json", ("JSON, but not a file of reports",)),
    "no column": ("id,words\na,x\n", "h.csv", ("no column holds a text",)),
    "ragged": ("id,text\na,x,y\n", "h.csv", ("row 2 has 3 cells, the header 2",)),
    "other suffix": ("a: x", "h.yaml", ("no file of reports is known by the suffix '.yaml'",)),
    "nothing": ("", "h.json", ("the file is empty",)),
    "no report": ("id,text\n", "h.csv", ("it holds no report",)),
    "half a character": ('{"a": "\\ud800"}', "h.json", ("half a character",)),
}


@pytest.mark.parametrize("case", MISTAKES)
def test_a_mistake_in_a_file_is_one_line_that_names_it(hilum, case: str) -> None:
    content, name, told = MISTAKES[case]
    words = ["--references", put("r.json", GOOD), "--hypotheses", put(name, content)]
    before = sorted(Path().iterdir())
    status, out, err = hilum(*words, "--html", "card.html")
    assert status == 2 and not out
    assert len(err.strip().splitlines()) == 1 and err.startswith("hilum: error: ")
    assert all(one in err for one in told), err
    assert sorted(Path().iterdir()) == before, "nothing half-written"


def test_not_utf8_is_one_line(hilum) -> None:
    words = files()
    Path("h.json").write_bytes(b'{"a": "\xff"}')
    status, _, err = hilum(*words)
    assert status == 2 and "h.json: not UTF-8 text (byte 7)" in err and len(err.splitlines()) == 1


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--validation", "r.json"], "no floor is made without training reports; give --train too"),
        (["--text-form", "r2gen"], "rare in the training reports"),
        (["--text-form", "both"], "rare in the training reports"),
        (["--external", "bleurt"], "no external metric bleurt"),
        (["--train", "nowhere.json"], "nowhere.json: no such file"),
        (["--html", "r.json/card.html", "--resamples", "100"], "r.json: "),
        (["--findings", "r.json"], "there is none; give --train too"),
        (["--findings", "r.json", "--train", "r.json"], "r.json: JSON, but no probabilities"),
        (["--hypotheses", "h.json"], "two files of hypotheses are called 'h'"),
        (["--hypotheses", "r.json", "--pairs", "p.json"], "p.json: --pairs writes one system"),
        (["--pairs", "p.yaml", "--resamples", "100"], "p.yaml: no file of reports is known by the suffix"),
        (["--section", "history"], "'history' is not one of"),
    ],
)
def test_a_mistake_in_the_options_is_one_line(hilum, words: list[str], told: str) -> None:
    status, out, err = hilum(*files(), *words)
    assert status == 2 and not out and told in err, err
    assert "Usage" in err or len(err.strip().splitlines()) == 1
