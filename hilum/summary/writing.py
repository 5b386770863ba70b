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


def choose(source: Source, hypotheses: Sequence[Hypothesis]) -> tuple[str, float]:
    """The hypothesis that is most like all of them, as prose, and its share of their probability.

    Minimum Bayes risk (Kumar and Byrne 2004) under ROUGE-L: of several wordings of one thought none may be the
    likeliest, so the thought is chosen and not the likeliest wording.
    """
    texts = [numbered(source.vocabulary.decode(hypothesis.tokens)) for hypothesis in hypotheses]
    log_probs = [hypothesis.log_prob for hypothesis in hypotheses]
    place = consensus.choose(ROUGE, texts, consensus.shares(log_probs, EVENNESS))
    own = consensus.shares(log_probs, 1.0)
    return texts[place], own[place] / sum(own)
