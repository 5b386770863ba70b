"""Writing impressions: search, and the choice of the draft that is most like all that was found."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from hilum import consensus
from hilum.decoding import Hypothesis, SearchConfig, beam_search
from hilum.models.ensemble import Ensemble
from hilum.models.summary_model import Source, SummaryModel, batch
from hilum.text.normal import numbered

EVENNESS = 0.5
"""The power of a hypothesis' probability that weighs it in the consensus: the few that a search keeps look surer than
they are. Chosen on validation (docs/log.md, "impressions")."""

NEIGHBOURS = 10
"""So many impressions of similar reports are evidence, where there are any."""
SHARE = 0.5
"""How much they weigh together; the search's own hypotheses weigh the rest."""
CLOSENESS = 4
"""The power of a similarity that weighs an impression among them. Chosen on validation, as are the two above."""

ROUGE = consensus.Utility({"rougeL_f1": 1.0})


@torch.no_grad()
def write(
    models: Sequence[SummaryModel], sources: Sequence[Source], search: SearchConfig
) -> list[list[Hypothesis]]:
    """The hypotheses for each of ``sources``, best first."""
    together = batch(sources).to(models[0].device)
    read = [model.read(together) for model in models]
    memory, decoder = read[0] if len(read) == 1 else (read[0][0], Ensemble(tuple(read)))
    return beam_search(decoder, memory, search)


def choose(
    source: Source, hypotheses: Sequence[Hypothesis], beside: Sequence[tuple[str, float]] = ()
) -> tuple[str, float]:
    """The hypothesis that is most like all of them, as prose, and its share of their probability.

    ``beside`` are impressions of similar reports (``hilum.summary.neighbours``) and how similar they are, above 0:
    evidence of what may be right, but none of them is chosen.

    Minimum Bayes risk (Kumar and Byrne 2004) under ROUGE-L: of several wordings of one thought none may be the
    likeliest, so the thought is chosen and not the likeliest wording.
    """
    texts = [numbered(source.vocabulary.decode(hypothesis.tokens)) for hypothesis in hypotheses]
    log_probs = [hypothesis.log_prob for hypothesis in hypotheses]
    weights = consensus.shares(log_probs, EVENNESS)
    if beside:
        close = [similar**CLOSENESS for _, similar in beside]
        scale = SHARE / (1 - SHARE) * sum(weights) / sum(close)
        weights += [scale * one for one in close]
    place = consensus.choose(ROUGE, texts, weights, wanted=[*texts, *(text for text, _ in beside)])
    own = consensus.shares(log_probs, 1.0)
    return texts[place], own[place] / sum(own)
