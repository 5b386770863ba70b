"""Word vectors: learnt alike every time, near where the words are, saved whole, and landing in the decoder."""

from __future__ import annotations

import csv
import hashlib
import json
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import msgspec
import numpy as np
import pytest
import safetensors.numpy
import torch
from torch import nn

from hilum import checkpoints, lineage, training
from hilum.data import splits
from hilum.errors import InputError, MissingDependencyError, TextError
from hilum.models.decoders import begin_with
from hilum.recipes import RECIPES, tiny
from hilum.study import Study
from hilum.text import embeddings
from hilum.text.embeddings import Method, WordVectors, grams_of
from hilum.text.normal import normalise
from hilum.text.tokenizer import SPECIAL, Tokenizer
from tests import made
from tests.command import call

TEXTS = [
    *["there is a left pleural effusion . the heart is normal .", "the lungs are clear . no effusion ."] * 12,
    *["there is a right pleural effusion .", "small bilateral effusions ."] * 6,
]
CASES = Path(__file__).parent / "cases" / "nearest_words.csv"


def cases() -> list[tuple[str, str, int, Method]]:
    with CASES.open(encoding="utf-8", newline="") as lines:
        rows = csv.DictReader(line for line in lines if not line.startswith("#"))
        return [
            (row["word"], row["near"], int(row["within"]), method)
            for row in rows
            for method in Method
            if row["method"] in (method, "both")
        ]


@pytest.fixture(scope="module")
def reports(openi_studies: Sequence[Study]) -> list[str]:
    """The first 600 training reports of the R2Gen split, as normal forms."""
    by_id = {study.id: study for study in openi_studies}
    found = [by_id[name].report for name in splits.r2gen(openi_studies).train[:600]]
    texts = [text for report in found if report for text in (report.findings, report.impression)]
    return [normal for text in texts if (normal := normalise(text))]


@pytest.fixture(scope="module")
def real(reports: list[str]) -> dict[Method, WordVectors]:
    return {method: embeddings.train(reports, method=method, width=32) for method in Method}


@pytest.fixture(scope="module", params=list(Method))
def small(request: pytest.FixtureRequest) -> WordVectors:
    return embeddings.train(TEXTS, method=request.param, width=8)


@pytest.mark.parametrize(("word", "near", "within", "method"), cases())
def test_words_that_are_used_alike_are_near(
    real: dict[Method, WordVectors], word: str, near: str, within: int, method: Method
) -> None:
    found = real[method].nearest(word, within)
    assert near in [other for other, _ in found], found


def test_the_same_seed_gives_the_same_vectors(small: WordVectors) -> None:
    again = embeddings.train(TEXTS, method=small.method, width=8)
    assert again.to_bytes() == small.to_bytes()
    assert embeddings.train(TEXTS, method=small.method, width=8, seed=1).to_bytes() != small.to_bytes()


def test_another_process_with_other_hashes_gives_the_same_vectors() -> None:
    code = (
        "import hashlib, sys; from hilum.text import embeddings;"
        "made = embeddings.train(sys.argv[1:], method=embeddings.Method.FASTTEXT, width=8);"
        "print(hashlib.sha256(made.to_bytes()).hexdigest())"
    )
    other = subprocess.run(
        [sys.executable, "-c", code, *TEXTS], env={"PYTHONHASHSEED": "7", "OMP_NUM_THREADS": "1"}, check=True,
        capture_output=True, text=True, cwd=Path(__file__).parents[1],
    )  # fmt: skip
    here = embeddings.train(TEXTS, method=Method.FASTTEXT, width=8).to_bytes()
    assert other.stdout.strip() == hashlib.sha256(here).hexdigest()
    assert other.stderr == ""


def test_words_come_by_frequency_and_rare_ones_not_at_all(small: WordVectors) -> None:
    counts = [sum(text.split().count(word) for text in TEXTS) for word in small.words]
    assert counts == sorted(counts, reverse=True)
    assert set(small.words) == {word for text in TEXTS for word in text.split()}
    rarer = embeddings.train(TEXTS, method=small.method, width=8, min_count=7)
    assert "effusions" in small.words and "effusions" not in rarer.words


def test_cosines_are_those_of_the_vectors(real: dict[Method, WordVectors]) -> None:
    vectors = real[Method.WORD2VEC]
    table = vectors.vectors_WD.astype(np.float64)
    word = vectors.words.index("effusion")
    cosines = table @ table[word] / np.linalg.norm(table, axis=1) / np.linalg.norm(table[word])
    cosines[word] = -2
    best = [vectors.words[index] for index in np.argsort(-cosines)[:10]]
    found = vectors.nearest("Effusion")
    assert [other for other, _ in found] == best
    assert [cosine for _, cosine in found] == pytest.approx(sorted(cosines, reverse=True)[:10], abs=1e-5)


