"""Additive attention with the gate of *Show, Attend and Tell* (arXiv 1502.03044, sections 3.1.2, 4.2)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

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
        """The part that does not depend on the decoder's state, (B, N, A): computed once a study."""
        keys_BNA: Tensor = self.key(memory.features_BND)
        return keys_BNA

    def weights(self, hidden_RH: Tensor, keys_BNA: Tensor, memory: Memory) -> Tensor:
        """The weights (R, N), which sum to 1 over what is present.

        R = B x K rows: K consecutive rows (the beams) share the memory of one study.
        """
        studies, positions, _ = keys_BNA.shape
        beams = hidden_RH.shape[0] // studies
        query_BK1A = self.query(hidden_RH).view(studies, beams, 1, -1)
        if torch.is_grad_enabled():
            scores_BKN = self.score(torch.tanh(keys_BNA.unsqueeze(1) + query_BK1A)).squeeze(-1)
        else:  # study by study and in place: what is added stays in the processor's cache, three times as fast
            scores_BKN = torch.stack(
                [
                    self.score((keys_NA + query_K1A).tanh_()).squeeze(-1)
                    for keys_NA, query_K1A in zip(keys_BNA, query_BK1A, strict=True)
                ]
            )
        return masked_softmax(scores_BKN, memory.present_BN.unsqueeze(1)).reshape(-1, positions)

    def context(self, weights_RN: Tensor, hidden_RH: Tensor, memory: Memory) -> Tensor:
        """The gated sum of the features by ``weights_RN``, (R, D)."""
        studies, positions, _ = memory.features_BND.shape
        context_BKD = torch.bmm(weights_RN.view(studies, -1, positions), memory.features_BND)
        gate_R1 = torch.sigmoid(self.gate(hidden_RH))
        return gate_R1 * context_BKD.flatten(0, 1)

    def forward(self, hidden_RH: Tensor, keys_BNA: Tensor, memory: Memory) -> tuple[Tensor, Tensor]:
        """The gated context (R, D) and the weights (R, N) that it was made with."""
        weights_RN = self.weights(hidden_RH, keys_BNA, memory)
        return self.context(weights_RN, hidden_RH, memory), weights_RN


def coverage_penalty(attention_BTN: Tensor, said_BT: Tensor, present_BN: Tensor) -> Tensor:
    """The doubly stochastic penalty, ``mean over present n of (1 - sum over t of attention)^2``.

    Section 4.2.1 of arXiv 1502.03044 sums over the locations; the mean keeps its weight the same for one view
    and for five. ``said_BT`` is False on padding.
    """
    looked_BN = (attention_BTN * said_BT.unsqueeze(-1)).sum(1)
    missing_BN = (1.0 - looked_BN).square() * present_BN
    return (missing_BN.sum(1) / present_BN.sum(1).clamp_min(1)).mean()
