"""Verdicts of a findings head that calls effusions, with their sides, and large hearts."""

from __future__ import annotations

from hilum.consistency import Verdict
from hilum.worth import Worth

NAMES = ("Pleural Effusion", "Cardiomegaly")
KNOWN = {*NAMES, "Pleural Effusion/left", "Pleural Effusion/right"}
THRESHOLDS = dict.fromkeys(NAMES, (0.2, 0.5))


def head(decided: set[str], **probabilities: float) -> Verdict:
    given = dict.fromkeys(NAMES, 0.05) | {
        name.replace("_", " "): value for name, value in probabilities.items()
    }
    return Verdict(given, frozenset(decided), frozenset(), frozenset(KNOWN))


def worth(decided: set[str], **probabilities: float) -> Worth:
    return Worth(head(decided, **probabilities), THRESHOLDS)