def test_fasttext_vectors_are_those_of_gensim(monkeypatch: pytest.MonkeyPatch) -> None:
    """Words that were learnt; and of a word that was not, the mean over its runs of letters that were."""
    from gensim.models import FastText
    from gensim.models.fasttext_inner import ft_hash_bytes

    kept = []

    def keep(*args: object, **options: object) -> FastText:
        kept.append(FastText(*args, **options))
        return kept[-1]

    monkeypatch.setattr("gensim.models.FastText", keep)
    vectors = embeddings.train(TEXTS, method=Method.FASTTEXT, width=8)
    theirs = kept[0].wv
    for word in ("effusion", "effusions", "the", "."):
        assert vectors.vector(word) == pytest.approx(theirs[word])
    unseen = "pleuralgia"
    learnt = [gram for gram in grams_of(unseen) if gram in vectors.grams]
    assert "<pleu" in learnt and "algia>" not in learnt and unseen not in vectors.words
    places = [ft_hash_bytes(gram.encode()) % embeddings.BUCKETS for gram in learnt]
    assert vectors.vector(unseen) == pytest.approx(theirs.vectors_ngrams[places].mean(0))


@pytest.mark.parametrize("word", ["effusion", "t8", ".", "3.5", "well-expanded", "é"])
def test_runs_of_letters_are_those_of_gensim(word: str) -> None:
    from gensim.models.fasttext_inner import compute_ngrams

    assert sorted(grams_of(word)) == sorted(compute_ngrams(word, *embeddings.GRAMS))


def test_a_word_that_was_never_seen(real: dict[Method, WordVectors]) -> None:
    with pytest.raises(InputError, match=r"no vector for 'effussion'.*fasttext"):
        real[Method.WORD2VEC].nearest("effussion")
    with pytest.raises(InputError, match="no vector for 'qqqq'"):
        real[Method.FASTTEXT].nearest("qqqq")


def test_saved_and_loaded_they_are_the_same(small: WordVectors) -> None:
    loaded = WordVectors.from_bytes(small.to_bytes(), "f")
    assert (loaded.method, loaded.words, loaded.grams) == (small.method, small.words, small.grams)
    assert np.array_equal(loaded.vectors_WD, small.vectors_WD)
    assert np.array_equal(loaded.grams_KD, small.grams_KD)
    for word in ("effusion", "effusionss"):
        ours, theirs = loaded.vector(word), small.vector(word)
        assert (ours is None and theirs is None) or np.array_equal(ours, theirs)


def test_the_text_format_is_what_gensim_reads(small: WordVectors, tmp_path: Path) -> None:
    from gensim.models import KeyedVectors

    (tmp_path / "v.vec").write_text(small.to_text(), encoding="utf-8")
    read = KeyedVectors.load_word2vec_format(str(tmp_path / "v.vec"))
    assert tuple(read.index_to_key) == small.words
    assert read.vectors == pytest.approx(small.vectors_WD, rel=1e-4)


def broken(kind: str, whole: WordVectors) -> bytes:
    data = whole.to_bytes()
    if kind == "foreign":
        return safetensors.numpy.save({"weight": np.zeros((2, 2), np.float32)})
    if kind == "another format":
        return data.replace(b"hilum-vectors-1", b"hilum-vectors-9")
    if kind == "another method":
        return data.replace(b"word2vec", b"word9vec").replace(b"fasttext", b"fastnext")
    if kind == "a word too few":
        return replace(whole, words=whole.words[1:]).to_bytes()
    if kind == "flat":
        return replace(whole, vectors_WD=whole.vectors_WD.ravel()).to_bytes()
    if kind == "doubles":
        return replace(whole, vectors_WD=whole.vectors_WD.astype(np.float64)).to_bytes()
    return {"empty": b"", "text": whole.to_text().encode(), "cut": data[:-7], "noise": bytes(range(256)) * 9}[
        kind
    ]


@pytest.mark.parametrize("kind", ["empty", "text", "cut", "noise", "foreign", "another format", "another method",
                                  "a word too few", "flat", "doubles"])  # fmt: skip
def test_what_is_no_file_of_vectors_is_one_line(kind: str, small: WordVectors) -> None:
    with pytest.raises(InputError) as caught:
        WordVectors.from_bytes(broken(kind, small), "my.safetensors")
    line = str(caught.value)
    assert line.startswith("my.safetensors: ") and "\n" not in line and "hilum vectors" in line


@pytest.mark.parametrize("texts", [[], [""], ["one word ."]])
def test_too_little_text_is_one_line(texts: list[str]) -> None:
    with pytest.raises(TextError, match="no word occurs 3 times"):
        embeddings.train(texts)


