"""Where findings were drawn into simulated films, as a target for where the findings head looks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch import Tensor

from hilum.data.batches import ordered_views
from hilum.data.films import true_aspect
from hilum.data.manifest import Dataset
from hilum.imaging.geometry import place
from hilum.imaging.pixels import read_header
from hilum.metrics import grounding
from hilum.study import Study

SLACK = 0.04
"""Of the square's side: what a box is widened by before attention is taught to lie on it."""


def drawn_places(
    dataset: Dataset, studies: Sequence[Study], names: Sequence[str], size: int, grid: int
) -> dict[str, Tensor]:
    """Where each finding was drawn into simulated films, by study with one: (findings without their sides, views,
    cells), 1 in the cell that its boxes cover most, less in one they cover less of, 0 where it was not drawn.

    Boxes are widened by ``SLACK`` of the square, as far as an augmented film may have been moved.
    """
    bases = [name for name in names if "/" not in name]
    places: dict[str, Tensor] = {}
    for study in studies:
        views = ordered_views(study)
        covered_FIG = np.zeros((len(bases), len(views), grid**2), np.float32)
        for index, view in enumerate(views if study.truth else ()):
            height, width = read_header(dataset.path(view))
            extent = place(height, width, size, true_aspect(view)).extent()
            slack_x, slack_y = SLACK * (extent[2] - extent[0]), SLACK * (extent[3] - extent[1])
            for row, name in enumerate(bases):
                boxes = [
                    (x0 - slack_x, y0 - slack_y, x1 + slack_x, y1 + slack_y)
                    for drawn in study.truth
                    for region in drawn.regions
                    for x0, y0, x1, y1 in (region.box,)
                    if drawn.kind == name and region.view == view.id
                ]
                covered_G = grounding.covered((grid, grid), extent, boxes).ravel()
                covered_FIG[row, index] = covered_G / max(float(covered_G.max()), 1e-6)
        if covered_FIG.any():
            places[study.id] = torch.from_numpy(covered_FIG)
    return places


def places_loss(
    attention_BFN: Tensor, studies: Sequence[str], places: Mapping[str, Tensor], cells_BIG: Tensor,
    count: int | None = None,
) -> Tensor:  # fmt: skip
    """How far the head looks past what was drawn: minus the logarithm of the share of each view's attention that lies
    on it, mean over the drawn findings and the views that show them (0 without one).

    The boxes of some positives as a second target beside the labels of all: Li et al., *Thoracic Disease
    Identification and Localization with Limited Supervision* (arXiv 1711.06373), there for a grid of sigmoids.
    ``places`` as ``drawn_places`` gives them; ``cells_BIG`` is False in a view that is not shown. ``count``
    (``places_count``) of the batch of which this is a part; its own unless given.
    """
    losses: list[Tensor] = []
    for row, study in enumerate(studies):
        if study not in places:
            continue
        drawn_FIG = places[study].to(attention_BFN.device)
        bases, views, cells = drawn_FIG.shape
        looked_FIG = attention_BFN[row, :bases, : views * cells].view(bases, views, cells)
        drawn_FIG = drawn_FIG * cells_BIG[row, :views]
        within_FI = (looked_FIG * drawn_FIG).sum(-1) / looked_FIG.sum(-1).clamp_min(1e-12)
        losses.append(-within_FI.clamp_min(1e-6).log()[drawn_FIG.amax(-1) > 0])
    found = torch.cat(losses) if losses else attention_BFN.new_zeros(0)
    if not len(found):
        return attention_BFN.sum() * 0.0
    return found.mean() if count is None else found.sum() / count


def places_count(studies: Sequence[str], places: Mapping[str, Tensor], cells_BIG: Tensor) -> int:
    """Over how many drawn findings and views that show them ``places_loss`` of a batch is a mean."""
    count = 0
    for row, study in enumerate(studies):
        if study in places:
            drawn_FIG = places[study] * cells_BIG[row, : places[study].shape[1]].cpu()
            count += int((drawn_FIG.amax(-1) > 0).sum())
    return count
