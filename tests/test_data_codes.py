"""Codes as targets."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from hilum.data.codes import codes, frequent, targets
from hilum.study import Projection, Study, View

ONE = Study("1", (), mesh=("Opacity/lung/base/left", "Cardiomegaly/mild"))
NORMAL = Study("2", (), mesh=("normal",))
NOT_INDEXED = Study("3", (), mesh=("No Indexing",))


def test_codes_are_headings_qualifiers_and_both() -> None:
    assert codes(ONE) == {
        "opacity", "lung", "base", "left", "opacity/lung", "opacity/base", "opacity/left", "cardiomegaly", "mild",
        "cardiomegaly/mild",
    }  # fmt: skip


def test_frequent_codes_are_those_that_enough_studies_share() -> None:
    other = Study("4", (), mesh=("Opacity/lung/apex/right",))
    assert frequent([ONE, other, NORMAL, NOT_INDEXED, NOT_INDEXED], 2) == ("lung", "opacity", "opacity/lung")


def test_what_nobody_indexed_is_unknown() -> None:
    names = ("base", "normal")
    np.testing.assert_array_equal(targets(ONE, names), [1, 0])
    np.testing.assert_array_equal(targets(NORMAL, names), [0, 1])
    assert np.isnan(targets(NOT_INDEXED, names)).all()
    assert np.isnan(targets(Study("5", ()), names)).all()
    simulated = replace(ONE, views=(View("v", Projection.FRONTAL, "a.png", simulated=True),))
    assert np.isnan(targets(simulated, names)).all()