def test_without_gensim_it_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch, small: WordVectors) -> None:
    data = small.to_bytes()
    monkeypatch.setitem(sys.modules, "gensim.models", None)
    with pytest.raises(MissingDependencyError, match=r"gensim.*pip install 'hilum\[vectors\]'"):
        embeddings.train(TEXTS)
    assert WordVectors.from_bytes(data, "f").nearest("effusion", 1)  # those at hand need none


def test_rows_are_for_the_words_of_the_tokenizer(small: WordVectors) -> None:
    tokenizer = Tokenizer.train([*TEXTS, "qqqq ."], min_count=1)
    rows, known = small.rows(tokenizer.words)
    assert rows.shape == (len(tokenizer), 8) and rows.dtype == np.float32
    for word, row, has in zip(tokenizer.words, rows, known, strict=True):
        assert has == (word not in (*SPECIAL, "qqqq"))
        assert np.array_equal(row, small.vector(word) if has else np.zeros(8))


def test_rows_land_in_the_embedding_and_the_others_stay(small: WordVectors) -> None:
    tokenizer = Tokenizer.train([*TEXTS, "qqqq ."], min_count=1)
    embed = nn.Embedding(len(tokenizer), 8)
    before = embed.weight.detach().clone()
    rows, known = small.rows(tokenizer.words)
    begin_with(embed, rows, known)
    after = embed.weight.detach()
    assert torch.equal(after[~known], before[~known]) and embed.weight.requires_grad
    factor = (after[known] / torch.from_numpy(rows)[known]).flatten()
    assert torch.allclose(factor, factor[0].expand_as(factor), rtol=1e-4) and factor[0] > 0
    assert float(after[known].square().mean()) == pytest.approx(
        float(before[known].square().mean()), rel=1e-5
    )


@pytest.mark.parametrize(("words", "width"), [(4, 8), (6, 8), (5, 7)])
def test_vectors_of_another_shape_are_one_line(words: int, width: int) -> None:
    embed = nn.Embedding(5, 8)
    with pytest.raises(InputError, match=rf"{words} words, {width} wide, for a decoder of 5 words, 8 wide"):
        begin_with(embed, np.zeros((words, width), np.float32), np.ones(words, np.bool_))


def test_no_word_with_a_vector_changes_nothing() -> None:
    embed = nn.Embedding(5, 8)
    before = embed.weight.detach().clone()
    begin_with(embed, np.zeros((5, 8), np.float32), np.zeros(5, np.bool_))
    assert torch.equal(embed.weight, before)


def weights(run: Path) -> dict[str, np.ndarray]:
    return safetensors.numpy.load((run / "weights.safetensors").read_bytes())


def test_training_starts_from_them_and_from_nothing_else(tmp_path: Path) -> None:
    """At a rate of 0 the finished weights are the first ones: equal but for the words that have a vector."""
    torch.set_num_threads(1)
    data = tmp_path / "data"
    dataset = made.dataset(data, 30)
    still = replace(
        tiny(), encoder=None, decoder=replace(tiny().decoder, epochs=1, rate=0.0), save_seconds=60.0
    )
    training.train(still, data, tmp_path / "random")
    info = training.train(replace(still, word_vectors=Method.WORD2VEC), data, tmp_path / "vectors")
    plain, begun = weights(tmp_path / "random"), weights(tmp_path / "vectors")
    assert [name for name in plain if not np.array_equal(plain[name], begun[name])] == [
        "decoder.embed.weight"
    ]
    by_id = dataset.by_id()
    texts = [
        text
        for name in splits.read(data, "clean").train
        for text in training.objectives.texts(by_id[name])
        if text
    ]
    tokenizer = checkpoints.load(tmp_path / "vectors").tokenizer
    rows, known = embeddings.train(texts, width=32, min_count=1).rows(tokenizer.words)
    assert known.sum() == len(tokenizer) - len(SPECIAL)
    name = "decoder.embed.weight"
    assert np.array_equal(begun[name][~known], plain[name][~known])
    assert np.corrcoef(begun[name][known].ravel(), rows[known].ravel())[0, 1] == pytest.approx(1.0, abs=1e-5)
    assert info.training["word_vectors"] == "word2vec"
    assert "word_vectors" in json.loads((tmp_path / "random" / "config.json").read_text())["training"]


