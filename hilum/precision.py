"""In which numbers a model is trained: float32, or half of the bits where a GPU is faster with them."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor

Precision = Literal["auto", "float32", "bfloat16"]
"""``auto``: bfloat16 on a GPU that computes in it, float16 (its loss scaled) on an older one, float32 on the
processor, where bfloat16 is more than ten times as slow."""


@dataclass(frozen=True, slots=True)
class Arithmetic:
    """How a step is computed: ``dtype`` is that of matrix products and convolutions; weights, sums and losses stay in
    float32. ``scaler`` keeps small gradients from vanishing in float16; with other numbers it changes nothing."""

    device: torch.device
    dtype: torch.dtype
    scaler: torch.amp.GradScaler

    @classmethod
    def choose(cls, precision: Precision, device: torch.device) -> Arithmetic:
        """What ``precision`` means on ``device``."""
        dtype = torch.float32
        if precision == "bfloat16":
            dtype = torch.bfloat16
        elif precision == "auto" and device.type == "cuda":
            dtype = torch.bfloat16 if torch.cuda.is_bf16_supported() else torch.float16
        return cls.of(dtype, device)

    @classmethod
    def of(cls, dtype: torch.dtype, device: torch.device) -> Arithmetic:
        """Computing in ``dtype``; the gradient is scaled where that is float16."""
        scaler = torch.amp.GradScaler(device.type, enabled=dtype is torch.float16)
        return cls(device, dtype, scaler)

    def forward(self) -> AbstractContextManager[Any]:
        """Within it the model and its losses are computed."""
        if self.dtype is torch.float32:
            return nullcontext()
        return torch.autocast(self.device.type, self.dtype)

    def backward(self, loss: Tensor) -> None:
        """Adds the gradient of ``loss``, scaled."""
        self.scaler.scale(loss).backward()  # type: ignore[no-untyped-call]
