"""The display shutter of a DICOM object: which part of the picture is meant to be seen (PS3.3 C.7.6.11)."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt
from pydicom.dataset import Dataset

from hilum.imaging.grayscale import numbers

SMALLEST_SHARE = 0.05
"""A shutter that leaves less than this share of the picture is taken for a mistake."""


def hidden(
    header: Dataset, height: int, width: int, stretch: float, notes: list[str]
) -> npt.NDArray[np.bool_] | None:
    """(H, W), True where a shutter covers the picture; ``None`` where nothing is covered.

    Edges, centre, radius and vertices count pixels from 1 (PS3.3 C.7.6.11); the pixels on an edge are seen. Where
    there are several shapes only what all of them leave is seen. ``stretch`` is a pixel's height over its width: the
    radius counts along a row, so that a circle is one on the patient. A shape that is incomplete, leaves (nearly)
    nothing, or is unknown (a bitmap) is not applied, and a note says so.
    """
    named = header.get("ShutterShape")
    if not named:  # nearly every film: nothing to compute
        return None
    shapes = [named] if isinstance(named, str) else [str(one) for one in named]
    seen_HW = np.ones((height, width), np.bool_)
    for shape in shapes:
        one_HW = _seen(header, shape.strip().upper(), height, width, stretch)
        if one_HW is None or one_HW.mean() < SMALLEST_SHARE:
            notes.append("a display shutter in the header cannot be used; it was not applied")
        else:
            seen_HW &= one_HW
    if seen_HW.all():
        return None
    if seen_HW.mean() < SMALLEST_SHARE:
        notes.append("the display shutters in the header leave nothing; they were not applied")
        return None
    notes.append("a display shutter covers part of the picture; that part is black")
    return ~seen_HW


def _seen(
    header: Dataset, shape: str, height: int, width: int, stretch: float
) -> npt.NDArray[np.bool_] | None:
    """(H, W), True where one shape leaves the picture free; ``None`` where the shape is not fully said."""
    rows, columns = np.arange(1, height + 1)[:, None], np.arange(1, width + 1)[None, :]
    if shape == "RECTANGULAR":
        edges = [
            _one(header, f"Shutter{edge}Edge")
            for edge in ("UpperHorizontal", "LowerHorizontal", "LeftVertical", "RightVertical")
        ]
        known = [edge for edge in edges if edge is not None]
        if len(known) < 4:
            return None
        top, bottom, left, right = known
        return np.asarray((rows >= top) & (rows <= bottom) & (columns >= left) & (columns <= right))
    if shape == "CIRCULAR":
        centre, radius = (
            numbers(header.get("CenterOfCircularShutter")),
            _one(header, "RadiusOfCircularShutter"),
        )
        if len(centre) != 2 or radius is None or not np.isfinite(centre).all():
            return None
        row, column = centre
        return np.asarray(((rows - row) * stretch) ** 2 + (columns - column) ** 2 <= radius**2)
    if shape == "POLYGONAL":
        corners = np.asarray(numbers(header.get("VerticesOfThePolygonalShutter")))
        if corners.size < 6 or corners.size % 2 or not (np.abs(corners) < 1 << 20).all():
            return None
        mask = np.zeros((height, width), np.uint8)  # row\column pairs; OpenCV wants x, y from 0
        cv2.fillPoly(mask, [np.rint(corners.reshape(-1, 2)[:, ::-1] - 1).astype(np.int32)], 1)
        return mask.astype(np.bool_)
    return None


def _one(header: Dataset, name: str) -> float | None:
    """The number of that attribute, where there is exactly one."""
    found = numbers(header.get(name))
    return found[0] if len(found) == 1 and np.isfinite(found[0]) else None
