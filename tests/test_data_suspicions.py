"""What looks wrong about a data set: turned and inverted films are listed, copies are found across a split."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from hilum.data import manifest, splits, suspicions
from hilum.data.check import check
from hilum.data.manifest import DatasetInfo
from hilum.imaging.phantom import render
from hilum.imaging.pixels import read_film
from hilum.study import Projection, Report, Study, View

COUNT = 6


def made(root: Path) -> None:
    """Six simulated frontal films: 1 turned, 2 inverted, 4 a JPEG copy of 3, 5 called lateral."""
    (root / "images").mkdir(parents=True)
    films = [render(f"suspect {number}", ["normal"], 160).frontal_HW for number in range(COUNT)]
    films[1], films[2], films[4] = np.rot90(films[1]), 255 - films[2], films[3]
    studies = []
    for number, film in enumerate(films):
        file = f"images/{number}.{'jpg' if number == 4 else 'png'}"
        assert cv2.imwrite(str(root / file), film)
        projection = Projection.LATERAL if number == 5 else Projection.FRONTAL
        studies.append(
            Study(
                str(number), (View(f"v{number}", projection, file),), report=Report(f"Text of {number}.", "")
            )
        )
    manifest.write(root, DatasetInfo("made", "made", "none", simulated=True), studies)
    parts = {"train": ("0", "3"), "validation": ("1", "2"), "test": ("4", "5")}
    splits.write(root, splits.Split("mine", **parts, sha256=splits.digest(**parts)))


def test_what_looks_wrong_is_listed_and_is_no_fault(tmp_path: Path) -> None:
    made(tmp_path)
    report = check(tmp_path)
    assert report.ok
    found = report.suspicions
    assert found.looked_at == COUNT
    assert found.counts() == {"turned": 1, "inverted": 1, "another view": 1}
    assert {(one.study, one.suspicion) for one in found.suspects} == {
        ("1", "turned"), ("2", "inverted"), ("5", "another view"),
    }  # fmt: skip
    assert [(pair.study, pair.other_study) for pair in found.lookalikes] == [("3", "4")]
    leaks = {leak.part: (leak.same_film, leak.near_film) for leak in report.splits[0].leakage}
    assert leaks == {"validation": (0, 0), "test": (0, 1)}
    text = "\n".join(report.lines())
    assert "study 1, images/1.png: it looks turned by 90° counter-clockwise" in text
    assert "in pairs: 1" in text and "study 3, images/3.png and study 4, images/4.jpg" in text
    assert text.endswith("  whole")


def test_long_lists_are_cut_in_text_alone(tmp_path: Path) -> None:
    made(tmp_path)
    film = read_film(tmp_path / "images" / "1.png")
    view = View("x", Projection.FRONTAL, "images/1.png")
    studies = [Study(str(n), (View(f"x{n}", Projection.FRONTAL, f"images/{n}.png"),)) for n in range(30)]
    seen = suspicions.look(film, view)
    looks = {f"x{n}": seen for n in range(30)}
    alike = suspicions.alike(looks)
    found = suspicions.gather(studies, looks, alike)
    assert len(found.suspects) == 30 and len(found.lookalikes) == 29
    lines = found.lines()
    assert sum("it looks turned" in line for line in lines) == suspicions.LISTED
    assert "  … and 20 more" in lines and "  … and 19 more" in lines
    assert alike.reached(["x3", "elsewhere"]) == {0} and alike.reached([]) == frozenset()


def test_two_films_of_one_study_are_no_lookalikes(tmp_path: Path) -> None:
    made(tmp_path)
    film = read_film(tmp_path / "images" / "0.png")
    views = tuple(View(name, Projection.FRONTAL, f"{name}.png") for name in "ab")
    looks = {view.id: suspicions.look(film, view) for view in views}
    assert suspicions.gather([Study("s", views)], looks, suspicions.alike(looks)).lookalikes == ()


def test_of_very_many_films_only_equal_ones_are_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made(tmp_path)
    looks = {f"v{n}": suspicions.look(read_film(tmp_path / "images" / f"{n}.png"), View("v")) for n in (0, 3)}
    looks["near"] = replace(looks["v0"], hash=looks["v0"].hash ^ np.uint64(1))
    looks["same"] = looks["v0"]
    assert {pair[:2] for pair in suspicions.alike(looks).pairs} == {("v0", "near"), ("v0", "same")}
    monkeypatch.setattr(suspicions, "MOST_COMPARED", 3)
    alike = suspicions.alike(looks)
    assert alike.pairs == (("v0", "same", 0),)
    studies = [Study(view, (View(view),)) for view in looks]
    assert any("not sought" in line for line in suspicions.gather(studies, looks, alike).lines())
