"""What an encoder hands to a decoder."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor


class Memory(NamedTuple):
    """What is known of B studies, for a decoder to attend to.

    ``features_BND``   float, N = views x grid cells
    ``present_BN``     bool, False where a study has no such view, or where a cell shows no film
    ``condition_BC``   float, what is known of the study as a whole (findings); C may be 0
    """

    features_BND: Tensor
    present_BN: Tensor
    condition_BC: Tensor

    def mean_BD(self) -> Tensor:
        """The mean feature over what is present, (B, D). Every study needs one present position."""
        weight_BN1 = self.present_BN.unsqueeze(-1).to(self.features_BND.dtype)
        return (self.features_BND * weight_BN1).sum(1) / weight_BN1.sum(1).clamp_min(1.0)

    def select(self, rows: Tensor) -> Memory:
        """The memory of the studies ``rows`` (indexes), in that order."""
        return Memory(*(part.index_select(0, rows) for part in self))


def masked_softmax(scores: Tensor, present: Tensor, dim: int = -1) -> Tensor:
    """Softmax over the positions where ``present``, exactly 0 elsewhere; ``present`` broadcasts."""
    return torch.softmax(scores.masked_fill(~present, -torch.inf), dim=dim)
