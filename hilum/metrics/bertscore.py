"""BERTScore by a language model from a local folder: how alike two texts' words are in their contexts.

Every token of either text is matched to the most similar one of the other by the cosine of the model's hidden states
at one layer; precision is the mean over the hypothesis' tokens, recall that over the reference's. Without idf weights
and without a baseline, as ``bert_score`` computes it by default; the layer that its authors chose for a known model
(their ``model2layers``), the last one for any other. Source: Zhang et al., *BERTScore* (ICLR 2020).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from importlib import import_module
from typing import Any

import numpy as np

from hilum.metrics.intervals import Floats

LAYERS = {
    "bert-base-uncased": 9,
    "bert-large-uncased": 18,
    "roberta-base": 10,
    "roberta-large": 17,
    "distilbert-base-uncased": 5,
}
BATCH = 32


@dataclass(frozen=True, slots=True)
class Embedded:
    """A text's T tokens: their directions, and which of them count (its start and end marks are only matched to)."""

    units_TD: Floats
    counts_T: Floats


@dataclass(frozen=True, slots=True)
class Embedder:
    """A language model with its tokenizer; ``layer`` counts from 0, the embeddings before the first layer."""

    tokenizer: Any
    model: Any
    layer: int

    def embed(self, texts: Sequence[str]) -> dict[str, Embedded]:
        """Each of ``texts`` once. What is longer than the model can read is cut."""
        torch = import_module("torch")
        found = {}
        ordered = sorted(set(texts), key=len)
        longest = min(
            self.tokenizer.model_max_length, getattr(self.model.config, "max_position_embeddings", 512)
        )
        if self.model.config.model_type in ("roberta", "xlm-roberta", "camembert"):
            longest = min(
                longest, self.model.config.max_position_embeddings - 2
            )  # two places are its padding's
        for start in range(0, len(ordered), BATCH):
            batch = ordered[start : start + BATCH]
            encoded = self.tokenizer(
                [text.strip() for text in batch], padding=True, truncation=True, max_length=longest,
                return_special_tokens_mask=True, return_tensors="pt",
            )  # fmt: skip
            special_BT = encoded.pop("special_tokens_mask").bool()
            encoded = encoded.to(self.model.device)
            with torch.inference_mode():
                states_BTD = self.model(**encoded, output_hidden_states=True).hidden_states[self.layer]
            units_BTD = torch.nn.functional.normalize(states_BTD.float(), dim=-1).cpu()
            there_BT = encoded["attention_mask"].bool().cpu()
            for text, units_TD, there_T, special_T in zip(
                batch, units_BTD, there_BT, special_BT, strict=True
            ):
                found[text] = Embedded(
                    units_TD[there_T].numpy().astype(np.float64),
                    (~special_T[there_T]).numpy().astype(np.float64),
                )
        return found


@lru_cache(maxsize=1)
def load(model: str, layer: int | None = None) -> Embedder:
    """The model in a folder, or of that name in the Hugging Face cache; nothing is fetched. The last one is kept.

    Raises OSError where it is not there or incomplete, ValueError where it has no such layer.
    """
    torch, transformers = import_module("torch"), import_module("transformers")
    tokenizer = transformers.AutoTokenizer.from_pretrained(model, local_files_only=True)
    loaded = transformers.AutoModel.from_pretrained(model, local_files_only=True)
    loaded = loaded.eval().to("cuda" if torch.cuda.is_available() else "cpu")
    layers = int(loaded.config.num_hidden_layers)
    chosen = LAYERS.get(model.rstrip("/").rpartition("/")[2], layers) if layer is None else layer
    if not 0 <= chosen <= layers:
        raise ValueError(f"layer {chosen} of a model with {layers}")
    return Embedder(tokenizer, loaded, chosen)


def score(reference: Embedded, hypothesis: Embedded) -> tuple[float, float, float]:
    """Precision, recall and F1 of one pair, at most 1; all 0 where either has no token."""
    if not reference.counts_T.any() or not hypothesis.counts_T.any():
        return 0.0, 0.0, 0.0
    alike_TU = hypothesis.units_TD @ reference.units_TD.T
    precision = float(np.average(alike_TU.max(axis=1), weights=hypothesis.counts_T))
    recall = float(np.average(alike_TU.max(axis=0), weights=reference.counts_T))
    both = precision + recall
    return precision, recall, 2 * precision * recall / both if both else 0.0
