"""Dropout whose coins are cheap: four to a random number, where PyTorch's processor code tosses each by itself.

It took a twelfth of a step of the decoder. On a GPU PyTorch's own is as good, and used.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

SIDES = 1 << 16
"""A coin is a whole number below this: ``p`` is met to 1 / 131,072."""


class Dropout(nn.Module):
    """As ``torch.nn.Dropout`` (Srivastava et al., JMLR 15, 2014), from the same generator, by other draws: while
    learning each number is 0 with probability ``p``, else divided by the probability of being kept."""

    def __init__(self, p: float) -> None:
        """Raises ValueError unless ``p`` is in [0, 1)."""
        super().__init__()
        if not 0.0 <= p < 1.0:
            raise ValueError(f"dropout {p} is not in [0, 1)")
        self.p = p

    def forward(self, x: Tensor) -> Tensor:
        """``x`` with some of it 0, of the same shape and type."""
        if not self.training or self.p == 0.0:
            return x
        if x.device.type != "cpu":
            return F.dropout(x, self.p)
        kept = round((1.0 - self.p) * SIDES)
        numbers = torch.randint(-(2**63), 2**63 - 1, ((x.numel() + 3) // 4,))
        coins = numbers.view(torch.int16)[: x.numel()].view(x.shape)
        return x * (coins < kept - SIDES // 2).to(x.dtype).mul_(SIDES / kept)
