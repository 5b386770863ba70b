"""`hilum score` as a user meets it: the page, two protocols, and one line with status 2 for every mistake."""

from __future__ import annotations

import json
from pathlib import Path

import jsonschema
import pytest

from hilum import cli

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

    def call(*words: str) -> tuple[int, str, str]:
        monkeypatch.setattr("sys.argv", ["hilum", "score", *words])
        try:
            cli.main()
            status = 0
        except SystemExit as leaving:
            status = int(leaving.code or 0)
        out = capsys.readouterr()
        return status, out.out, out.err

    return call


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
    for name in ("chexbert", "radgraph", "ratescore", "green"):
        assert f"{name}: absent, {name}: " in out


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
    ],
)
def test_a_mistake_in_the_options_is_one_line(hilum, words: list[str], told: str) -> None:
    status, out, err = hilum(*files(), *words)
    assert status == 2 and not out and told in err, err
    assert len(err.strip().splitlines()) == 1
