"""Films and region maps as pictures that fit into one HTML file."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from PIL import Image

LONGEST_SIDE = 640
"""A film is shown at most this long, in pixels; the page keeps its boxes in pixels of the file."""
JPEG_QUALITY = 85
FULL_LIFT = 8.0
"""A cell with this many times its even share of a map gets the full colour."""
HEAT_LEVELS = 32
HEAT_SIDE = 96
"""A heat map is drawn this long, in pixels: the browser smooths the rest."""
_STRONGEST_ALPHA = 0.52
_RAMP_RGB = ((224, 76, 20), (255, 150, 30), (255, 226, 90))


def film_uri(film_HW: npt.NDArray[np.generic], longest_side: int = LONGEST_SIDE) -> str:
    """The film as a JPEG data URI, its longest side at most ``longest_side`` pixels, never enlarged.

    ``film_HW`` is float in [0, 1] (what lies outside is clipped) or uint8; height × width, in file pixels.
    Raises ValueError for another kind or shape, or where it holds something that is no number.
    """
    image = Image.fromarray(_as_bytes(film_HW))
    scale = longest_side / max(image.size)
    if scale < 1:
        size = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
        image = image.resize(size, Image.Resampling.LANCZOS)
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=JPEG_QUALITY, optimize=True)
    return _data_uri("image/jpeg", buffer.getvalue())


def lift(weight: float, cells: int) -> float:
    """How many times its even share a cell holds: ``weight`` of a map over ``cells`` cells."""
    return weight * cells


def strength(lift_: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """How strongly a cell is coloured, in [0, 1]: 0 up to an even share, 1 from ``FULL_LIFT`` times that.

    Logarithmic in between, and the same for every sentence and film, so that a map spread evenly stays
    colourless instead of being stretched until it looks like knowledge.
    """
    floored = np.maximum(np.asarray(lift_, dtype=np.float64), 1.0)
    strength_: npt.NDArray[np.float64] = np.minimum(np.log(floored) / np.log(FULL_LIFT), 1.0)
    return strength_


def heat_uri(grid: Sequence[Sequence[float]], cells: int) -> str:
    """A region map as a small PNG data URI, transparent where a cell gets no more than an even share.

    ``grid`` is the attention of one view, row by row; ``cells`` is how many cells the whole map
    had to spread over, all views together.
    """
    strength_HW = strength(np.asarray(grid, dtype=np.float64) * cells)
    height, width = strength_HW.shape
    scale = max(1, round(HEAT_SIDE / max(height, width)))
    smooth = Image.fromarray(strength_HW.astype(np.float32)).resize(
        (width * scale, height * scale), Image.Resampling.BICUBIC
    )
    levels_HW = np.clip(np.rint(np.asarray(smooth) * (HEAT_LEVELS - 1)), 0, HEAT_LEVELS - 1).astype(np.uint8)
    picture = Image.fromarray(levels_HW)
    picture.putpalette([channel for level in range(HEAT_LEVELS) for channel in _colour(level)[:3]])
    buffer = io.BytesIO()
    transparency = bytes(_colour(level)[3] for level in range(HEAT_LEVELS))
    picture.save(buffer, "PNG", optimize=True, transparency=transparency)
    return _data_uri("image/png", buffer.getvalue())


def legend_stops(count: int = 9) -> list[tuple[float, str]]:
    """The colours of the heat map for a legend: (position in [0, 1], CSS colour) at ``count`` stops."""
    stops = []
    for index in range(count):
        position = index / (count - 1)
        red, green, blue, alpha = _colour(position * (HEAT_LEVELS - 1))
        stops.append((position, f"rgb({red} {green} {blue} / {alpha / 255:.2f})"))
    return stops


def _colour(level: float) -> tuple[int, int, int, int]:
    share = level / (HEAT_LEVELS - 1)
    place = share * (len(_RAMP_RGB) - 1)
    below = min(int(place), len(_RAMP_RGB) - 2)
    low, high = _RAMP_RGB[below], _RAMP_RGB[below + 1]
    red, green, blue = (round(a + (b - a) * (place - below)) for a, b in zip(low, high, strict=True))
    return red, green, blue, round(255 * _STRONGEST_ALPHA * share**0.8)


def _as_bytes(film_HW: npt.NDArray[np.generic]) -> npt.NDArray[np.uint8]:
    film = np.asarray(film_HW)
    if film.ndim != 2 or 0 in film.shape:
        raise ValueError(f"a film has a height and a width, this array has the shape {film.shape}")
    if film.dtype == np.uint8:
        return film
    if not np.issubdtype(film.dtype, np.floating):
        raise ValueError(f"a film is float in [0, 1] or uint8, this array is {film.dtype}")
    values_HW = film.astype(np.float32)
    if not np.isfinite(values_HW).all():
        raise ValueError("a film holds pixels that are no numbers")
    return np.rint(np.clip(values_HW, 0, 1) * 255).astype(np.uint8)


def _data_uri(kind: str, data: bytes) -> str:
    return f"data:{kind};base64,{base64.b64encode(data).decode('ascii')}"
