"""From a DICOM object's stored values to what a radiologist expects to see: the grayscale transformations.

DICOM PS3.4 N.2: modality LUT, then VOI LUT, then presentation LUT. A stored value has at most 16 bits, so the
whole chain is worked out once per possible value, and the pixels are looked up in the result.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
from pydicom.dataset import Dataset

Values = npt.NDArray[np.float64]
Counts = npt.NDArray[np.int64]

ROBUST_SHARE = 0.005
"""Where no window is given: the darkest and the brightest 0.5 % of the pixels are let go."""


def display_table(header: Dataset, counts: Counts, first: int) -> tuple[npt.NDArray[np.float32], list[str]]:
    """What each stored value looks like: float32 in [0, 1], 0 black (air), 1 white (bone), and warnings.

    ``counts[i]`` is how many pixels have the stored value ``first + i``. Padding (Pixel Padding Value) is
    black. Raises ValueError where a lookup table is damaged.
    """
    notes: list[str] = []
    stored = np.arange(first, first + counts.size)
    padding = _padding(header, stored)
    seen = np.where(padding, 0, counts)
    if not seen.any():
        padding, seen = np.zeros_like(padding), counts
    values = _modality(header, stored, notes)
    shown = _voi(header, values, seen, notes)
    if _inverse(header, notes):
        shown = 1.0 - shown
    shown[padding] = 0.0
    return np.clip(shown, 0.0, 1.0).astype(np.float32), notes


def window(values: Values, centre: float, width: float, function: str = "LINEAR") -> Values:
    """VOI windowing to [0, 1], PS3.3 C.11.2.1.2 (LINEAR) and C.11.2.1.3 (LINEAR_EXACT, SIGMOID).

    Raises ValueError where the width is out of the range that the function allows.
    """
    if (
        not (math.isfinite(centre) and math.isfinite(width))
        or width <= 0
        or (function == "LINEAR" and width < 1)
    ):
        raise ValueError("not a window")
    if function == "SIGMOID":
        return np.asarray(1.0 / (1.0 + np.exp(np.clip(-4.0 * (values - centre) / width, -700, 700))))
    if function == "LINEAR_EXACT":
        return np.clip((values - centre) / width + 0.5, 0.0, 1.0)
    if width == 1:
        return (values > centre - 0.5).astype(np.float64)
    return np.clip((values - (centre - 0.5)) / (width - 1) + 0.5, 0.0, 1.0)


def _padding(header: Dataset, stored: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
    """Which stored values are padding, PS3.3 C.7.5.1.1.2: one value, or a range of them, before any LUT."""
    value = number(header.get("PixelPaddingValue"))
    if value is None:
        return np.zeros(stored.shape, np.bool_)
    limit = number(header.get("PixelPaddingRangeLimit"))
    low, high = sorted((value, value if limit is None else limit))
    return (stored >= low) & (stored <= high)


def _modality(header: Dataset, stored: npt.NDArray[np.int64], notes: list[str]) -> Values:
    """Modality LUT or rescale, PS3.3 C.11.1; for raw detector data, linear in the dose, its logarithm."""
    if header.get("ModalityLUTSequence"):
        values = _looked_up(stored.astype(np.float64), header.ModalityLUTSequence[0])[0]
    else:
        slope, intercept = number(header.get("RescaleSlope")), number(header.get("RescaleIntercept"))
        if slope == 0:
            notes.append("the rescale slope is 0 and was not applied")
            slope, intercept = None, None
        values = stored.astype(np.float64)
        values *= 1.0 if slope is None else slope
        values += 0.0 if intercept is None else intercept
    if str(header.get("PresentationIntentType", "")) == "FOR PROCESSING":
        notes.append(
            "the pixels are meant for processing, not for viewing; contrast may differ from a finished film"
        )
        if str(header.get("PixelIntensityRelationship", "")) == "LIN" and not _has_voi(header):
            values = np.log1p(np.maximum(values - min(0.0, float(values.min())), 0.0))
    return values


def _has_voi(header: Dataset) -> bool:
    return bool(header.get("VOILUTSequence")) or bool(numbers(header.get("WindowWidth")))


def _voi(header: Dataset, values: Values, counts: Counts, notes: list[str]) -> Values:
    """VOI LUT to [0, 1]: the first table, else the first usable window, else the robust window."""
    low, high = _robust_range(values, counts)
    between = (values >= low) & (values <= high) & (counts > 0)
    if header.get("VOILUTSequence"):
        if len(header.VOILUTSequence) > 1:
            notes.append(f"the first of {len(header.VOILUTSequence)} VOI LUTs was applied")
        return _voi_table(header, values, notes)
    windows = list(zip(numbers(header.get("WindowCenter")), numbers(header.get("WindowWidth")), strict=False))
    if len(windows) > 1:
        notes.append(f"the first of {len(windows)} windows was applied")
    if windows:
        try:
            shown = window(values, *windows[0], str(header.get("VOILUTFunction", "") or "LINEAR"))
            if np.ptp(shown[between]) > 0 or low == high:
                return shown
            notes.append(
                "the window in the header shows nothing; a window of the middle 99 % of the pixels was used"
            )
        except ValueError:
            notes.append(
                "the window in the header is invalid; a window of the middle 99 % of the pixels was used"
            )
    else:
        notes.append("the header gives no window; a window of the middle 99 % of the pixels was used")
    if high == low:
        return np.full(values.shape, 0.5)
    return np.clip((values - low) / (high - low), 0.0, 1.0)


def _voi_table(header: Dataset, values: Values, notes: list[str]) -> Values:
    shown, table = _looked_up(values, header.VOILUTSequence[0])
    claimed = int(header.VOILUTSequence[0].LUTDescriptor[2])
    used = int(table.max()).bit_length()
    bits = max(used, 8) if not 8 <= claimed <= 16 or used > claimed or used < claimed - 1 else claimed
    if bits != claimed:
        notes.append(f"the VOI LUT claims {claimed} bits but uses {used}; it was scaled as {bits} bits")
    return shown / ((1 << bits) - 1)


def _looked_up(values: Values, item: Dataset) -> tuple[Values, npt.NDArray[np.int64]]:
    """``values`` through a LUT, and the LUT itself, PS3.3 C.11.1.1.1: what lies outside takes the end entries.

    Raises ValueError where the table has fewer entries than it claims.
    """
    entries, first = (int(one) for one in item.LUTDescriptor[:2])
    entries = entries & 0xFFFF or 1 << 16
    if first > 0x7FFF and float(values.min()) < 0:  # a signed number read as an unsigned one
        first -= 1 << 16
    table = lut_data(item, entries)
    if table.size != entries:
        raise ValueError(f"a lookup table of {entries} entries has {table.size}")
    index = np.clip(np.rint(values) - first, 0, entries - 1).astype(np.int64)
    return table[index].astype(np.float64), table


def lut_data(item: Dataset, entries: int) -> npt.NDArray[np.int64]:
    """The first ``entries`` of the LUT Data of ``item``, whatever their width and byte order.

    Raises ValueError where the data are bytes and too few; of numbers as many come back as there are.
    """
    data = item.LUTData
    if not isinstance(data, bytes):
        return np.atleast_1d(np.asarray(data, np.int64))[:entries]
    little = item.original_encoding[1] is not False
    width = "u1" if len(data) - entries in (0, 1) else "<u2" if little else ">u2"
    return np.frombuffer(data, width, count=entries).astype(np.int64)


def _robust_range(values: Values, counts: Counts) -> tuple[float, float]:
    """The values at ROBUST_SHARE from either end of the distribution of the pixels."""
    order = np.argsort(values, kind="stable")
    below = np.cumsum(counts[order])
    total = int(below[-1])
    low, high = np.searchsorted(below, [ROBUST_SHARE * total, (1 - ROBUST_SHARE) * total])
    if values[order[low]] == values[order[high]]:
        low, high = np.searchsorted(below, [1, total])
    return float(values[order[low]]), float(values[order[high]])


def _inverse(header: Dataset, notes: list[str]) -> bool:
    """Whether large values are dark. MONOCHROME1 and the shape INVERSE are one statement, PS3.3 C.8.11.3.

    Pixel Intensity Relationship Sign (C.8.11.3.1.2) transforms nothing; where it says that large values are air and
    they would be shown white, that is worth a warning.
    """
    first = header.get("PhotometricInterpretation") == "MONOCHROME1"
    shape = str(header.get("PresentationLUTShape", ""))
    if first and shape == "IDENTITY":
        notes.append("the header contradicts itself on polarity; Photometric Interpretation was followed")
    inverse = first or shape == "INVERSE"
    sign = number(header.get("PixelIntensityRelationshipSign"))
    straight = not (header.get("ModalityLUTSequence") or header.get("VOILUTSequence"))
    straight = straight and (number(header.get("RescaleSlope")) or 1.0) > 0
    if sign in (1, -1) and straight and inverse != (sign == 1):
        notes.append("by what the header says of the beam, the film may be shown inverted (bone black)")
    return inverse


def number(value: object) -> float | None:
    """A finite number out of a header's value, or ``None``."""
    try:
        found = float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        return None
    return found if math.isfinite(found) else None


def numbers(value: object) -> list[float]:
    """The values of an attribute that may have none, one or several; those that are no numbers become NaN."""
    if value is None or value == "":
        return []
    several = value if hasattr(value, "__iter__") and not isinstance(value, str) else [value]
    return [math.nan if (found := number(one)) is None else found for one in several]
