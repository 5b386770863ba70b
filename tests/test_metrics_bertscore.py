"""BERTScore: the matching by hand, the model's part with a tiny one made here, or with one of its shape."""

from __future__ import annotations

import sys
import types
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from hilum.errors import HilumError, MissingDependencyError
from hilum.metrics import bertscore, external
from hilum.metrics.bertscore import Embedded

WORDS = [
    "[PAD]",
    "[UNK]",
    "[CLS]",
    "[SEP]",
    "[MASK]",
    "the",
    "heart",
    "is",
    "normal",
    "no",
    "effusion",
    ".",
    "a",
]
LONGEST = 16


def embedded(units: list[list[float]], counts: list[int]) -> Embedded:
    return Embedded(np.array(units, dtype=float), np.array(counts, dtype=float))


def test_each_token_is_matched_to_its_most_similar_one() -> None:
    up, right, between = [0.0, 1.0], [1.0, 0.0], [0.6, 0.8]
    reference, hypothesis = embedded([up, right], [1, 1]), embedded([up, between, up], [1, 1, 1])
    precision, recall, f1 = bertscore.score(reference, hypothesis)
    assert precision == pytest.approx((1 + 0.8 + 1) / 3)
    assert recall == pytest.approx((1 + 0.6) / 2)
    assert f1 == pytest.approx(2 * precision * recall / (precision + recall))
    assert bertscore.score(hypothesis, reference)[:2] == pytest.approx((recall, precision))


def test_start_and_end_are_matched_to_but_do_not_count() -> None:
    marked = embedded([[1.0, 0.0], [0.0, 1.0]], [0, 1])
    other = embedded([[1.0, 0.0]], [1])
    assert bertscore.score(marked, other) == pytest.approx((1.0, 0.0, 0.0))
    assert bertscore.score(marked, embedded([[1.0, 0.0]], [0])) == (0.0, 0.0, 0.0)


class _Tokenizer:
    """Splits at white space, as a fast tokenizer of transformers is called."""

    model_max_length = 10**30

    def __call__(self, texts, padding, truncation, max_length, return_special_tokens_mask, return_tensors):
        assert padding and truncation and return_special_tokens_mask and return_tensors == "pt"
        rows = [
            [2, *[WORDS.index(w) if w in WORDS else 1 for w in t.split()][: max_length - 2], 3] for t in texts
        ]
        width = max(map(len, rows))
        ids = torch.tensor([row + [0] * (width - len(row)) for row in rows])
        found = {
            "input_ids": ids,
            "attention_mask": (ids != 0).long(),
            "special_tokens_mask": ((ids == 2) | (ids == 3) | (ids == 0)).long(),
        }
        return _Encoding(found)


class _Encoding(dict):
    def to(self, device):
        return self


class _Model(torch.nn.Module):
    """Two layers, the second of which looks at the token before."""

    device = torch.device("cpu")
    config = SimpleNamespace(
        num_hidden_layers=2, max_position_embeddings=LONGEST, model_type="bert", hidden_size=8
    )

    def forward(self, input_ids, attention_mask, output_hidden_states):
        assert output_hidden_states and not torch.is_grad_enabled()
        torch.manual_seed(0)
        first = torch.randn(len(WORDS), 8)[input_ids] * attention_mask[..., None]
        second = first + 0.5 * torch.nn.functional.pad(first, (0, 0, 1, 0))[:, :-1]
        return SimpleNamespace(hidden_states=(first * 0, first, second))


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A weights folder with a tiny model: transformers' own, or a stand-in where it is not installed."""
    place = tmp_path / "w" / "bertscore"
    place.mkdir(parents=True)
    bertscore.load.cache_clear()
    if find_spec("transformers") is None:
        (place / "config.json").write_text("{}")
        package = types.ModuleType("transformers")
        package.__spec__ = SimpleNamespace(name="transformers")  # type: ignore[assignment]

        def from_folder(made):
            def load(name: str, local_files_only: bool):
                assert local_files_only and name == str(place)
                return made()

            return SimpleNamespace(from_pretrained=load)

        package.AutoTokenizer, package.AutoModel = from_folder(_Tokenizer), from_folder(_Model)  # type: ignore[attr-defined]
        monkeypatch.setitem(sys.modules, "transformers", package)
        return place.parent
    from transformers import BertConfig, BertModel, BertTokenizerFast

    (place / "vocab.txt").write_text("\n".join(WORDS))
    BertTokenizerFast(vocab=str(place / "vocab.txt")).save_pretrained(place)
    torch.manual_seed(0)
    shape = {"hidden_size": 8, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 16}
    BertModel(BertConfig(vocab_size=len(WORDS), max_position_embeddings=LONGEST, **shape)).save_pretrained(
        place
    )
    return place.parent


def test_a_copy_scores_one_an_empty_text_nothing_and_order_matters(folder: Path) -> None:
    metric = external.BertScore(folder)
    references = ["the heart is normal .", "no effusion .", "no effusion .", "a normal heart is no ."]
    found = metric.score(references, ["the heart is normal .", "", "effusion no .", "the heart ."])
    assert list(found) == ["bertscore_precision", "bertscore_recall", "bertscore_f1"]
    precision, recall, f1 = found.values()
    assert [precision[0], recall[0], f1[0]] == pytest.approx([1, 1, 1], abs=1e-5)
    assert [precision[1], recall[1], f1[1]] == [0, 0, 0]
    assert 0 < f1[2] < 1 - 1e-4, "a language model sees the neighbours"
    assert precision[3] != recall[3]


def test_batches_and_their_padding_change_nothing(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    texts = ["the", "no effusion .", "the heart is normal no effusion .", "a a a", "heart normal ."]
    together = external.BertScore(folder).score(texts, texts[::-1])["bertscore_f1"]
    monkeypatch.setattr(bertscore, "BATCH", 1)
    alone = external.BertScore(folder).score(texts, texts[::-1])["bertscore_f1"]
    assert together == pytest.approx(alone, abs=1e-5)


def test_what_is_longer_than_the_model_reads_is_cut(folder: Path) -> None:
    found = external.BertScore(folder).score(["the heart " * 40], ["the heart " * 60])
    assert found["bertscore_f1"][0] == pytest.approx(1, abs=1e-5)


def test_the_layer_is_said_and_decides(folder: Path) -> None:
    first, last = external.BertScore(folder, layer=1), external.BertScore(folder)
    assert first.signature() == "bertscore (bert, width 8), layer 1, no idf, no baseline"
    assert "layer 2" in last.signature()
    texts = ["the heart is normal ."], ["no effusion ."]
    assert first.score(*texts)["bertscore_f1"] != pytest.approx(last.score(*texts)["bertscore_f1"])
    with pytest.raises(HilumError, match=r"bertscore: .* layer 3 of a model with 2"):
        external.BertScore(folder, layer=3).score(*texts)


def test_without_its_weights_it_is_absent_by_name(folder: Path, tmp_path: Path) -> None:
    missing = external.BertScore(tmp_path / "nowhere")
    assert "BERTScore's weights are not there" in (missing.available() or "")
    with pytest.raises(MissingDependencyError, match="bertscore: BERTScore's weights"):
        missing.score(["a"], ["b"])
    assert external.BertScore(folder).available() is None
