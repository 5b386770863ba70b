"""Writing impressions: search, and the choice of the draft that is most like all that was found."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch

from hilum.decoding import Hypothesis, SearchConfig, beam_search
from hilum.metrics import rouge
from hilum.models.ensemble import Ensemble
from hilum.models.summary_model import Source, SummaryModel, batch

EVENNESS = 0.5
"""The power of a hypothesis' probability that weighs it in the consensus: the few that a search keeps look surer than
they are. Chosen on validation (docs/log.md, "impressions")."""


@torch.no_grad()
def write(
    models: Sequence[SummaryModel], sources: Sequence[Source], search: SearchConfig
) -> list[list[Hypothesis]]:
    """The hypotheses for each of ``sources``, best first."""
    together = batch(sources)
    read = [model.read(together) for model in models]
    memory, decoder = read[0] if len(read) == 1 else (read[0][0], Ensemble(tuple(read)))
    return beam_search(decoder, memory, search)


def choose(source: Source, hypotheses: Sequence[Hypothesis]) -> tuple[str, float]:
    """The hypothesis that is most like all of them (as normal form), and its share of their probability.

    Minimum Bayes risk (Kumar and Byrne 2004) under ROUGE-L: of several wordings of one thought none may be the
    likeliest, so the thought is chosen and not the likeliest wording.
    """
    texts = [source.vocabulary.decode(hypothesis.tokens) for hypothesis in hypotheses]
    best = max(hypothesis.log_prob for hypothesis in hypotheses)
    shares = [math.exp(hypothesis.log_prob - best) for hypothesis in hypotheses]
    place = consensus([rouge.words(text) for text in texts], [share**EVENNESS for share in shares])
    return texts[place], shares[place] / sum(shares)


def consensus(texts: Sequence[Sequence[str]], weights: Sequence[float]) -> int:
    """The place of the text with the highest expected ROUGE-L when another is drawn by ``weights``; of equals the
    first. Raises ValueError where there is no text."""
    if not texts:
        raise ValueError("nothing to choose from")
    expected = [
        sum(weight * rouge.rouge_l(made, wanted) for wanted, weight in zip(texts, weights, strict=True))
        for made in texts
    ]
    return max(range(len(texts)), key=lambda place: round(expected[place], 12))
