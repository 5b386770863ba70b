"""DenseNet-121, the encoder of CheXNet and torchxrayvision, and the three layouts its weights come in."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from hilum.errors import InputError
from hilum.models.encoders.files import fitted
from hilum.models.encoders.protocol import EncoderShape, as_channels, norm_buffers

GROWTH = 32
"""Channels that each layer adds."""
BOTTLENECK = 4 * GROWTH
LAYERS = (6, 12, 24, 16)
IMAGENET = EncoderShape((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
"""Three channels, as the weights of torchvision and CheXNet were trained."""
XRAY = EncoderShape((0.5,), (1 / 2048,))
"""One channel from -1024 (air) to 1024, as torchxrayvision's were."""
EXPECTED = (
    "a DenseNet-121 in torchvision's or CheXNet's layout (features.conv0.weight of 64 x 3 x 7 x 7) or "
    "torchxrayvision's (64 x 1 x 7 x 7) is expected"
)
NORMALISED = 5.0
"""Spread of an input, as the first norm shows it, above which its pixels were not normalised to about 1."""


class _DenseLayer(nn.Module):
    """Adds ``GROWTH`` channels to those it is given: norm, ReLU, 1 x 1, norm, ReLU, 3 x 3 (section 3)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm1 = nn.BatchNorm2d(channels)
        self.conv1 = nn.Conv2d(channels, BOTTLENECK, 1, bias=False)
        self.norm2 = nn.BatchNorm2d(BOTTLENECK)
        self.conv2 = nn.Conv2d(BOTTLENECK, GROWTH, 3, padding=1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        y = self.conv1(F.relu(self.norm1(x)))
        return torch.cat([x, self.conv2(F.relu(self.norm2(y)))], 1)


class _Transition(nn.Module):
    """Half the channels at half the size; returns these and the normed input, which is a map of its own."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(channels)
        self.conv = nn.Conv2d(channels, channels // 2, 1, bias=False)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        normed = F.relu(self.norm(x))
        return F.avg_pool2d(self.conv(normed), 2), normed


class DenseNet121(nn.Module):
    """DenseNet-121 (arXiv 1608.06993, table 1) without its classifier: 1,024 channels at stride 16 and at 32.

    The map at stride 16 is the third block's output after the transition's norm and ReLU, the one at stride 32
    the fourth's after the last norm and ReLU. The layers carry torchvision's names, so published weights load.
    """

    widths = (1024, 1024)
    stride = 16

    def __init__(self, shape: EncoderShape = EncoderShape()) -> None:  # noqa: B008 - it is frozen
        super().__init__()
        mean_C, std_C = norm_buffers(shape.mean or IMAGENET.mean, shape.std or IMAGENET.std)
        self.mean_C: Tensor
        self.std_C: Tensor
        self.register_buffer("mean_C", mean_C, persistent=False)
        self.register_buffer("std_C", std_C, persistent=False)
        channels = 2 * GROWTH
        self.features = nn.ModuleDict(
            {
                "conv0": nn.Conv2d(len(mean_C), channels, 7, 2, 3, bias=False),
                "norm0": nn.BatchNorm2d(channels),
            }
        )
        for number, layers in enumerate(LAYERS, start=1):
            block = {f"denselayer{i + 1}": _DenseLayer(channels + i * GROWTH) for i in range(layers)}
            self.features[f"denseblock{number}"] = nn.Sequential()
            for name, layer in block.items():
                self.features[f"denseblock{number}"].add_module(name, layer)
            channels += layers * GROWTH
            if number < len(LAYERS):
                self.features[f"transition{number}"] = _Transition(channels)
                channels //= 2
        self.features["norm5"] = nn.BatchNorm2d(channels)
        for part in self.modules():
            if isinstance(part, nn.Conv2d):
                nn.init.kaiming_normal_(part.weight)

    def forward(self, images_BHW: Tensor) -> tuple[Tensor, ...]:
        """See ``Encoder``."""
        part = self.features
        x = part["conv0"](as_channels(images_BHW, self.mean_C, self.std_C))
        x = F.max_pool2d(F.relu(part["norm0"](x)), 3, 2, 1)
        fine = x
        for number in range(1, len(LAYERS)):
            x, fine = part[f"transition{number}"](part[f"denseblock{number}"](x))
        return fine, F.relu(part["norm5"](part["denseblock4"](x)))

    def groups(self) -> list[list[nn.Module]]:
        """See ``Encoder``: the first convolution, then one group a dense block."""
        part = self.features
        return [
            [part["conv0"], part["norm0"]],
            *([part[f"denseblock{number}"], part[f"transition{number}"]] for number in range(1, 4)),
            [part["denseblock4"], part["norm5"]],
        ]


def read(tensors: Mapping[str, Tensor], where: Path) -> tuple[dict[str, Tensor], EncoderShape, str]:
    """The tensors of a published file as (state of a ``DenseNet121``, its shape, the layout they came in).

    torchvision's: ``features.*``, three channels, in the old spelling of its layers (``norm.1``) or the new one
    (``norm1``). CheXNet's (arnoweng/CheXNet): the same below ``module.densenet121.``. torchxrayvision's: one
    channel. Whatever else a file holds (classifier, ``op_threshs``) is left.

    Raises InputError where it is no DenseNet-121, or where the statistics of its first norm show that it learnt
    from other pixels than its layout says: read so, every feature would be wrong, silently.
    """
    named = {_our_name(name): tensor for name, tensor in tensors.items()}
    first = named.get("features.conv0.weight")
    if first is None or first.ndim != 4 or first.shape[1] not in (1, 3):
        raise InputError("it holds no DenseNet-121", where=where, fix=EXPECTED)
    shape = XRAY if first.shape[1] == 1 else IMAGENET
    with torch.random.fork_rng(devices=[]):  # reading a file draws no numbers
        wanted = DenseNet121(shape).state_dict()
    state = fitted(named, wanted, "features.", where, EXPECTED)
    layout = "torchxrayvision" if shape is XRAY else "torchvision"
    if any("densenet121.features." in name for name in tensors):
        layout = "chexnet"
    spread = _spread(state)
    if (spread > NORMALISED) != (shape is XRAY):
        pixels = "from -1024 to 1024" if shape is XRAY else "normalised to about 1"
        raise InputError(
            f"its layout is {layout}'s, whose pixels are {pixels}, but its first norm shows inputs that spread "
            f"by {spread:.3g}",
            where=where, fix="it was trained on other pixels: use a file of that layout as it was published",
        )  # fmt: skip
    return state, shape, layout


def _our_name(name: str) -> str:
    """Without what stands before ``features``, and ``norm1`` for ``norm.1``, as torchvision once spelt it."""
    name = re.sub(r"^(?:.*\.)?features\.", "features.", name)
    return re.sub(r"\.(norm|conv)\.([12])\.", r".\1\2.", name)


def _spread(state: Mapping[str, Tensor]) -> float:
    """How far the pixels spread that the first convolution was trained on, read off the norm behind it.

    A filter w answers white noise of deviation s with s |w|, and films (which are smooth) with about the same
    for the median filter: 0.2 to 1 for normalised pixels, about 100 to 400 for -1024 to 1024 (docs/log.md).
    """
    weight, variance = state["features.conv0.weight"], state["features.norm0.running_var"]
    length = weight.flatten(1).norm(dim=1)
    return float((variance.clamp_min(0).sqrt() / length.clamp_min(1e-12)).median())
