"""From attenuation to grey values: what the detector and its software make of the beam.

Attenuation adds up along the ray (Beer–Lambert); scatter adds a blurred share of what came through; quantum
noise grows where little comes through; the display shows the logarithm through a window that the software
chooses from the film's own histogram, so that exposure and habitus cancel, much as on a real unit.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from hilum.imaging.phantom.intervals import Array

SOFT, LUNG, BONE, METAL = 0.185, 0.050, 0.30, 3.0
"""Linear attenuation at about 110 kVp, per cm: water, aerated lung, bone in excess of water, metal."""

Film = NDArray[np.uint8]

_REACH, _STEPS = 1.5, 16384
"""The display's table: how far beyond the densest parts it goes, and its entries."""


@dataclass(frozen=True, slots=True)
class Exposure:
    """How one film was taken and shown."""

    noise: float
    """Standard deviation of the log signal where the beam is not attenuated, at 256 pixels."""
    scatter: float
    """Scattered share of the mean signal around."""
    low: float
    """How far black lies below the lung's tenth percentile, as a share of the way from there to the densest parts."""
    shoulder: float
    """How much the bright values are pressed together, as on a film and in a display's sigmoid table; above 0."""
    gamma: float
    black: float
    """Grey value of what nothing stopped, 0 to 1."""
    white: float
    """Grey value of the densest 3 %, 0 to 1."""
    local: float
    """How much of the broad shading the software takes out, 0 to 1."""
    sharpen: float
    blur: float
    """Unsharpness of focus, detector and motion: standard deviation in pixels of 256."""
    seed: int


def draw_exposure(rng: np.random.Generator, frontal: bool, portable: bool = False) -> Exposure:
    """An exposure; lateral films need more and scatter more, portable ones have no grid and a shorter distance."""
    return Exposure(
        noise=rng.uniform(0.0016, 0.0036) * (1.5 if portable else 1.0),
        scatter=(rng.uniform(0.22, 0.60) if frontal else rng.uniform(0.06, 0.18))
        * (2.0 if portable else 1.0),
        low=rng.uniform(0.10, 0.50),
        shoulder=rng.uniform(1.0, 3.4),
        gamma=rng.uniform(0.75, 1.45),
        black=rng.uniform(0.0, 0.10) * float(rng.random() < 0.6),
        white=rng.uniform(0.80, 1.0),
        local=rng.uniform(0.0, 0.45),
        sharpen=rng.uniform(0.0, 1.0) * (0.9 if portable else 1.0),
        blur=rng.uniform(0.35, 0.8) + (rng.uniform(0.0, 0.2) if portable else 0.0),
        seed=int(rng.integers(1 << 62)),
    )


def blurred(image_HW: NDArray[np.float64], sigma: float) -> NDArray[np.float64]:
    """A Gaussian blur in double precision; a broad one is done on a coarser grid."""
    step = 1
    while sigma / step > 2 and min(image_HW.shape) // (step * 2) >= 16:
        step *= 2
    if step == 1:
        return np.asarray(cv2.GaussianBlur(image_HW, (0, 0), sigma, borderType=cv2.BORDER_REPLICATE))
    height, width = image_HW.shape
    small = cv2.resize(image_HW, (width // step, height // step), interpolation=cv2.INTER_AREA)
    small = cv2.GaussianBlur(small, (0, 0), sigma / step, borderType=cv2.BORDER_REPLICATE)
    return np.asarray(cv2.resize(small, (width, height), interpolation=cv2.INTER_LINEAR))


def texture(rng: np.random.Generator, size: int, octaves: Sequence[tuple[int, float]]) -> Array:
    """Smooth noise over the film: for each (cells, strength) cells × cells independent values, smoothly joined."""
    total: Array = np.zeros((size, size), np.float32)
    for cells, strength in octaves:
        coarse = rng.standard_normal((cells, cells)) * strength
        total += cv2.resize(coarse, (size, size), interpolation=cv2.INTER_CUBIC).astype(np.float32)
    return total


def develop(attenuation_HW: Array, air_HW: NDArray[np.bool_], exposure: Exposure) -> Film:
    """Grey values of the film, uint8, bright where the beam was stopped.

    ``attenuation_HW`` is the line integral of the attenuation coefficient; ``air_HW`` tells where lung lies
    in the beam, which is what exposure control and the display's window go by.
    """
    size = attenuation_HW.shape[0]
    pixel = size / 256
    through = attenuation_HW.astype(np.float64)
    np.exp(np.negative(through, out=through), out=through)
    signal = blurred(through, 16.0 * pixel)
    signal *= exposure.scatter
    signal += through
    rng = np.random.Generator(np.random.SFC64(exposure.seed))
    grain = rng.standard_normal((size, size), dtype=np.float32).astype(np.float64)
    # Fewer quanta fall on a smaller pixel; the detector's light spreads over a neighbour or so.
    root = np.sqrt(signal, out=through)
    grain *= np.divide(exposure.noise * pixel, root, out=root)
    # The noise is relative to the signal, so it adds to the logarithm.
    np.log(signal, out=signal)
    density = np.subtract(grain, signal, out=grain)
    spread = max(exposure.blur * pixel, 0.35)
    density = np.asarray(
        cv2.GaussianBlur(density, (0, 0), spread, borderType=cv2.BORDER_REPLICATE), np.float64
    )
    if exposure.local:
        shading = blurred(density, 30.0 * pixel)
        shading -= 2.0
        shading *= exposure.local * 0.6
        density -= shading
    edges = np.subtract(density, blurred(density, 2.2 * pixel), out=signal)
    edges *= exposure.sharpen
    density += edges
    return _display(density, air_HW, exposure)


def _display(density_HW: NDArray[np.float64], air_HW: NDArray[np.bool_], exposure: Exposure) -> Film:
    sample = density_HW[::4, ::4] if len(density_HW) < 512 else density_HW[::8, ::8]
    lung = air_HW[::4, ::4] if len(density_HW) < 512 else air_HW[::8, ::8]
    inside = sample[lung] if lung.sum() > 50 else sample.ravel()
    dark = float(np.quantile(inside, 0.10))
    dense = float(np.quantile(sample, 0.97))
    span = max(dense - dark, 0.8)
    # The table of the display, fine enough that a step is less than a grey value.
    signal = np.linspace(0, _REACH, _STEPS)
    # The film's shoulder: bright values are pressed together instead of cut off.
    shown = (1 - np.exp(-exposure.shoulder * signal)) / (1 - np.exp(-exposure.shoulder))
    shown = exposure.black + (exposure.white - exposure.black) * shown**exposure.gamma
    table = np.clip(shown * 255 + 0.5, 0, 255).astype(np.uint8)
    per_step = (_STEPS - 1) / (_REACH * (1 + exposure.low) * span)
    place = density_HW - (dark - exposure.low * span)
    place *= per_step
    np.clip(place, 0, _STEPS - 1, out=place)
    shown_HW: Film = table.take(place.astype(np.intp))
    return shown_HW
