"""A film as the rest of Hilum sees it: one range for every source, and the bounds every source must keep."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from hilum.errors import ImageError
from hilum.study import Projection

Pixels = npt.NDArray[np.float32]

SMALLEST_SIDE = 16
LARGEST_SIDE = 20_000
MOST_PIXELS = 80_000_000
"""The largest flat panels (43 × 43 cm at 100 µm) have 18.5 million pixels, a 35 × 43 cm film scanned at 50 µm
has 60 million."""

LARGEST_FILE = 1 << 29
"""Bytes: 80 million pixels of three 16-bit colours, uncompressed, fit in."""

_BLANK = 1.5 / 255
"""A picture whose pixels differ by no more than one of 256 greys shows nothing."""


@dataclass(frozen=True, slots=True, eq=False)
class Film:
    """One film, ready to be looked at.

    ``pixels_HW`` is float32 in [0, 1]: 0 is black (air), 1 is white (bone); rows and columns are those of
    the file as a viewer shows it. ``aspect`` is the true height divided by the true width where the pixels
    are not square, else ``None``. ``warnings`` says what was assumed or lost on reading. The other fields
    are the only ones that are taken over from a file's header; nothing in them or in ``warnings`` names a
    patient.
    """

    pixels_HW: Pixels
    projection: Projection
    source: str
    """Name of the file, without its folder."""
    warnings: tuple[str, ...] = ()
    aspect: float | None = None
    kind: str = ""
    """``PNG``, ``JPEG`` or ``DICOM``"""
    bits: int = 8
    """Bits per sample that the file holds."""
    modality: str = ""
    """DICOM Modality (0008,0060), DICOM only."""
    photometric: str = ""
    """DICOM Photometric Interpretation (0028,0004), DICOM only."""
    view_position: str = ""
    """DICOM View Position (0018,5101) where it is a defined term, DICOM only."""
    orientation: tuple[str, ...] = ()
    """DICOM Patient Orientation (0020,0020): towards which side of the patient rows and columns run."""
    laterality: str = ""
    """DICOM Image Laterality or Laterality: ``L``, ``R``, ``B``, ``U`` or empty."""


def check_size(height: int, width: int, where: str) -> tuple[int, int]:
    """Returns (height, width) as they are.

    Raises ImageError where a side or their product is out of bounds. It is called with what the header says,
    before anything is decoded, so that a small file cannot ask for a large amount of memory.
    """
    size = f"{width:,} × {height:,} pixels"
    if min(height, width) < SMALLEST_SIDE:
        raise ImageError(
            f"the picture is too small ({size}; the shorter side must have at least {SMALLEST_SIDE})",
            where=where,
            fix="give the film at its full size",
        )
    if max(height, width) > LARGEST_SIDE or height * width > MOST_PIXELS:
        raise ImageError(
            f"the picture is too large ({size}; at most {LARGEST_SIDE:,} a side "
            f"and {MOST_PIXELS // 1_000_000} million in all)",
            where=where,
            fix="reduce it first, keeping its aspect",
        )
    return height, width


def check_pixels(pixels_HW: Pixels, where: str) -> Pixels:
    """Returns ``pixels_HW`` as they are: the one gate that every source's pixels pass.

    Raises ImageError where the picture is blank, ValueError where a reader broke the promise of the range.
    """
    if pixels_HW.ndim != 2 or pixels_HW.dtype != np.float32:
        raise ValueError(f"a film must be a float32 matrix, not {pixels_HW.dtype} {pixels_HW.shape}")
    low, high = float(pixels_HW.min()), float(pixels_HW.max())
    if not (low >= 0.0 and high <= 1.0):  # also false for NaN
        raise ValueError(f"a film's pixels must lie in [0, 1], not [{low}, {high}]")
    if high - low < _BLANK:
        raise ImageError(
            "the picture is blank (every pixel has the same grey)",
            where=where,
            fix="give a film that shows something",
        )
    return pixels_HW


def luminance(
    pixels_HWC: npt.NDArray[Any],
) -> tuple[npt.NDArray[Any], bool]:
    """Red, green, blue (in this order; uint8 or uint16) to grey by ITU-R BT.601.

    Returns the grey and whether there was any colour to lose. Grey stored in three channels comes back as
    it was. Chroma noise of up to 8 of 256 levels is no colour.
    """
    noise = 8 if pixels_HWC.dtype == np.uint8 else 8 << 8
    red, green, blue = cv2.split(pixels_HWC)
    apart = max(cv2.norm(red, green, cv2.NORM_INF), cv2.norm(green, blue, cv2.NORM_INF))
    if apart == 0:
        return red, False
    return cv2.cvtColor(pixels_HWC, cv2.COLOR_RGB2GRAY), apart > noise
