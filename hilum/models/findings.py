"""The findings head: which observations the films show, on which side, and where each one is read off."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from hilum.models.dropout import Dropout
from hilum.models.memory import masked_softmax

SIDES = ("left", "right")


class FindingsHead(nn.Module):
    """One attention-pooled logit a finding, over all present positions of all views, and two for its sides.

    Each finding has its own query (class-specific pooling, as in multiple-instance attention pooling, Ilse et
    al., arXiv 1802.04712), so that a small lesion is not averaged away, any number of views will do, and the
    weights say where the finding was read. Its sides (outputs ``NAME/left`` and ``NAME/right``) are read at the
    very same place, given that it is there, and on frontal films where there are any, since a lateral one shows no
    side; what left and right look like is shared by all findings, each adding what is its own, since most findings
    are too rare to learn it alone.
    """

    base_F: Tensor
    """Of every output, the output of its finding: itself, for a finding."""
    sided_F: Tensor
    """Whether an output is a side."""

    def __init__(self, width: int, names: Sequence[str], dropout: float) -> None:
        """Raises ValueError where a sided name stands without its finding, or before a finding."""
        super().__init__()
        bases = [name for name in names if "/" not in name]
        sided = [name.partition("/") for name in names[len(bases) :]]
        if list(names[: len(bases)]) != bases or any(
            base not in bases or side not in SIDES for base, _, side in sided
        ):
            raise ValueError(
                "outputs are findings, and then their sides: NAME/left or NAME/right of one of them"
            )
        base_F = [*range(len(bases)), *(bases.index(base) for base, _, _ in sided)]
        self.register_buffer("base_F", torch.tensor(base_F, dtype=torch.long), persistent=False)
        self.register_buffer("sided_F", torch.arange(len(names)) >= len(bases), persistent=False)
        self.sides = [SIDES.index(side) for _, _, side in sided]
        self.look = nn.Linear(width, len(bases))
        self.weight_FD = nn.Parameter(torch.empty(len(names), width))
        self.mean = nn.Linear(width, len(bases))
        self.side = nn.Linear(width, len(SIDES)) if sided else None
        self.dropout = Dropout(dropout)
        nn.init.normal_(self.weight_FD, std=width**-0.5)
        with torch.no_grad():
            self.weight_FD[len(bases) :] = 0.0

    def forward(
        self, features_BND: Tensor, present_BN: Tensor, lateral_BN: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """Logits (B, F) and attention (B, F, N), which sums to 1 over what is present.

        The logits of sides are those of a finding that is present. ``lateral_BN`` is True on lateral films; None
        where there is none.
        """
        features_BND = self.dropout(features_BND)
        scores_BFN = self.look(features_BND).transpose(1, 2)[:, self.base_F]
        seen_BFN = present_BN.unsqueeze(1)
        if lateral_BN is not None and self.side is not None:
            sided_BN = present_BN & ~lateral_BN
            sided_BN = torch.where(sided_BN.any(1, keepdim=True), sided_BN, present_BN)
            seen_BFN = torch.where(self.sided_F.view(1, -1, 1), sided_BN.unsqueeze(1), seen_BFN)
        attention_BFN = masked_softmax(scores_BFN, seen_BFN)
        pooled_BFD = torch.bmm(attention_BFN, features_BND)
        weight_BN1 = present_BN.unsqueeze(-1).to(features_BND.dtype)
        mean_BD = (features_BND * weight_BN1).sum(1) / weight_BN1.sum(1).clamp_min(1.0)
        shared_BF = self.mean(mean_BD)
        if self.side is not None:
            weight_sD, bias_s = self.side.weight[self.sides], self.side.bias[self.sides]
            shared_Bs = (pooled_BFD[:, shared_BF.shape[1] :] * weight_sD).sum(-1) + bias_s
            shared_BF = torch.cat([shared_BF, shared_Bs], 1)
        return (pooled_BFD * self.weight_FD).sum(-1) + shared_BF, attention_BFN

    def contributions(self, features_BND: Tensor, present_BN: Tensor) -> Tensor:
        """What each cell adds to each finding's logit where it is read, (B, findings without their sides, N).

        Attention times what was read there: over the cells it sums to what the pooling adds to the logit; the rest is
        the mean over all cells and the bias, which have no place. What speaks for a finding is positive, what speaks
        against it negative, 0 is what is not present. (Class activation mapping of a pooled head, Zhou et al., arXiv
        1512.04150. The weights alone say where was looked, not what was read: Jain and Wallace, arXiv 1902.10186.)
        """
        findings = self.mean.out_features
        attention_BFN = masked_softmax(self.look(features_BND).transpose(1, 2), present_BN.unsqueeze(1))
        read_BFN = (features_BND @ self.weight_FD[:findings].T).transpose(1, 2)
        return (attention_BFN * read_BFN).masked_fill(~present_BN.unsqueeze(1), 0.0)
