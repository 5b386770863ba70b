"""What stands on the film besides the patient: the side marker, burnt-in words, and the edges of the field."""

from __future__ import annotations

import cv2
import numpy as np

from hilum.imaging.phantom.film import Film
from hilum.imaging.phantom.frame import Frame

_WORDS = ("PA", "ERECT", "PORTABLE", "JH", "MCW", "SK", "3", "AB", "UPRIGHT")
_PORTABLE = ("AP", "PORTABLE", "SUPINE", "SEMI-ERECT", "AP PORTABLE")


def annotate(shown: Film, frame: Frame, rng: np.random.Generator, portable: bool) -> Film:
    """``shown`` with the edges of the field and the markers, drawn into it."""
    add_edges(shown, rng)
    side_on_right, row = add_marker(shown, frame, rng)
    if rng.random() < (0.7 if portable else 0.4):
        add_words(shown, side_on_right, row, rng, _PORTABLE if portable else _WORDS)
    return shown


def add_marker(shown: Film, frame: Frame, rng: np.random.Generator) -> tuple[bool, int]:
    """Adds the lead marker: "L" on the patient's left or "R" on the right in the frontal film, "L" in the lateral.

    Returns whether it stands on the viewer's right, and the row below it.
    """
    size = frame.size
    letter = "R" if frame.frontal and rng.random() < 0.3 else "L"
    right_of_film = letter == "L" if frame.frontal else rng.random() < 0.6
    height = rng.uniform(0.030, 0.055) * size
    row = rng.uniform(0.03, 0.12) * size + height
    column = rng.uniform(0.03, 0.09) * size
    scale = height / 22
    if right_of_film:
        column = size - column - 18 * scale
    thick = max(1, round(height / 7))
    shade = int(rng.integers(190, 256))
    at = (round(column), round(row))
    cv2.putText(shown, letter, at, cv2.FONT_HERSHEY_SIMPLEX, scale, shade, thick, cv2.LINE_AA)
    return right_of_film, round(row + height)


def add_words(
    shown: Film, right_of_film: bool, row: int, rng: np.random.Generator, words: tuple[str, ...]
) -> None:
    """Small words under the marker: initials, the projection."""
    size = len(shown)
    height = rng.uniform(0.014, 0.024) * size
    scale, thick = height / 22, max(1, round(height / 7))
    shade = int(rng.integers(150, 240))
    for index in range(int(rng.integers(1, 3))):
        word = words[int(rng.integers(len(words)))]
        (wide, _), _ = cv2.getTextSize(word, cv2.FONT_HERSHEY_SIMPLEX, scale, thick)
        column = round(size * 0.97 - wide) if right_of_film else round(size * 0.03)
        place = (column, round(row + (index + 0.6) * 1.9 * height))
        cv2.putText(shown, word, place, cv2.FONT_HERSHEY_SIMPLEX, scale, shade, thick, cv2.LINE_AA)


def add_edges(shown: Film, rng: np.random.Generator) -> None:
    """Strips where no beam fell: beside a film that is taller than wide, and beyond the collimator's leaves."""
    size = len(shown)
    tall, leaves = rng.random() < 0.35, rng.random() < 0.35
    strip, shade = round(rng.uniform(0.02, 0.07) * size), int(rng.integers(0, 26))
    left, right, top, bottom = rng.uniform(-0.05, 0.04, 4) * size
    slant = float(rng.normal(0, 0.012)) * size
    if leaves:
        corners = [[left, top], [size - right, top + slant], [size - right - slant, size - bottom + slant]]
        field = np.rint([*corners, [left - slant, size - bottom]]).astype(np.int32)
        within = cv2.fillPoly(np.zeros_like(shown), [field], 255, cv2.LINE_AA)
        np.minimum(shown, np.maximum(within, shade), out=shown)
    if tall:
        shown[:, :strip] = 0
        shown[:, size - strip :] = 0
