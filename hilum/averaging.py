"""Averaging weights over the steps of training: the average generalises better than the last of them.

Polyak and Juditsky (SIAM J. Control Optim. 30, 1992); with the warm-up of TensorFlow's ``ExponentialMovingAverage``,
so that the average forgets its random start.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn


class WeightAverage:
    """The average of a model's trained parameters and of its floating buffers (those of batch norms), by name.

    After step n (from 0) an average a of a value w becomes ``d a + (1 - d) w`` with ``d = min(decay, (1 + n) / (10 +
    n))``. What is not trained is left alone.
    """

    def __init__(self, model: nn.Module, decay: float) -> None:
        """Starts at the weights that ``model`` has. Raises ValueError unless ``decay`` is in (0, 1)."""
        if not 0.0 < decay < 1.0:
            raise ValueError(f"decay {decay} is not between 0 and 1")
        self.decay = decay
        self._live = {
            **{name: one for name, one in model.named_parameters() if one.requires_grad},
            **{name: one for name, one in model.named_buffers() if one.is_floating_point()},
        }
        self._average = {name: one.detach().clone() for name, one in self._live.items()}

    @torch.no_grad()
    def update(self, step: int) -> None:
        """Takes in the weights after ``step`` (from 0)."""
        keep = min(self.decay, (1 + step) / (10 + step))
        torch._foreach_lerp_(list(self._average.values()), list(self._live.values()), 1.0 - keep)

    @contextmanager
    def applied(self) -> Iterator[None]:
        """Within it the model has the averaged weights, and afterwards its own again, bit for bit."""
        own = {name: one.detach().clone() for name, one in self._live.items()}
        self._put(self._average)
        try:
            yield
        finally:
            self._put(own)

    @torch.no_grad()
    def _put(self, weights: dict[str, Tensor]) -> None:
        for name, one in self._live.items():
            one.copy_(weights[name])

    def state(self) -> dict[str, Tensor]:
        """The averages by name, to be saved."""
        return dict(self._average)

    @torch.no_grad()
    def load(self, state: dict[str, Tensor]) -> None:
        """Takes what ``state`` gave. Raises KeyError where it is of another model."""
        for name, one in self._average.items():
            one.copy_(state[name])
