"""Several processes that train one model: each computes its share of every batch, gradients are added up.

``torchrun --nproc-per-node 2 -m hilum train …`` starts them; each finds its place in the environment. All of them
know the whole batch and draw the same random numbers, so that they need to exchange sums only. They share one file
system; the first of them (rank 0) writes.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import TypeVar

import torch
import torch.distributed as dist
from torch import Tensor, nn

from hilum.device import CPU
from hilum.errors import TrainingError

TIMEOUT = timedelta(minutes=60)
"""So long a process waits for another that is there and does not answer. One that has died is noticed at once."""

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Team:
    """The processes of one training, as one of them sees it: its ``rank`` from 0, and how many there are."""

    rank: int = 0
    size: int = 1
    device: torch.device = CPU

    @property
    def first(self) -> bool:
        """Whether this is the process that writes, validates and shows progress."""
        return self.rank == 0

    def share(self, count: int, most: int = 0) -> list[slice]:
        """Which of ``count`` studies are computed here, in slices of at most ``most`` (0: any number).

        The shares are consecutive and differ by one study at most; the share of one process may be empty.
        """
        start, stop = (count * place // self.size for place in (self.rank, self.rank + 1))
        step = most or max(1, stop - start)
        return [slice(at, min(at + step, stop)) for at in range(start, stop, step)]

    @torch.no_grad()
    def add_up(
        self, trained: Sequence[nn.Parameter], averaged: Sequence[Tensor], *numbers: float
    ) -> list[float]:
        """Adds up, over all processes, the gradients of ``trained`` (in place) and ``numbers`` (returned), and
        replaces the tensors ``averaged`` by their means.

        A parameter keeps the gradient None where it has none in any process. One exchange a step.
        """
        if self.size == 1:
            return list(numbers)
        here = [0.0 if one.grad is None else 1.0 for one in trained]
        gradients = [torch.zeros_like(one) if one.grad is None else one.grad for one in trained]
        told = torch.tensor([*here, *numbers], dtype=torch.float32, device=self.device)
        parts = [told, *gradients, *(one / self.size for one in averaged)]
        sums = torch.cat([one.flatten().float() for one in parts])
        self._together(lambda: dist.all_reduce(sums))
        told, *found = torch.split(sums, [one.numel() for one in parts])
        known: list[float] = told.tolist()
        for parameter, had, gradient in zip(trained, known, found, strict=False):
            parameter.grad = gradient.view_as(parameter).to(parameter.dtype) if had else None
        for one, mean in zip(averaged, found[len(gradients) :], strict=True):
            one.copy_(mean.view_as(one))
        return known[len(here) :]

    def agree(self, compute: Callable[[], T]) -> T:
        """What ``compute`` gives to the first process, which alone calls it; the others wait for it."""
        if self.size == 1:
            return compute()
        box: list[T | None] = [compute() if self.first else None]
        self._together(lambda: dist.broadcast_object_list(box, src=0))
        return box[0]  # type: ignore[return-value]

    def in_turn(self, make: Callable[[], T]) -> T:
        """What ``make`` gives: to the first process first, so that the others find the files that it has written."""
        made = make() if self.first else None
        self.wait()
        return make() if made is None else made

    def wait(self) -> None:
        """Returns when every process has come here."""
        if self.size > 1:
            self._together(lambda: dist.all_reduce(torch.zeros(1, device=self.device)))

    def _together(self, exchange: Callable[[], object]) -> None:
        try:
            exchange()
        except RuntimeError as error:
            what = f"process {self.rank} of {self.size} lost the others ({str(error).splitlines()[0][:120]})"
            raise TrainingError(
                what, fix="see what the one that ended first says; go on from the last state with --resume"
            ) from None


def first_process() -> bool:
    """Whether this is the only process of a training or the first of several: the one that prints results."""
    return os.environ.get("RANK", "0") == "0"


def process_count() -> int:
    """How many processes ``torchrun`` has started for this training; 1 without it."""
    return int(os.environ.get("WORLD_SIZE", "1"))


@contextmanager
def gathered(device: torch.device) -> Iterator[Team]:
    """The team that this process is in: the one that ``torchrun`` has started, or this process alone.

    Exchanges by NCCL between GPUs, by Gloo between processors. Raises TrainingError where the others do not come.
    """
    if process_count() == 1:
        yield Team(device=device)
        return
    team = Team(int(os.environ["RANK"]), process_count(), device)
    backend = "nccl" if device.type == "cuda" else "gloo"
    team._together(lambda: dist.init_process_group(backend, timeout=TIMEOUT))
    yield team
    dist.destroy_process_group()  # after a failure the process ends, and with it the group


def running_statistics(model: nn.Module) -> list[Tensor]:
    """What a model keeps of the batches it has seen: means and variances of batch norms, baselines of rewards.

    In training each process normalises by what it computes itself; what is kept is the mean over all processes.
    """
    kept = ("running_mean", "running_var", "baseline")
    return [one for name, one in model.named_buffers() if name.rpartition(".")[2] in kept]