def test_a_run_that_was_killed_goes_on_exactly(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    torch.set_num_threads(1)
    data = tmp_path / "data"
    made.dataset(data, 30)
    config = replace(
        tiny(), encoder=replace(tiny().encoder, epochs=1), decoder=replace(tiny().decoder, epochs=2),
        word_vectors=Method.FASTTEXT,
    )  # fmt: skip
    training.train(config, data, tmp_path / "whole")
    save, saves, enough = torch.save, [], 0

    def killed(state: dict[str, object], path: Path) -> None:
        save(state, path)
        if isinstance(state.get("progress"), dict):
            saves.append(state["progress"]["stage"])
        if len(saves) == enough:
            raise KeyboardInterrupt

    monkeypatch.setattr(torch, "save", killed)
    for enough in (2, 5):  # noqa: B007 - read by killed
        saves.clear()
        with pytest.raises(KeyboardInterrupt):
            training.train(config, data, tmp_path / "killed", resume=True)
    assert saves[-1] == "decoder"
    monkeypatch.setattr(torch, "save", save)
    training.train(config, data, tmp_path / "killed", resume=True)
    whole, killed_run = weights(tmp_path / "whole"), weights(tmp_path / "killed")
    assert all(np.array_equal(whole[name], killed_run[name]) for name in whole)


def test_a_state_from_before_there_was_a_choice_can_be_resumed(tmp_path: Path) -> None:
    """Its fingerprint was that of a configuration without the fields that came later."""
    (tmp_path / "studies.jsonl").write_text("{}\n")
    before = msgspec.to_builtins(replace(tiny(), save_seconds=0.0))
    later = (
        "word_vectors",
        "drawn_places",
        "reward",
        "reward_stage",
        "weights",
        "weights_sha256",
        "precision",
    )
    for name in (*later, "told_last", "emphasis", "augment", "codes", "retrieval"):
        del before[name]
    for stage in ("encoder", "decoder"):
        del before[stage]["average"], before[stage]["micro_batch"]
    for name in (
        "background",
        "retrieved",
        "decoder",
        "layers",
        "heads",
        "encoder_shape",
        "trainable",
        "codes",
        "classifiers",
    ):
        before["model"].pop(name, None)
    for name in ("nucleus", "consensus", "consensus_power", "consistent"):
        before["search"].pop(name, None)
    data = hashlib.sha256(b"{}\n").hexdigest()
    expected = hashlib.sha256(msgspec.json.encode([before, data])).hexdigest()
    assert lineage.fingerprint(tiny(), tmp_path) == expected
    assert lineage.fingerprint(replace(tiny(), word_vectors=Method.WORD2VEC), tmp_path) != expected


def test_the_recipe_differs_from_its_base_in_the_vectors_alone() -> None:
    base, variant = RECIPES["openi-decoder"](), RECIPES["openi-vectors"]()
    assert variant == replace(base, name="openi-vectors", word_vectors=Method.WORD2VEC)
    assert base.word_vectors is None


@pytest.fixture
def hilum(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    return lambda *words: call(monkeypatch, capsys, "vectors", *words)


def test_the_command_learns_saves_and_asks(hilum, tmp_path: Path) -> None:
    data, file = tmp_path / "data", tmp_path / "new" / "vectors.safetensors"
    made.dataset(data, 60)
    status, out, err = hilum("--data", data, "--out", file, "--width", 16, "--nearest", "Left", "--count", 2)
    assert status == 0, err
    assert out.startswith("Left: ") and f"{file}: word2vec, 16 words, 16 numbers each" in out
    status, again, err = hilum("--from", file, "--nearest", "Left", "--count", 2, "--json")
    assert status == 0, err
    found = json.loads(again)
    assert (found["method"], found["words"], found["width"]) == ("word2vec", 16, 16)
    assert [word for word, _ in found["nearest"]["Left"]] == [
        part.split()[0] for part in out.splitlines()[0].removeprefix("Left: ").split(", ")
    ]
    status, _, err = hilum("--from", file, "--out", tmp_path / "v.vec")
    assert status == 0, err
    assert (tmp_path / "v.vec").read_text().startswith("16 16\n")


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ((), "give either --data DIR"),
        (("--data", "DATA", "--from", "FILE", "--out", "x"), "give either --data DIR"),
        (("--data", "DATA"), "nothing to do"),
        (("--from", "FILE", "--nearest", "x"), "No such file"),
        (("--data", "DATA", "--out", "OUT", "--split", "none"), "none"),
        (("--data", "DATA", "--out", "OUT", "--nearest", "zebra"), "no vector for 'zebra'"),
        (("--data", "DATA", "--out", "OUT", "--min-count", "1000"), "no word occurs 1000 times"),
    ],
)
def test_a_mistake_is_one_line_and_writes_nothing(
    hilum, tmp_path: Path, words: tuple[str, ...], says: str
) -> None:
    made.dataset(tmp_path / "data", 6)
    places = {"DATA": tmp_path / "data", "FILE": tmp_path / "absent", "OUT": tmp_path / "out"}
    status, out, err = hilum(*(places.get(word, word) for word in words))
    assert status == 2 and out == "" and not (tmp_path / "out").exists()
    assert err.startswith("hilum: error: ") and err.count("\n") == 1 and says in err
