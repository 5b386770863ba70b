"""Where the head looks is taught by where findings were drawn."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from hilum.places import drawn_places, places_loss
from tests import made


def test_the_head_is_shown_where_findings_were_drawn(tmp_path: Path) -> None:
    """The loss is minus the logarithm of what each view's attention has inside, over the views that show it."""
    data = made.dataset(tmp_path, 3)
    names = ("Cardiomegaly", "Pleural Effusion", "Pleural Effusion/left")
    places = drawn_places(data, data.studies, names, made.SIDE, 4)
    assert set(places) == {study.id for study in data.studies if study.truth} == {"1", "2"}
    left = places["1"]  # frontal and lateral; drawn in the frontal alone, x 42 to 54, y 34 to 46 of 64
    assert left.shape == (2, 2, 16) and left[0].sum() == 0 and left[1, 1].sum() == 0
    cells = left[1, 0].view(4, 4)
    assert (cells[2, 2:] == 1.0).all() and cells[0].sum() == cells[:, :2].sum() == 0 and 0 < cells[1, 2] < 0.1

    attention = torch.zeros(2, 3, 32)
    attention[1, 1, 10], attention[1, 1, 0], attention[1, 1, 20] = (
        0.3,
        0.1,
        0.6,
    )  # 0.75 of the frontal view's is inside
    seen = torch.ones(2, 2, 16, dtype=torch.bool)
    loss = places_loss(attention, ("0", "1"), places, seen)
    assert loss.item() == pytest.approx(-np.log(0.75), abs=1e-5)
    seen[1, 0] = False  # the view that shows it is not shown to the model
    assert places_loss(attention, ("0", "1"), places, seen).item() == 0.0

    scores = torch.zeros(1, 3, 32, requires_grad=True)
    places_loss(torch.softmax(scores, -1), ("1",), places, seen[:1]).backward()  # type: ignore[no-untyped-call]
    assert scores.grad is not None
    assert scores.grad[0, 1, 10] < 0 < scores.grad[0, 1, 0] and (scores.grad[0, 0] == 0).all()
