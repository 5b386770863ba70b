"""The small network behind the quality gate: a film's thumbnail to nine numbers, in NumPy.

Its weights (``quality.safetensors``) were fitted on simulated films and made pictures alone, by
``benchmarks/quality_fit.py``; no film of a patient had a part in them. ``docs/quality.md`` says what it is worth.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from importlib.resources import files

import cv2
import numpy as np
import numpy.typing as npt
from safetensors.numpy import load

Floats = npt.NDArray[np.float32]
Thumbnail = npt.NDArray[np.uint8]

SIDE = 64
"""Of a thumbnail, in pixels."""
ANSWERS = ("film", "lateral", "turn 0", "turn 90", "turn 180", "turn 270", "inverted", "mirrored", "cropped")
"""What the network says of a thumbnail, as logits: is it a chest film; is it lateral; by how much it was turned,
counter-clockwise in degrees (one of four: softmax); are its greys inverted; is it mirrored (frontal films); is a part
of the chest outside of it."""
STRIDE = 2
_TAIL = 0.01
"""The share of the darkest and of the brightest pixels that the plain channel leaves out of account."""


def thumbnail(pixels_HW: Floats) -> Thumbnail:
    """The whole film, (H, W) float32 in [0, 1], as 64 × 64 greys (uint8), whatever its aspect."""
    small_hw = cv2.resize(pixels_HW, (SIDE, SIDE), interpolation=cv2.INTER_AREA)
    found: Thumbnail = np.rint(small_hw * 255.0).clip(0, 255).astype(np.uint8)
    return found


def channels(thumb_hw: Thumbnail) -> Floats:
    """What the network sees of a thumbnail, (64, 64, 2), each in [-0.5, 0.5].

    First the greys, stretched between their 1st and 99th percentile; then their ranks: the share of pixels that are
    darker. The second does not change with any increasing change of the tones, and both are mirrored about 0 by an
    inversion.
    """
    counts = np.bincount(thumb_hw.ravel(), minlength=256)
    below = np.cumsum(counts)
    share = below / below[-1]
    low = int(np.searchsorted(share, _TAIL, side="right"))
    high = int(np.searchsorted(share, 1.0 - _TAIL, side="left"))
    greys = np.arange(256)
    table = np.empty((256, 2), np.float32)
    table[:, 0] = np.clip((greys - low) / (high - low), 0.0, 1.0) - 0.5 if high > low else 0.0
    table[:, 1] = (below - counts / 2) / below[-1] - 0.5
    seen: Floats = table[thumb_hw]
    return seen


def answers(seen_BHWC: Floats) -> Floats:
    """The logits of B thumbnails' channels, (B, 9), in the order of ``ANSWERS``."""
    return forward(seen_BHWC, weights())


def forward(seen_BHWC: Floats, held: Mapping[str, Floats]) -> Floats:
    """``answers`` with the weights ``held``: four convolutions of stride 2 with a ReLU each, then two dense layers.

    ``convN.weight`` is (k × k × in, out), rows in the order of a patch's rows, columns and channels.
    """
    x = seen_BHWC
    layers = sum(name.startswith("conv") and name.endswith("weight") for name in held)
    for layer in range(layers):
        weight = held[f"conv{layer}.weight"]
        x = np.maximum(_patches(x, weight.shape[0]) @ weight + held[f"conv{layer}.bias"], 0.0)
    x = x.reshape(len(x), -1)
    x = np.maximum(x @ held["dense0.weight"] + held["dense0.bias"], 0.0)
    found: Floats = x @ held["dense1.weight"] + held["dense1.bias"]
    return found


@cache
def weights() -> Mapping[str, Floats]:
    """The shipped weights, float32."""
    data = files("hilum.imaging").joinpath("quality.safetensors").read_bytes()
    return {name: np.ascontiguousarray(part, np.float32) for name, part in load(data).items()}


def _patches(x_BHWC: Floats, length: int) -> Floats:
    """(B, H / 2, W / 2, ``length``): the k × k × C neighbourhood of every second place, zero beyond the border."""
    batch, height, width, depth = x_BHWC.shape
    side = round((length / depth) ** 0.5)
    edge = side // 2
    padded = np.zeros((batch, height + 2 * edge, width + 2 * edge, depth), np.float32)
    padded[:, edge : edge + height, edge : edge + width] = x_BHWC
    windows = np.lib.stride_tricks.sliding_window_view(padded, (side, side), axis=(1, 2))
    taken = windows[:, ::STRIDE, ::STRIDE].transpose(0, 1, 2, 4, 5, 3)
    found: Floats = taken.reshape(batch, *taken.shape[1:3], length)
    return found
