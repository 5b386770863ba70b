"""What a recurrent decoder uses at every step, with its gradient gathered over the steps and taken once.

Ordinary differentiation adds to the gradient of a weight at every step: a product with as many rows as the batch has
studies, and a pass over a matrix of millions of numbers, forty times a report. Here each step only keeps what the
gradient is made of, and one product over all steps makes it. The same numbers but for rounding (a test holds both
against each other). On the processor alone: a GPU is better served by fewer, larger calls.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable

Context = Any
"""What torch hands a function: it holds whatever is put on it."""


def here(tensor: Tensor) -> bool:
    """Whether it is on the processor, in the arithmetic of its own type."""
    return tensor.device.type == "cpu" and not torch.is_autocast_enabled("cpu")


class Linear:
    """``x_RD -> x_RD @ weight_OD.T (+ bias_O)``, for many calls within one pass."""

    def __init__(self, weight_OD: Tensor, bias_O: Tensor | None = None) -> None:
        self.weight_OD, self.bias_O = weight_OD, bias_O
        self.read: list[Tensor] = []
        self.owed: list[Tensor] = []
        gathering = torch.is_grad_enabled() and here(weight_OD)
        bias = weight_OD.new_zeros(0) if bias_O is None else bias_O
        self.token: Tensor | None = _Owner.apply(self, weight_OD, bias) if gathering else None  # type: ignore[no-untyped-call]

    def __call__(self, x_RD: Tensor) -> Tensor:
        if self.token is None:
            return F.linear(x_RD, self.weight_OD, self.bias_O)
        result: Tensor = _Call.apply(self, self.token, x_RD)  # type: ignore[no-untyped-call]
        return result


class _Owner(torch.autograd.Function):
    """Hands out a token on which every call depends, so that its turn in going back comes after all of theirs."""

    @staticmethod
    def forward(ctx: Context, linear: Linear, weight_OD: Tensor, bias_O: Tensor) -> Tensor:
        ctx.linear, ctx.biased = linear, len(bias_O) > 0
        return weight_OD.new_zeros(())

    @staticmethod
    @once_differentiable
    def backward(ctx: Context, _: Tensor) -> tuple[Tensor | None, ...]:
        linear: Linear = ctx.linear
        owed, read = torch.cat(linear.owed), torch.cat(linear.read)
        linear.owed, linear.read = [], []
        return None, owed.T @ read, owed.sum(0) if ctx.biased else owed.new_zeros(0)


class _Call(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Context, linear: Linear, token: Tensor, x_RD: Tensor) -> Tensor:
        ctx.linear = linear
        ctx.save_for_backward(x_RD)
        return F.linear(x_RD, linear.weight_OD, linear.bias_O)

    @staticmethod
    @once_differentiable
    def backward(ctx: Context, owed_RO: Tensor) -> tuple[Tensor | None, ...]:
        linear: Linear = ctx.linear
        if ctx.needs_input_grad[1]:
            linear.owed.append(owed_RO)
            linear.read.append(*ctx.saved_tensors)
        back = owed_RO @ linear.weight_OD if ctx.needs_input_grad[2] else None
        return None, owed_RO.new_zeros(()), back


class Scores:
    """``query_BA -> v_A . tanh(key_BNA + query_BA)``, (B, N), for many calls within one pass; on the processor.

    By tanh(k + q) = 1 - 2 r with r = 1 / (1 + e^2k e^2q), whose exponentials are few, and with r computed again on
    the way back: study by study, all of it stays in the processor's cache, and no map of (B, N, A) is kept a step.
    ``keys_BNA`` are given as e^2k, which is what ``doubled`` makes of them.
    """

    def __init__(self, keys_BNA: Tensor, weight_A: Tensor, doubled: Callable[[Tensor], Tensor]) -> None:
        self.doubled = doubled
        self.keys_BNA, self.weight_A = keys_BNA.detach(), weight_A.detach()
        self.falls_BNA: Tensor | None = None
        """Over the steps so far: what each score's gradient times r (1 - r) comes to, before ``weight_A``."""
        self.rises_A = torch.zeros_like(self.weight_A)
        self.token: Tensor = _ScoresOwner.apply(self, keys_BNA, weight_A)  # type: ignore[no-untyped-call]

    def __call__(self, query_BA: Tensor) -> Tensor:
        scores_BN: Tensor = _ScoresCall.apply(self, self.token, query_BA)  # type: ignore[no-untyped-call]
        return scores_BN

    def falling(self, study: int, query_BA: Tensor) -> Tensor:
        """r of one study, (N, A)."""
        one = query_BA.new_ones(())
        return torch.addcmul(one, self.keys_BNA[study], query_BA[study]).reciprocal_()


class _ScoresOwner(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Context, scores: Scores, keys_BNA: Tensor, weight_A: Tensor) -> Tensor:
        ctx.scores = scores
        return keys_BNA.new_zeros(())

    @staticmethod
    @once_differentiable
    def backward(ctx: Context, _: Tensor) -> tuple[Tensor | None, ...]:
        scores: Scores = ctx.scores
        assert scores.falls_BNA is not None
        # d tanh(k + q) / dk = 4 r (1 - r), and de^2k = 2 e^2k dk.
        keys_BNA = scores.falls_BNA.mul_(2.0 * scores.weight_A).div_(scores.keys_BNA)
        weight_A = scores.rises_A
        scores.falls_BNA, scores.rises_A = None, torch.zeros_like(scores.weight_A)
        return None, keys_BNA, weight_A


class _ScoresCall(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Context, scores: Scores, token: Tensor, query_BA: Tensor) -> Tensor:
        doubled_BA = scores.doubled(query_BA)
        ctx.scores = scores
        ctx.save_for_backward(doubled_BA)
        weight_A = -2.0 * scores.weight_A
        each = [scores.falling(study, doubled_BA) @ weight_A for study in range(len(query_BA))]
        return torch.stack(each) + scores.weight_A.sum()

    @staticmethod
    @once_differentiable
    def backward(ctx: Context, owed_BN: Tensor) -> tuple[Tensor | None, ...]:
        scores: Scores = ctx.scores
        (doubled_BA,) = ctx.saved_tensors
        if scores.falls_BNA is None:
            scores.falls_BNA = torch.zeros_like(scores.keys_BNA)
        slopes, sums = [], []
        for study, owed_N in enumerate(owed_BN):
            r_NA = scores.falling(study, doubled_BA)
            sums.append(owed_N @ r_NA)
            slope_NA = torch.addcmul(r_NA, r_NA, r_NA, value=-1.0, out=r_NA)
            slopes.append(owed_N @ slope_NA)
            scores.falls_BNA[study].addcmul_(owed_N.unsqueeze(1), slope_NA)
        scores.rises_A += owed_BN.sum() - 2.0 * torch.stack(sums).sum(0)
        query_BA = torch.stack(slopes) * (4.0 * scores.weight_A)
        return None, owed_BN.new_zeros(()), query_BA
