"""Diagrams: the drawn lines are scikit-learn's curves, the marks lie on them, bars say how many."""

from __future__ import annotations

import re

import numpy as np
import pytest
from sklearn import metrics as theirs

from hilum.metrics import probabilities
from hilum.metrics.probabilities import FindingScore
from hilum.page.curves import CANVAS, Diagram, figure

rng = np.random.default_rng(5)
GIVEN_N = rng.random(120).round(2)
TRUTH_N = rng.random(120) < GIVEN_N
THRESHOLDS = (0.21, 0.62)


@pytest.fixture(scope="module")
def score() -> FindingScore:
    found = probabilities.score(
        ("Edema",), TRUTH_N[:, None].astype(float), GIVEN_N[:, None], {"Edema": THRESHOLDS}, resamples=60
    )
    return found.findings["Edema"]


@pytest.fixture(scope="module")
def diagrams(score: FindingScore) -> dict[str, Diagram]:
    made = figure("Edema", score)
    assert made.present is not None and made.present.threshold == 0.62
    return {one.title: one for one in made.diagrams}


def places(path: str) -> np.ndarray:
    """The corners of an SVG path in the diagram's own values."""
    assert re.fullmatch(r"M[\d. -]+(L[\d. -]+)*Z?", path)
    corners = np.array([[float(part) for part in each.split()] for each in path.strip("MZ").split("L")])
    across = (corners[:, 0] - CANVAS["left"]) / CANVAS["side"]
    return np.stack([across, 1 - (corners[:, 1] - CANVAS["top"]) / CANVAS["side"]], axis=1)


def on_the_line(line: np.ndarray, at: np.ndarray) -> bool:
    """Whether a place lies on the polyline, within what the drawing rounds."""
    start, end = line[:-1], line[1:]
    along = np.clip(
        ((at - start) * (end - start)).sum(1) / np.maximum(((end - start) ** 2).sum(1), 1e-12), 0, 1
    )
    nearest = start + along[:, None] * (end - start)
    return bool(np.abs(nearest - at).max(axis=1).min() < 1e-3)


def test_the_roc_line_is_scikit_learns(diagrams: dict[str, Diagram]) -> None:
    line = places(diagrams["ROC"].line)
    rate_T, found_T, _ = theirs.roc_curve(TRUTH_N, GIVEN_N, drop_intermediate=False)
    for at in np.stack([rate_T, found_T], axis=1):
        assert on_the_line(line, at)
    assert theirs.auc(line[:, 0], line[:, 1]) == pytest.approx(
        theirs.roc_auc_score(TRUTH_N, GIVEN_N), abs=2e-3
    )


def test_the_precision_line_passes_scikit_learns_points_and_holds_its_area(
    diagrams: dict[str, Diagram],
) -> None:
    line = places(diagrams["Precision and recall"].line)
    precision_T, recall_T, _ = theirs.precision_recall_curve(TRUTH_N, GIVEN_N)
    for at in np.stack([recall_T, precision_T], axis=1)[:-1]:  # the last one calls nothing
        assert on_the_line(line, at)
    area = theirs.average_precision_score(TRUTH_N, GIVEN_N)
    assert np.trapezoid(line[:, 1], line[:, 0]) == pytest.approx(area, abs=2e-3)


def test_operating_points_lie_on_the_lines_and_say_what_they_do(diagrams: dict[str, Diagram]) -> None:
    for title in ("ROC", "Precision and recall"):
        one = diagrams[title]
        assert [mark.kind for mark in one.marks] == ["present", "absent"]
        for mark in one.marks:
            at = places(f"M{mark.x} {mark.y}")[0]
            assert on_the_line(places(one.line), at)
            assert (mark.x_low != mark.x_high and mark.y_low > mark.y > 0) or mark.y_low >= mark.y
    assert diagrams["ROC"].marks[0].words.startswith("present from 0.620: sensitivity")


def test_reliability_shows_every_bin_and_how_many_it_holds(
    score: FindingScore, diagrams: dict[str, Diagram]
) -> None:
    one = diagrams["Reliability"]
    assert len(one.marks) == len(one.bars) == len(score.reliability)
    heights = [height for _, _, _, height in one.bars]
    counts = [bar.bin.n for bar in score.reliability]
    assert np.array(heights) / max(heights) == pytest.approx(np.array(counts) / max(counts), abs=0.01)
    for mark, bar in zip(one.marks, score.reliability, strict=True):
        at = places(f"M{mark.x} {mark.y}")[0]
        assert at == pytest.approx((bar.bin.confidence, bar.bin.frequency), abs=1e-3)
        assert f"{bar.bin.n} answers" in mark.words


def test_bands_hold_the_lines_and_everything_stays_on_the_canvas(diagrams: dict[str, Diagram]) -> None:
    for one in diagrams.values():
        for path in filter(None, (one.band, one.line, one.chance)):
            corners = places(path)
            assert corners.min() > -1e-3 and corners.max() < 1 + 1e-3
