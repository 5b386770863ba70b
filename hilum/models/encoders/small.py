"""The encoder of the tests and of the recipe ``tiny``."""

from __future__ import annotations

import itertools

from torch import Tensor, nn


class SmallCNN(nn.Module):
    """A plain stack of strided convolutions, for tests and for students: stride 16, trained from nothing."""

    stride = 16

    def __init__(self, width: int = 32) -> None:
        super().__init__()
        self.widths = (width,)
        channels = (1, width // 4, width // 2, width, width)
        self.layers = nn.Sequential(
            *(
                nn.Sequential(
                    nn.Conv2d(inputs, outputs, 3, 2, 1, bias=False), nn.GroupNorm(1, outputs), nn.ReLU()
                )
                for inputs, outputs in itertools.pairwise(channels)
            )
        )

    def forward(self, images_BHW: Tensor) -> tuple[Tensor, ...]:
        """See ``Encoder``."""
        return (self.layers(images_BHW.unsqueeze(1) - 0.5),)

    def groups(self) -> list[list[nn.Module]]:
        """See ``Encoder``: one group a layer."""
        return [[layer] for layer in self.layers]
