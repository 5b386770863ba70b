"""Burnt-in text: what is a marker, what is more, and whether the reader that is installed finds it on a film."""

from __future__ import annotations

import builtins
from typing import Any

import cv2
import numpy as np
import pytest

from hilum.deidentification.burnt_in import Line, finder, reader
from hilum.errors import MissingDependencyError
from tests import canaries

SHORT, LONG, UPRIGHT = (0.0, 0.0, 30.0, 20.0), (100.0, 50.0, 200.0, 70.0), (100.0, 50.0, 120.0, 150.0)


@pytest.mark.parametrize(
    "text", ["L", "R", "LT *LMF", "PORTABLE", "AP ERECT", "L JKS", "R 12", "PA", "lat", "↑"]
)
def test_markers_are_no_identifiers(text: str) -> None:
    assert not Line(text, 0.95, SHORT).identifies()


@pytest.mark.parametrize(
    "text",
    [
        "DOE, JANE",
        "LI BO",
        "1947-02-03",
        "12:30",
        "MRN 00482913",
        "PORTABLE DOE JANE",
        "L 123",
        "MÜLLER",
        "王小明王",
        "Лаврова",
    ],
)
def test_anything_longer_is(text: str) -> None:
    assert Line(text, 0.95, SHORT).identifies()


def test_what_cannot_be_read_is_judged_by_its_length() -> None:
    for text, sure in (("??", 0.9), ("", 0.9), ("L", 0.2)):
        assert Line(text, sure, LONG).identifies() and Line(text, sure, UPRIGHT).identifies()
        assert not Line(text, sure, SHORT).identifies()


def test_boxes_are_widened_at_their_ends_and_stay_within_the_film() -> None:
    film = np.zeros((170, 210), np.float32)
    lines = (Line("DOE JANE", 0.9, LONG), Line("DOE JANE", 0.9, UPRIGHT), Line("L", 0.9, SHORT))
    assert finder(lambda _: lines)(film) == ((70.0, 45.0, 210.0, 75.0), (95.0, 20.0, 125.0, 170.0))
    ribs = Line("80000", 0.9, (20.0, 20.0, 150.0, 60.0))  # too thick for a line of text
    assert finder(lambda _: (ribs,))(film) == ()


def test_without_the_package_one_line_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def none(name: str, *rest: Any) -> Any:
        if name == "rapidocr":
            raise ImportError(name)
        return real(name, *rest)

    monkeypatch.setattr(builtins, "__import__", none)
    with pytest.raises(MissingDependencyError, match="hilum\\[deidentify\\]"):
        reader()


@pytest.fixture(scope="module")
def find() -> Any:
    pytest.importorskip("rapidocr", reason="rapidocr is not installed")
    return finder(reader())


def lines_of_ribs() -> np.ndarray:
    """A dark film, 600 × 500, with bright curves that are no text."""
    film = np.full((600, 500), 60, np.uint8)
    for number in range(9):
        cv2.ellipse(film, (250, 140 + 45 * number), (170, 60), 0, 200, 340, 150, 9, cv2.LINE_AA)
    return cv2.GaussianBlur(film, (0, 0), 3)


@pytest.mark.parametrize("turn", [0, 1, 3])
def test_a_name_is_found_where_it_stands(turn: int, find: Any) -> None:
    film = canaries.text_on(lines_of_ribs())
    where = np.argwhere(film != lines_of_ribs())
    film_HW = np.rot90(film, turn).astype(np.float32) / 255
    mask = np.zeros(film_HW.shape, bool)
    for x0, y0, x1, y1 in find(film_HW):
        mask[int(y0) : int(np.ceil(y1)), int(x0) : int(np.ceil(x1))] = True
    back = np.rot90(mask, -turn)
    assert back[tuple(where.T)].mean() > 0.98
    assert mask.mean() < 0.15


def test_text_that_touches_the_edge_is_found(find: Any) -> None:
    film = lines_of_ribs()
    cv2.putText(film, "DOE JANE 1947", (1, 598), cv2.FONT_HERSHEY_SIMPLEX, 0.7, 230, 1, cv2.LINE_AA)
    boxes = find(film.astype(np.float32) / 255)
    assert len(boxes) >= 1 and all(x1 <= 500 and y1 <= 600 for _, _, x1, y1 in boxes)
    assert min(x0 for x0, *_ in boxes) < 12 and max(y1 for *_, y1 in boxes) > 590


def test_nothing_is_found_where_nothing_stands(find: Any) -> None:
    assert find(lines_of_ribs().astype(np.float32) / 255) == ()
    assert find(canaries.text_on(lines_of_ribs(), "L").astype(np.float32) / 255) == ()


def test_a_film_is_blackened_for_good(find: Any, tmp_path: Any) -> None:
    """Through the whole of it: rendered, found, blackened, looked for again."""
    from hilum.deidentification.films import CleanFilm, deidentified
    from hilum.deidentification.profile import Options
    from hilum.deidentification.pseudonyms import Pseudonyms
    from tests import films

    path = films.dicom(
        tmp_path / "film.dcm", canaries.text_on(lines_of_ribs()), StudyInstanceUID="1.2.3", **films.window(255)
    )  # fmt: skip
    made = deidentified(
        path.read_bytes(), path, Options(clean_pixel_data=True), Pseudonyms(b"k" * 32), find
    )  # fmt: skip
    assert isinstance(made, CleanFilm) and made.blackened
