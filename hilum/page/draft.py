"""The Draft as plain JSON: what ``hilum report --json`` writes."""

from __future__ import annotations

import math
from typing import Any

from hilum.study import Draft, RegionMap


def draft_json(draft: Draft) -> dict[str, Any]:
    """``draft`` as a dict of plain values, in the shape that ``docs/schemas/draft.schema.json`` fixes.

    Boxes are x0, y0, x1, y1 in pixels of the file that came in; ``log_prob`` is in natural units; a finding's
    ``state`` is ``null`` where its probability lies between the two thresholds. Raises ValueError where a
    number is not finite, because JSON has no word for that.
    """
    document = {
        "study": draft.study,
        "findings_text": draft.findings_text,
        "impression": draft.impression,
        "sentences": [
            {
                "text": sentence.text,
                "section": sentence.section,
                "log_prob": _finite(sentence.log_prob, "log_prob"),
                "map": sentence.map.value,
                "regions": [_region(region) for region in sentence.regions],
                "background_weight": _finite(sentence.background_weight, "background_weight"),
            }
            for sentence in draft.sentences
        ],
        "findings": {
            name: {
                "probability": _finite(estimate.probability, name),
                "state": None if estimate.state is None else estimate.state.value,
                "regions": [_region(region) for region in estimate.regions],
            }
            for name, estimate in draft.findings.items()
        },
        "diagnoses": [
            {
                "mesh": one.mesh,
                "finding": one.finding,
                "side": None if one.side is None else one.side.value,
                "site": one.site,
                "severity": one.severity,
                "probability": None if one.probability is None else _finite(one.probability, one.finding),
                "source": one.source,
            }
            for one in draft.diagnoses
        ],
        "warnings": list(draft.warnings),
        "model": {
            "name": draft.model.name,
            "sha256": draft.model.sha256,
            "trained_on": draft.model.trained_on,
            "simulated": draft.model.simulated,
        },
        "disclaimer": draft.disclaimer,
    }
    return document


def _region(region: RegionMap) -> dict[str, Any]:
    return {
        "view": region.view,
        "box": [_finite(edge, "box") for edge in region.box],
        "weight": _finite(region.weight, "weight"),
    }


def _finite(number: float, what: str) -> float:
    number = float(number)
    if not math.isfinite(number):
        raise ValueError(f"{what} is {number}, which JSON cannot hold")
    return number
