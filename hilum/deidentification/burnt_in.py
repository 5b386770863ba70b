"""Text that is burnt into a film: found and read by RapidOCR, and told apart from side markers.

A film is looked at twice: as it is shown, and turned by a right angle with its local contrast raised (CLAHE), which
brings out grey on grey and reads what stands upright. What is read decides: the lead markers of a film (L, R,
PORTABLE, ERECT, a technologist's two or three initials) are text, but name no patient and say which side is which;
anything longer, and anything long that cannot be read, counts as identifying. How often that is right:
docs/deidentification.md.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from hilum.errors import MissingDependencyError
from hilum.study import Box

Pixels = npt.NDArray[np.float32]
LOOKED_AT = 960
"""Pixels: the longer side at which text is looked for."""
BORDER = 0.05
"""Of the longer side: by how much a film is widened, by its own reflection, before it is looked at. Text that touches
the edge of a film is missed otherwise."""
INITIALS, DIGITS = 3, 2
"""Letters and digits, besides known markers, that a line may have and still be a marker: a technologist's."""
READ = 0.5
"""From which confidence on a reading is believed."""
LONG = 2.6
"""A line that cannot be read is text of more than a marker's length where its sides are further apart than this."""
TALLEST = 0.12
"""Of the film's shorter side: what is thicker is no line of text, but ribs or shadows that were taken for one."""
MARGIN, END = 0.25, 1.5
"""By how many of its heights a line is widened above and below, and at its ends, before it is blackened: the ends of
a faint line are missed first."""
MARKERS = frozenset(
    (
        "L", "R", "LT", "RT", "LEFT", "RIGHT", "PA", "AP", "LAT", "LL", "RL", "LATERAL", "FRONTAL", "PORTABLE",
        "PORT", "MOBILE", "BEDSIDE", "ERECT", "UPRIGHT", "STANDING", "SITTING", "SEMI", "SEMIERECT", "SUPINE",
        "PRONE", "DECUB", "DECUBITUS", "INSP", "EXP", "INSPIRATION", "EXPIRATION", "ICU", "ER", "ED", "CHEST",
        "VIEW", "UP", "DOWN",
    )
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Line:
    """One line of text on a film."""

    text: str
    """What was read, which may be nothing like what stands there."""
    confidence: float
    """From 0 to 1."""
    box: Box

    def identifies(self) -> bool:
        """Whether it is more than a marker."""
        words = re.findall(r"[^\W_]+", self.text.upper())
        if self.confidence >= READ and words:
            unknown = "".join(word for word in words if word not in MARKERS)
            return len(unknown) > INITIALS or sum(letter.isdigit() for letter in unknown) > DIGITS
        x0, y0, x1, y1 = self.box
        sides = sorted((x1 - x0, y1 - y0))
        return sides[1] > LONG * max(sides[0], 1.0)


def reader() -> Callable[[Pixels], tuple[Line, ...]]:
    """What reads the lines of text on a film in [0, 1]; making it loads the models, which the package holds.

    Raises MissingDependencyError where RapidOCR or ONNX Runtime is not installed.
    """
    try:
        from rapidocr import RapidOCR

        engine: Any = RapidOCR(
            params={
                "Global.log_level": "critical",
                "Global.text_score": 0.0,
                "Global.use_cls": False,
                "Global.max_side_len": 10**6,
                "Det.limit_side_len": LOOKED_AT,
                "Det.limit_type": "max",
            }
        )
    except ImportError:
        raise MissingDependencyError(
            "burnt-in text is looked for by RapidOCR, which is not installed",
            fix="pip install 'hilum[deidentify]'",
        ) from None

    def read(pixels_HW: Pixels) -> tuple[Line, ...]:
        grey: npt.NDArray[Any] = np.rint(pixels_HW * 255).astype(np.uint8)
        scale = min(1.0, 2 * LOOKED_AT / max(grey.shape))
        if scale < 1:  # reading needs no more, and the detector reduces what is larger without care
            grey = cv2.resize(grey, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
        pad = round(BORDER * max(grey.shape))
        grey = cv2.copyMakeBorder(grey, pad, pad, pad, pad, cv2.BORDER_REFLECT_101)
        raised = cv2.rotate(cv2.createCLAHE(4.0, (8, 8)).apply(grey), cv2.ROTATE_90_CLOCKWISE)
        found = [Line(text, sure, box) for text, sure, box in _lines(engine, grey)]
        for text, sure, (x0, y0, x1, y1) in _lines(engine, raised):
            found.append(Line(text, sure, (y0, len(grey) - x1, y1, len(grey) - x0)))
        height, width = pixels_HW.shape
        lines = []
        for one in found:
            x0, y0, x1, y1 = ((place - pad) / scale for place in one.box)
            if x1 > 0 and y1 > 0 and x0 < width and y0 < height:  # not in the border
                lines.append(
                    Line(one.text, one.confidence, (max(x0, 0), max(y0, 0), min(x1, width), min(y1, height)))
                )
        return tuple(lines)

    return read


def _lines(engine: Any, grey: npt.NDArray[Any]) -> Iterator[tuple[str, float, Box]]:  # noqa: ANN401
    made = engine(cv2.merge([grey, grey, grey]))
    if made.boxes is not None:
        for corners, text, sure in zip(made.boxes, made.txts, made.scores, strict=True):
            (x0, y0), (x1, y1) = np.min(corners, axis=0), np.max(corners, axis=0)
            yield text, float(sure), (float(x0), float(y0), float(x1), float(y1))


def finder(read: Callable[[Pixels], tuple[Line, ...]]) -> Callable[[Pixels], tuple[Box, ...]]:
    """Finds what is more than a marker: boxes with a margin, within the film, in pixels."""

    def find(pixels_HW: Pixels) -> tuple[Box, ...]:
        height, width = pixels_HW.shape
        boxes = []
        for line in read(pixels_HW):
            x0, y0, x1, y1 = line.box
            if line.identifies() and min(x1 - x0, y1 - y0) <= TALLEST * min(height, width):
                high = min(x1 - x0, y1 - y0)
                across, down = (END, MARGIN) if x1 - x0 > y1 - y0 else (MARGIN, END)
                boxes.append(
                    (
                        max(0.0, x0 - across * high), max(0.0, y0 - down * high),
                        min(float(width), x1 + across * high), min(float(height), y1 + down * high),
                    )
                )  # fmt: skip
        return tuple(boxes)

    return find
