"""From the file's pixels to the square a model sees, and back.

The whole film is kept, with its aspect, in the middle of a square; what is left over is padding (black, 0).
Coordinates are continuous: pixel (row r, column c) covers [c, c + 1) × [r, r + 1), so that a box maps without
half-pixel corrections whatever the scale.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from hilum.study import Box

Pixels = npt.NDArray[np.float32]

_TIE = 1e-6


@dataclass(frozen=True, slots=True)
class Placement:
    """Where a film lies in the model's square.

    ``size`` is the side of the square; the film, ``file_height`` × ``file_width`` pixels in the file,
    covers the rows ``top`` to ``top + height`` and the columns ``left`` to ``left + width`` of the square.
    """

    size: int
    file_height: int
    file_width: int
    top: int
    left: int
    height: int
    width: int

    def to_square(self, box: Box) -> Box:
        """``box`` of the file, in pixels of the square."""
        across, down = self.width / self.file_width, self.height / self.file_height
        x0, y0, x1, y1 = box
        return (
            self.left + x0 * across,
            self.top + y0 * down,
            self.left + x1 * across,
            self.top + y1 * down,
        )

    def to_file(self, box: Box) -> Box:
        """``box`` of the square, in pixels of the file, cut at the file's edges.

        A box that lies in the padding alone comes back without area, at the edge it is nearest to.
        """
        x0, y0, x1, y1 = self._unclipped(box)
        return (
            min(max(x0, 0.0), float(self.file_width)),
            min(max(y0, 0.0), float(self.file_height)),
            min(max(x1, 0.0), float(self.file_width)),
            min(max(y1, 0.0), float(self.file_height)),
        )

    def cells_to_file(self, box: Box, rows: int, cols: int) -> Box:
        """``box``, in cells of a ``rows`` × ``cols`` grid over the square, in pixels of the file, cut."""
        x0, y0, x1, y1 = box
        across, down = self.size / cols, self.size / rows
        return self.to_file((x0 * across, y0 * down, x1 * across, y1 * down))

    def extent(self) -> Box:
        """The square itself in pixels of the file.

        It is what a grid over the square covers, and reaches beyond the file (negative, or more than its
        width or height) where the square is padding.
        """
        return self._unclipped((0.0, 0.0, float(self.size), float(self.size)))

    def cells_in_film(self, rows: int, cols: int) -> npt.NDArray[np.bool_]:
        """(rows, cols), True where a cell of a grid over the square shows film rather than padding.

        A cell counts where at least half of its area is film; in a film so narrow that no cell reaches half,
        those that show most of it count, so that some cell always does.
        """
        down = _covered(rows, self.size, self.top, self.top + self.height)
        across = _covered(cols, self.size, self.left, self.left + self.width)
        share_hw = np.outer(down, across)
        found: npt.NDArray[np.bool_] = share_hw >= min(0.5, float(share_hw.max())) - 1e-9
        return found

    def _unclipped(self, box: Box) -> Box:
        across, down = self.file_width / self.width, self.file_height / self.height
        x0, y0, x1, y1 = box
        return (
            (x0 - self.left) * across,
            (y0 - self.top) * down,
            (x1 - self.left) * across,
            (y1 - self.top) * down,
        )


def place(height: int, width: int, size: int, aspect: float | None = None) -> Placement:
    """Where a film of ``height`` × ``width`` pixels goes in a square of side ``size``.

    ``aspect`` is the true height divided by the true width of the film, where the file is a stretched copy or
    its pixels are not square. Raises ValueError where a side or the aspect is not positive.
    """
    if min(height, width, size) < 1 or (aspect is not None and not 0 < aspect < float("inf")):
        raise ValueError(f"no film: {height} × {width} pixels, aspect {aspect}, in a square of {size}")
    tall = height / width if aspect is None else aspect
    rows = size if tall >= 1 else max(1, round(size * tall))
    cols = size if tall <= 1 else max(1, round(size / tall))
    return Placement(size, height, width, (size - rows) // 2, (size - cols) // 2, rows, cols)


def fit_square(pixels_HW: Pixels, size: int, aspect: float | None = None) -> tuple[Pixels, Placement]:
    """The whole film in the middle of a ``size`` × ``size`` square, and where it lies there.

    ``pixels_HW`` is float32 in [0, 1], and so is the square; the padding is 0. ``aspect`` as in ``place``.
    An axis that shrinks is averaged over the area (no aliasing), one that grows is interpolated linearly.
    """
    height, width = pixels_HW.shape
    placement = place(height, width, size, aspect)
    fitted_HW: npt.NDArray[Any] = pixels_HW
    shrunk = (min(height, placement.height), min(width, placement.width))
    if shrunk != fitted_HW.shape:
        fitted_HW = area_mean(fitted_HW, *shrunk)
    if (placement.height, placement.width) != fitted_HW.shape:
        grown = (placement.width, placement.height)
        fitted_HW = cv2.resize(fitted_HW, grown, interpolation=cv2.INTER_LINEAR)
    square_HW = np.zeros((size, size), np.float32)
    inside = square_HW[
        placement.top : placement.top + placement.height, placement.left : placement.left + placement.width
    ]
    np.clip(fitted_HW, 0.0, 1.0, out=inside)
    return square_HW, placement


def area_mean(pixels_HW: Pixels, height: int, width: int) -> Pixels:
    """``pixels_HW`` (float32) as (height, width), neither side larger than it was: each new pixel is the mean over
    the area that it covers, as OpenCV's INTER_AREA has it (to rounding).

    Of a film of 4 million pixels in a fifth of OpenCV's time, so that resizing stays small beside decoding. Rows go
    first, so that memory is read once and in order; no call is large enough for a BLAS to start threads of its own,
    which would fight with those that decode.
    """
    if pixels_HW.size < _LARGE:
        small_hw: npt.NDArray[Any] = cv2.resize(pixels_HW, (width, height), interpolation=cv2.INTER_AREA)
        return small_hw
    rows_hW = np.empty((height, pixels_HW.shape[1]), np.float32)
    for row, first, weights in _shares(pixels_HW.shape[0], height, 1):
        np.einsum("r,rw->w", weights[0], pixels_HW[first : first + weights.shape[1]], out=rows_hW[row])
    mean_hw = np.empty((height, width), np.float32)
    for col, first, weights in _shares(pixels_HW.shape[1], width, 4):
        some_hW = rows_hW[:, first : first + weights.shape[1]]
        np.matmul(some_hW, weights.T, out=mean_hw[:, col : col + len(weights)])
    return mean_hw


_LARGE = 1 << 19
"""Pixels of a film from which on ``area_mean`` is faster by rows than OpenCV is."""


def _shares(old: int, new: int, together: int) -> Iterator[tuple[int, int, Pixels]]:
    """``old`` pixels in a line as ``new`` ≤ ``old``: for each ``together`` of the new ones the first of them, the
    first old pixel under them, and the share (new ones, old ones) that each old one has in each new one."""
    scale = old / new
    edges_PN = np.arange(-(-new // together) * together).reshape(-1, together) * scale
    first_P = edges_PN[:, 0].astype(np.int64)
    pixels_PO = first_P[:, None] + np.arange(math.ceil(together * scale) + 1)
    lower_PNO = np.maximum(pixels_PO[:, None], edges_PN[:, :, None])
    upper_PNO = np.minimum(pixels_PO[:, None] + 1, edges_PN[:, :, None] + scale)
    shares_PNO = (np.maximum(upper_PNO - lower_PNO, 0.0) / scale).astype(np.float32)
    for place, first in enumerate(first_P.tolist()):
        start = place * together
        yield start, first, shares_PNO[place, : new - start, : old - first]


def upsample(grid_hw: npt.ArrayLike, placement: Placement, shape: tuple[int, int]) -> Pixels:
    """A grid over the model's square as a map over the film.

    ``shape`` is (height, width) of the map: those of the file, or of any smaller copy of the whole film.
    Values are interpolated linearly between the centres of the cells and held constant outside the
    outermost centres: a cell's centre keeps its value, nothing exceeds the grid's largest value, and cells
    of padding are cut off.
    """
    cells_hw = np.asarray(grid_hw, np.float32)
    rows, cols = cells_hw.shape
    height, width = shape
    down_Hh = _hats(height, rows, placement.top / placement.size, placement.height / placement.size)
    across_Ww = _hats(width, cols, placement.left / placement.size, placement.width / placement.size)
    map_HW: Pixels = np.matmul(np.matmul(down_Hh, cells_hw), across_Ww.T, dtype=np.float32)
    return map_HW


def mass_box(grid_hw: npt.ArrayLike, share: float = 0.5) -> Box:
    """The box, in cells, round the main part of where the grid's mass lies.

    The smallest set of cells that holds ``share`` of the mass is taken (highest first; cells equal to the
    last one are in as well, so that no corner of a uniform grid is preferred), and of its connected
    components, cells that touch at a corner being connected, the one with most mass: x0, y0, x1, y1, x1 and
    y1 exclusive. Scale it with ``Placement.cells_to_file``.

    Raises ValueError where a value is negative or not finite, or the grid has no mass.
    """
    cells_hw = np.asarray(grid_hw, np.float64)
    total = float(cells_hw.sum())  # not finite where a value is not
    if not 0 < total < math.inf or float(cells_hw.min()) < 0 or not 0 < share <= 1:
        raise ValueError("a grid must hold finite masses, none negative and not all 0, and 0 < share <= 1")
    falling = np.sort(cells_hw, axis=None)[::-1]
    needed = int(falling.cumsum().searchsorted(share * total * (1 - _TIE)))
    least = falling[min(needed, falling.size - 1)]
    chosen_hw = (cells_hw >= least * (1 - _TIE)) & (cells_hw > 0)
    _, part_hw, boxes, _ = cv2.connectedComponentsWithStats(chosen_hw.view(np.uint8), connectivity=8)
    mass = np.bincount(part_hw.ravel(), weights=cells_hw.ravel())
    mass[0] = -1.0  # what was not chosen
    left, top, width, height, _ = boxes[mass.argmax()].tolist()
    return float(left), float(top), float(left + width), float(top + height)


def _covered(cells: int, size: int, start: int, stop: int) -> npt.NDArray[np.float64]:
    """For each of ``cells`` equal parts of 0…size, the share of it that lies in start…stop."""
    edges = np.arange(cells + 1) * (size / cells)
    inside = np.clip(edges[1:], start, stop) - np.clip(edges[:-1], start, stop)
    return np.asarray(inside * (cells / size))


def _hats(pixels: int, cells: int, start: float, length: float) -> Pixels:
    """(pixels, cells): weights of linear interpolation for pixels laid over start…start + length of 0…1."""
    centres = (start + (np.arange(pixels) + 0.5) / pixels * length) * cells - 0.5
    centres = np.clip(centres, 0, cells - 1)
    weights: Pixels = np.maximum(0, 1 - np.abs(centres[:, None] - np.arange(cells))).astype(np.float32)
    return weights
