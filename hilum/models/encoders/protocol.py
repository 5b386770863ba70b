"""What the model needs of an image encoder, and what of it the weights decide."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import torch
from torch import Tensor, nn


@dataclass(frozen=True, slots=True)
class EncoderShape:
    """What of an encoder is decided by the weights it started from: with it, it is built without them.

    It stands in the run's ``config.json``. Empty fields mean the encoder's own.
    """

    mean: tuple[float, ...] = ()
    """Of each input channel (one or three), over films in [0, 1]: what is subtracted."""
    std: tuple[float, ...] = ()
    """What is divided by, after that."""
    transformer: dict[str, Any] = field(default_factory=dict)
    """The architecture of a transformer encoder, in the words of its ``config.json``."""


class Encoder(Protocol):
    """An image encoder: a module that is called with films and returns maps of features."""

    widths: tuple[int, ...]
    """Channels of each map it returns, the finest first."""
    stride: int
    """Pixels of the image to one cell of the finest map, along each side; each further map halves it."""

    def __call__(self, images_BHW: Tensor) -> tuple[Tensor, ...]:
        """Films, float in [0, 1] with 0 = air, to maps (B, width, H / stride, W / stride), the finest first."""
        ...

    def groups(self) -> list[list[nn.Module]]:
        """All its layers, from the film on, in the groups that are frozen or trained together."""
        ...


def as_channels(images_BHW: Tensor, mean_C: Tensor, std_C: Tensor) -> Tensor:
    """Films in [0, 1] to (B, C, H, W): the film in every channel, less its mean, over its deviation."""
    images_BCHW = (images_BHW.unsqueeze(1) - mean_C.view(1, -1, 1, 1)) / std_C.view(1, -1, 1, 1)
    return images_BCHW.contiguous(memory_format=torch.channels_last)


def norm_buffers(mean: Sequence[float], std: Sequence[float]) -> tuple[Tensor, Tensor]:
    """``mean`` and ``std`` as tensors (C,) for ``as_channels``.

    Raises ValueError where they are not of one length, or a deviation is not above 0.
    """
    if len(mean) != len(std) or not mean or min(std) <= 0:
        raise ValueError(f"no normalisation of channels: mean {tuple(mean)}, deviation {tuple(std)}")
    return torch.tensor(mean), torch.tensor(std)
