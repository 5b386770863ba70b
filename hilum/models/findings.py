"""The findings head: which observations the films show, and where each one is read off."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from hilum.models.memory import masked_softmax


class FindingsHead(nn.Module):
    """One attention-pooled logit a finding, over all present positions of all views.

    Each finding has its own query (class-specific pooling, as in multiple-instance attention pooling, Ilse et
    al., arXiv 1802.04712), so that a small lesion is not averaged away, any number of views will do, and the
    weights say where the finding was read.
    """

    def __init__(self, width: int, findings: int, dropout: float) -> None:
        super().__init__()
        self.look = nn.Linear(width, findings)
        self.weight_FD = nn.Parameter(torch.empty(findings, width))
        self.mean = nn.Linear(width, findings)
        self.dropout = nn.Dropout(dropout)
        nn.init.normal_(self.weight_FD, std=width**-0.5)

    def forward(self, features_BND: Tensor, present_BN: Tensor) -> tuple[Tensor, Tensor]:
        """Logits (B, F) and attention (B, F, N), which sums to 1 over what is present."""
        features_BND = self.dropout(features_BND)
        scores_BFN = self.look(features_BND).transpose(1, 2)
        attention_BFN = masked_softmax(scores_BFN, present_BN.unsqueeze(1))
        pooled_BFD = torch.bmm(attention_BFN, features_BND)
        weight_BN1 = present_BN.unsqueeze(-1).to(features_BND.dtype)
        mean_BD = (features_BND * weight_BN1).sum(1) / weight_BN1.sum(1).clamp_min(1.0)
        logits_BF = (pooled_BFD * self.weight_FD).sum(-1) + self.mean(mean_BD)
        return logits_BF, attention_BFN
