"""A view that a source does not tell is taken from how its film looks; what is told stays."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from hilum.data.imports.writing import told_by_looks
from hilum.imaging.phantom import render
from hilum.study import Projection, Study, View


def test_views_are_told_by_their_looks(tmp_path: Path) -> None:
    drawn = render("looks", ["normal"], 160)
    noise = np.random.default_rng(0).integers(0, 256, (160, 160), dtype=np.uint8)
    for name, film in (("f", drawn.frontal_HW), ("l", drawn.lateral_HW), ("n", noise)):
        assert cv2.imwrite(str(tmp_path / f"{name}.png"), film)
    unknown = tuple(View(name, file=f"{name}.png") for name in "fln")
    told = View("told", Projection.FRONTAL, "l.png")
    without = View("without")
    (found,) = told_by_looks([Study("s", (*unknown, told, without))], tmp_path)
    assert [view.projection for view in found.views] == [
        Projection.FRONTAL, Projection.LATERAL, Projection.UNKNOWN, Projection.FRONTAL, Projection.UNKNOWN,
    ]  # fmt: skip
