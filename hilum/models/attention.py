"""Additive attention with the gate of *Show, Attend and Tell* (arXiv 1502.03044, sections 3.1.2, 4.2)."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from hilum.models import gathered
from hilum.models.memory import Memory, masked_softmax


class AdditiveAttention(nn.Module):
    """Scores ``v . tanh(W a_n + U h)`` over the present positions (Bahdanau et al., arXiv 1409.0473)."""

    def __init__(self, width: int, hidden: int, attention: int) -> None:
        super().__init__()
        self.key = nn.Linear(width, attention)
        self.query = nn.Linear(hidden, attention, bias=False)
        self.score = nn.Linear(attention, 1, bias=False)
        self.gate = nn.Linear(hidden, 1)

    def keys(self, memory: Memory) -> Tensor:
        """The part that does not depend on the decoder's state, (B, N, A): computed once a study.

        For ``weights`` alone: in evaluation it is the exponential that ``doubled`` describes.
        """
        keys_BNA: Tensor = self.key(memory.features_BND)
        return keys_BNA if self.training else doubled(keys_BNA)

    def weights(self, hidden_RH: Tensor, keys_BNA: Tensor, memory: Memory) -> Tensor:
        """The weights (R, N), which sum to 1 over what is present.

        R = B x K rows: K consecutive rows (the beams) share the memory of one study.
        """
        studies, positions, _ = keys_BNA.shape
        beams = hidden_RH.shape[0] // studies
        scores_BKN = self._scores(self.query(hidden_RH).view(studies, beams, -1), keys_BNA)
        return masked_softmax(scores_BKN, memory.present_BN.unsqueeze(1)).reshape(-1, positions)

    def _scores(self, query_BKA: Tensor, keys_BNA: Tensor) -> Tensor:
        """``v . tanh(key + query)``, (B, K, N).

        In evaluation by tanh(k + q) = 1 - 2 / (1 + e^2k e^2q): with the keys' exponentials computed once a study and
        the queries' once a row, a reciprocal is all that is left for each position, row and component. Equal to 1e-6.
        A few studies at a time and in place: what is added stays in the processor's cache; where no gradient is
        wanted, in the very same place, since new memory costs more than all that is computed in it.
        """
        if self.training and torch.is_grad_enabled():
            scores_BKN1: Tensor = self.score(torch.tanh(keys_BNA.unsqueeze(1) + query_BKA.unsqueeze(2)))
            return scores_BKN1.squeeze(-1)
        if self.training:
            together = zip(keys_BNA, query_BKA.unsqueeze(2), strict=True)
            return torch.stack([self.score((key + query).tanh_()).squeeze(-1) for key, query in together])
        weight_A = self.score.weight[0]
        return weight_A.sum() - 2.0 * falling(keys_BNA, doubled(query_BKA), weight_A)

    def scoring(self, keys_BNA: Tensor) -> Callable[[Tensor], Tensor]:
        """For many steps of one row a study: queries (B, A), as ``self.query`` gives them, to scores (B, N)."""
        if torch.is_grad_enabled() and gathered.here(keys_BNA):
            keys_BNA = doubled(keys_BNA) if self.training else keys_BNA
            return gathered.Scores(keys_BNA, self.score.weight[0], doubled)
        return lambda query_BA: self._scores(query_BA.unsqueeze(1), keys_BNA).squeeze(1)

    def context(self, weights_RN: Tensor, hidden_RH: Tensor, memory: Memory) -> Tensor:
        """The gated sum of the features by ``weights_RN``, (R, D)."""
        return torch.sigmoid(self.gate(hidden_RH)) * weighted(weights_RN, memory.features_BND)

    def forward(self, hidden_RH: Tensor, keys_BNA: Tensor, memory: Memory) -> tuple[Tensor, Tensor]:
        """The gated context (R, D) and the weights (R, N) that it was made with."""
        weights_RN = self.weights(hidden_RH, keys_BNA, memory)
        return self.context(weights_RN, hidden_RH, memory), weights_RN


def weighted(weights_RN: Tensor, features_BND: Tensor) -> Tensor:
    """The features summed by the weights of their study's R / B rows, (R, D)."""
    studies, positions, _ = features_BND.shape
    return torch.bmm(weights_RN.view(studies, -1, positions), features_BND).flatten(0, 1)


def coverage_penalty(attention_BTN: Tensor, said_BT: Tensor, present_BN: Tensor) -> Tensor:
    """The doubly stochastic penalty, ``mean over present n of (1 - sum over t of attention)^2``.

    Section 4.2.1 of arXiv 1502.03044 sums over the locations; the mean keeps its weight the same for one view
    and for five. ``said_BT`` is False on padding.
    """
    looked_BN = (attention_BTN * said_BT.unsqueeze(-1)).sum(1)
    missing_BN = (1.0 - looked_BN).square() * present_BN
    return (missing_BN.sum(1) / present_BN.sum(1).clamp_min(1)).mean()


ROOM = 150_000
"""So many numbers a thread are computed in one place: they stay in its own cache (600 kB), and threads, which wait
for each other after every operation, do so seldom."""


def falling(keys_BNA: Tensor, query_BKA: Tensor, weight_A: Tensor) -> Tensor:
    """``weight . 1 / (1 + key query)`` of each position and row, (B, K, N)."""
    one = keys_BNA.new_ones(())
    together = zip(keys_BNA, query_BKA.unsqueeze(2), strict=True)
    if torch.is_grad_enabled():
        parts = [torch.addcmul(one, keys, query).reciprocal_() @ weight_A for keys, query in together]
        return torch.stack(parts)
    studies, positions, size = keys_BNA.shape
    beams = query_BKA.shape[1]
    group = max(1, torch.get_num_threads() * ROOM // (beams * positions * size))
    falling_BKN = keys_BNA.new_empty(studies, beams, positions)
    room_gKNA = keys_BNA.new_empty(group, beams, positions, size)
    for start in range(0, studies, group):
        some = slice(start, start + group)
        keys_g1NA, query_gK1A = keys_BNA[some].unsqueeze(1), query_BKA[some].unsqueeze(2)
        part_gKNA = room_gKNA[: len(keys_g1NA)]
        torch.addcmul(one, keys_g1NA, query_gK1A, out=part_gKNA).reciprocal_()
        torch.mv(part_gKNA.view(-1, size), weight_A, out=falling_BKN[some].view(-1))
    return falling_BKN


def doubled(part: Tensor, times: float = 2.0) -> Tensor:
    """e^2x of one summand of a tanh's argument, given x, or 2x with ``times`` 1. 2x is held between -80 and 80, so
    that it stays finite and above 0 in single precision; where a product is infinite or 0, the tanh is 1 or -1, as
    it should be."""
    twice = part if times == 1.0 else times * part
    return torch.exp(twice.clamp(-80.0, 80.0))
