"""Summarising from end to end: learnt on made reports in seconds, loaded, asked, and asked wrongly."""

from __future__ import annotations

import io
import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from hilum import checkpoints, cli
from hilum.data import manifest, splits
from hilum.data.manifest import DatasetInfo
from hilum.decoding import Hypothesis
from hilum.errors import DataError, RunError, TextError
from hilum.models.copying import Vocabulary
from hilum.models.summary_model import MAX_FINDINGS, Source, SummaryConfig, SummaryModel, batch
from hilum.study import DISCLAIMER, Report, Study
from hilum.summary import runs, training
from hilum.summary.neighbours import Neighbours
from hilum.summary.requests import Request, of_lines, of_text
from hilum.summary.summariser import CUT, NOTHING, Summariser
from hilum.summary.writing import choose, write
from hilum.text.normal import listed
from hilum.text.tokenizer import UNKNOWN, Tokenizer
from tests.contracts import check_gradients

SYLLABLES = ("ba", "co", "du", "fe", "gi", "ko", "lu", "ma", "ne", "pi")


def word(number: int) -> str:
    """A word that stands in one report only."""
    return SYLLABLES[number % 10] + SYLLABLES[number // 10 % 10] + "oma"


def study(number: int) -> Study:
    """Every third report is normal; the others show something whose name stands nowhere else."""
    if number % 3 == 0:
        report = Report("The lungs are clear. The heart is normal.", "No acute disease.")
    else:
        report = Report(f"The heart is normal. There is a {word(number)}.", f"There is a {word(number)}.")
    return Study(str(number), indication="Cough." if number % 2 else "", report=report)


def dataset(root: Path, count: int = 72) -> Path:
    manifest.write(
        root, DatasetInfo("made", "made for a test", "Apache-2.0", simulated=True), map(study, range(count))
    )
    ids = [str(number) for number in range(count)]
    parts = {"train": tuple(ids[:-12]), "validation": tuple(ids[-12:-6]), "test": tuple(ids[-6:])}
    splits.write(root, splits.Split("clean", **parts, sha256=splits.digest(**parts)))
    return root


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return dataset(tmp_path_factory.mktemp("made") / "data")


CONFIG = replace(training.impression_tiny(), min_count=2)


@pytest.fixture(scope="module")
def run(data: Path) -> Path:
    folder = data.parent / "run"
    training.train(CONFIG, data, folder)
    return folder


@pytest.fixture(scope="module")
def summariser(run: Path) -> Summariser:
    return Summariser.load(run)


# What it learns


def test_it_learns_the_reports_and_copies_words_it_has_never_seen(summariser: Summariser) -> None:
    unseen = [number for number in range(66, 72) if number % 3]
    assert all(summariser.run.tokenizer.id(word(number)) == UNKNOWN for number in unseen)
    requests = [Request(str(n), f"The heart is normal. There is a {word(n)}.") for n in unseen]
    requests.append(Request("normal", "The lungs are clear. The heart is normal.", "Cough."))
    drafts = summariser.summarise(requests)
    assert [draft.text for draft in drafts] == [
        *(f"There is a {word(n)}." for n in unseen),
        "No acute disease.",
    ]
    assert all(draft.disclaimer == DISCLAIMER and not draft.warnings for draft in drafts)
    assert all(0 < draft.probability <= 1 for draft in drafts)


def test_a_batch_says_what_each_report_gets_alone(summariser: Summariser) -> None:
    requests = [
        Request(str(n), " ".join(["The heart is normal."] * (n % 4) + [f"A {word(n)}."])) for n in range(9)
    ]
    together = summariser.summarise(requests)
    for request, draft in zip(requests, together, strict=True):
        (alone,) = summariser.summarise([request])
        assert alone.text == draft.text
        assert alone.probability == pytest.approx(draft.probability, abs=1e-4)


def test_nothing_to_read_and_too_much(summariser: Summariser) -> None:
    drafts = summariser.summarise(
        [
            Request("a", ""),
            Request("b", "XXXX"),
            Request("c", "heart " * (MAX_FINDINGS + 1)),
            Request("d", "心臓 ? <end> é"),
        ]
    )
    assert [draft.warnings for draft in drafts] == [(NOTHING,), (NOTHING,), (CUT,), ()]
    assert drafts[0].text == drafts[1].text == ""
    assert summariser.summarise([]) == []


def test_the_same_seed_gives_the_same_weights_and_a_stopped_run_goes_on(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = replace(CONFIG, epochs=2)
    whole = training.train(config, data, tmp_path / "whole")
    rounds = []
    inner = training._epoch

    def stops(*arguments, **names):
        rounds.append(1)
        if len(rounds) == 4:  # in the second epoch of the second member
            raise KeyboardInterrupt
        return inner(*arguments, **names)

    monkeypatch.setattr(training, "_epoch", stops)
    with pytest.raises(KeyboardInterrupt):
        training.train(config, data, tmp_path / "parts")
    with pytest.raises(RunError, match="no finished run"):
        runs.load(tmp_path / "parts")
    with pytest.raises(RunError, match="another configuration"):
        training.train(replace(config, rate=1e-4), data, tmp_path / "parts", resume=True)
    resumed = training.train(config, data, tmp_path / "parts", resume=True)
    assert resumed.weights_sha256 == whole.weights_sha256
    assert not (tmp_path / "parts" / checkpoints.RESUME).exists()
    assert training.train(config, data, tmp_path / "parts", resume=True) == resumed  # it had finished
    log = [json.loads(line) for line in (tmp_path / "parts" / "log.jsonl").read_text().splitlines()]
    assert [(line["member"], line["epoch"]) for line in log] == [(1, 1), (1, 2), (2, 1), (2, 2)]


def test_another_folder_or_an_unusable_data_set_is_refused(data: Path, run: Path, tmp_path: Path) -> None:
    with pytest.raises(RunError, match="not empty"):
        training.train(CONFIG, data, run)
    with pytest.raises(DataError, match="no split"):
        training.train(replace(CONFIG, split="other"), data, tmp_path / "run")
    empty = tmp_path / "empty"
    manifest.write(
        empty, DatasetInfo("made", "", "", simulated=True), [Study("1", report=Report("Findings."))]
    )
    splits.write(empty, splits.Split("clean", ("1",), (), (), splits.digest(("1",), (), ())))
    with pytest.raises(DataError, match="no reports with findings and impression"):
        training.train(CONFIG, empty, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_every_parameter_learns() -> None:
    tokenizer = Tokenizer.train(["the heart is normal ."], min_count=1)
    torch.manual_seed(0)
    model = SummaryModel(SummaryConfig(len(tokenizer), 12, 12, 16, 8, 6, 0.0))
    pairs = [training.Pair.of(tokenizer, study(number), 20) for number in range(6)]
    _, loss = training._losses(
        model, pairs, replace(CONFIG, model=replace(CONFIG.model, vocabulary=len(tokenizer)))
    )
    check_gradients(model, loss)
    assert sum("embed" in name for name in model.weights()) == 1  # one embedding in three places


# The run folder


def test_a_damaged_run_says_which_file(run: Path, tmp_path: Path) -> None:
    for name in ("weights-1.safetensors", "tokenizer.json"):
        for part in run.iterdir():
            (tmp_path / part.name).write_bytes(part.read_bytes())
        (tmp_path / name).write_bytes(b"{}")
        with pytest.raises(RunError, match=f"{name}: damaged"):
            runs.load(tmp_path)
    (tmp_path / "config.json").write_text('{"format": "hilum-run-1"}')
    with pytest.raises(RunError, match="no summariser"):
        runs.load(tmp_path)
    (tmp_path / "config.json").write_text("{")
    with pytest.raises(RunError, match="not a run's configuration"):
        runs.load(tmp_path)


def test_the_folder_holds_no_report(run: Path) -> None:
    assert sorted(path.name for path in run.iterdir()) == [
        "README.md", "config.json", "log.jsonl", "tokenizer.json", "weights-0.safetensors", "weights-1.safetensors",
    ]  # fmt: skip
    assert DISCLAIMER in (run / "README.md").read_text()


# Choosing


def test_choose_gives_the_share_of_the_probability() -> None:
    tokenizer = Tokenizer.train(["no acute disease ."], min_count=1)
    source = Source(Vocabulary(tokenizer), (5,), (), False)
    ids = tuple(tokenizer.encode("no acute disease ."))
    text, share = choose(source, [Hypothesis(ids, -1.0, True), Hypothesis(ids[:1], -2.0, True)])
    assert text == "No acute disease."
    assert share == pytest.approx(1 / (1 + 2.718281828**-1))


def test_the_numbers_of_a_list_are_learnt_and_written() -> None:
    tokenizer = Tokenizer.train([listed("1. Old disease. 2. Effusion.")], min_count=1)
    told = Study("1", report=Report("An effusion.", "1) Old disease. 2) Effusion."))
    pair = training.Pair.of(tokenizer, told, 20)
    text, _ = choose(pair.source, [Hypothesis(pair.target[1:-1], -1.0, True)])
    assert text == "1. Old disease. 2. Effusion."
    texts = ["# old disease .", "old disease .", "# old disease . # effusion ."]
    found = [Hypothesis(tuple(tokenizer.encode(text)), -1.0, True) for text in texts]
    assert choose(pair.source, found)[0] == "1. Old disease."  # numbers count, as they do in the reference


def test_neighbours_are_the_nearest_training_reports_and_their_say_counts(
    run: Path, data: Path, tmp_path: Path
) -> None:
    reports = [
        Report("Clear lungs XXXX today.", "1. Normal XXXX chest. 2. No change."),
        Report("Large left effusion.", "Effusion."), Report("Small left effusion.", "Small effusion."),
        Report("Nothing said.", "XXXX."),
    ]  # fmt: skip
    near = Neighbours.of([Study(str(n), report=one) for n, one in enumerate(reports)])
    ((first, second), (only,), none) = near.near(["Small left effusion", "Clear lungs.", "Unknown"], 2)
    assert (first[0], second[0]) == ("Small effusion.", "Effusion.")
    assert first[1] == pytest.approx(1) and 0 < second[1] < 1
    assert only[0] == "1. Normal chest. 2. No change." and none == []  # no blank is ever said

    tokenizer = Tokenizer.train(["old disease . effusion"], min_count=1)
    source = Source(Vocabulary(tokenizer), (5,), (), False)
    own = [Hypothesis(tuple(tokenizer.encode(text)), -1.0, True) for text in ("old disease .", "effusion .")]
    assert choose(source, own)[0] == "Old disease."
    assert choose(source, own, [("Effusion, left.", 0.2)]) == ("Effusion.", pytest.approx(0.5))
    closer = [("Old disease, stable.", 0.9), *[("Effusion.", 0.6)] * 3]
    assert choose(source, own, closer)[0] == "Old disease."  # three, but less like the report

    beside = Summariser.load(run, data=data)
    assert (
        beside.neighbours is not None and len(beside.neighbours.impressions) == 60
    )  # train, nothing held out
    (draft,) = beside.summarise([Request("1", "The lungs are clear. The heart is normal.", "Cough.")])
    assert draft.text == "No acute disease."
    with pytest.raises(DataError, match="not the data set that this run was trained on"):
        Summariser.load(run, data=dataset(tmp_path / "other", 60))


def test_one_model_and_two_of_the_same_write_the_same(summariser: Summariser) -> None:
    model, search = summariser.run.models[0], summariser.run.info.search
    sources = [Source.of(summariser.run.tokenizer, f"There is a {word(n)}.", "") for n in range(4)]
    one, two = (write(models, sources, search) for models in ((model,), (model, model)))
    assert [[h.tokens for h in found] for found in one] == [[h.tokens for h in found] for found in two]
    assert batch(sources).positions_BN().shape[0] == 4


# What comes in


def test_lines_of_every_kind() -> None:
    lines = [
        b"FINDINGS: Clear lungs. IMPRESSION: Normal. \n",
        b"\n",
        b'{"id": "a", "findings": "Clear.", "indication": null}\n',
        b'{"text": "INDICATION: Cough. HISTORY: Smoker. FINDINGS: Clear lungs."}\n',
        b"\xff no headings at all",
    ]
    assert of_lines(lines, "x") == [
        Request("1", "Clear lungs."),
        Request("a", "Clear."),
        Request("4", "Clear lungs.", "Cough. Smoker."),
        Request("5", "\N{REPLACEMENT CHARACTER} no headings at all"),
    ]
    assert of_text("1", "INDICATION: Cough.\n\nFINDINGS:\nClear\nlungs.").findings == "Clear\nlungs."


@pytest.mark.parametrize(
    "line", [b"{", b'{"id": 1}', b'{"findings": 3}', b'{"findings": "x", "indication": 3}', b"{" * 100_000]
)
def test_broken_lines_are_named(line: bytes) -> None:
    with pytest.raises(TextError, match=r"reports\.jsonl: line 2"):
        of_lines([b"Clear lungs.", line], "reports.jsonl")


@given(st.lists(st.binary(max_size=60), max_size=4))
def test_no_bytes_break_it(lines: list[bytes]) -> None:
    try:
        found = of_lines(lines, "x")
    except TextError as error:
        assert "\n" not in str(error)
    else:
        assert all(isinstance(request.findings, str) for request in found)


# The command line


def call(monkeypatch, capsys, *words: str | Path, stdin: bytes = b"") -> tuple[int, str, str]:
    monkeypatch.setattr("sys.argv", ["hilum", *map(str, words)])
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(stdin)))
    status = 0
    try:
        cli.main()
    except SystemExit as leaving:
        status = int(leaving.code or 0)
    out = capsys.readouterr()
    return status, out.out, out.err


def test_summarise_marks_every_line_as_a_draft(monkeypatch, capsys, run: Path, tmp_path: Path) -> None:
    text = f"The lungs are clear. The heart is normal.\nFINDINGS: There is a {word(70)}.\n"
    status, out, err = call(monkeypatch, capsys, "summarise", run, stdin=text.encode())
    assert status == 0, err
    assert out.splitlines() == ["DRAFT: No acute disease.", f"DRAFT: There is a {word(70)}."]
    assert DISCLAIMER in err
    file = tmp_path / "reports.txt"
    file.write_text(text)
    status, out, _ = call(monkeypatch, capsys, "summarise", run, file, "--json")
    made = [json.loads(line) for line in out.splitlines()]
    assert [one["id"] for one in made] == ["1", "2"]
    assert all(set(one) == {"id", "text", "probability", "warnings", "disclaimer"} for one in made)
    status, out, _ = call(monkeypatch, capsys, "summarise", run, file, "--whole")
    assert len(out.splitlines()) == 1


def test_summarise_refuses_in_one_line(monkeypatch, capsys, run: Path, tmp_path: Path) -> None:
    empty = tmp_path / "empty.txt"
    empty.write_bytes(b" \n")
    for words, said in (
        ((run, empty), "no report in it"),
        ((run, empty, "--whole"), "no report in it"),
        ((run, tmp_path / "none.txt"), "No such file"),
        ((tmp_path, run / "config.json", "--whole"), "no finished run"),
    ):
        status, out, err = call(monkeypatch, capsys, "summarise", *words)
        assert (status, out) == (2, "")
        assert said in err and len(err.strip().splitlines()) == 1


def test_train_knows_the_recipe(monkeypatch, capsys, data: Path, tmp_path: Path) -> None:
    monkeypatch.setitem(training.RECIPES, "impression-tiny", lambda: replace(CONFIG, epochs=1, members=1))
    words = ("train", "--data", data, "--recipe", "impression-tiny", "--out", tmp_path / "run", "--seed", 3)
    status, out, err = call(monkeypatch, capsys, *words)
    assert status == 0, err
    assert "trained on made (60 reports)" in out
    assert runs.load(tmp_path / "run").info.training["seed"] == 3
