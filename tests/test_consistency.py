from __future__ import annotations

import pytest

from hilum import consistency

KNOWN = (
    "Pleural Effusion",
    "Pleural Effusion/left",
    "Pleural Effusion/right",
    "Elevated Diaphragm/left",
    "Cardiomegaly",
    "Pneumothorax",
)


def test_the_side_is_the_likelier_one_and_both_where_neither_is_clearly_so() -> None:
    thresholds = {"Pleural Effusion": (0.1, 0.5), "Cardiomegaly": (0.1, 0.9)}
    for left, right, wanted in ((0.9, 0.3, {"left"}), (0.01, 0.05, {"right"}), (0.6, 0.5, {"left", "right"})):
        probabilities = {
            "Pleural Effusion": 0.7, "Pleural Effusion/left": left, "Pleural Effusion/right": right,
            "Cardiomegaly": 0.5,
        }  # fmt: skip
        found = consistency.called(probabilities, thresholds, ["Pleural Effusion"])
        assert found == {"Pleural Effusion", *(f"Pleural Effusion/{side}" for side in wanted)}
        assert consistency.called(probabilities, thresholds, []) == {"Pleural Effusion"}
        assert not consistency.called({**probabilities, "Pleural Effusion": 0.4}, thresholds, [])


def test_called_are_the_findings_that_reach_their_threshold() -> None:
    thresholds = {name: (0.1, 0.5) for name in ("Cardiomegaly", "Pneumothorax", "No Finding")}
    probabilities = {"Cardiomegaly": 0.5, "Pneumothorax": 0.49, "No Finding": 0.9, "Edema": 0.99}
    assert consistency.called(probabilities, thresholds, []) == {"Cardiomegaly"}


@pytest.mark.parametrize(
    ("text", "decided", "wanted"),
    [
        ("Small left pleural effusion.", ["Pleural Effusion", "Pleural Effusion/left"], 1),
        ("Small right pleural effusion.", ["Pleural Effusion", "Pleural Effusion/left"], -1),  # other side
        ("Small right pleural effusion.", ["Pleural Effusion"], -1),  # a side that nobody decided
        ("Left pneumothorax.", ["Pneumothorax"], 1),  # the head has no sides of it here
        ("Elevated left hemidiaphragm.", [], -1),  # never called, but its sides are known
        ("Elevated hemidiaphragm.", [], 0),
        ("Small pleural effusion.", ["Pleural Effusion"], 1),
        ("Bilateral pleural effusions.", ["Pleural Effusion", "Pleural Effusion/left"], -1),
        ("Bilateral pleural effusions.", [*KNOWN[:3]], 1),
        ("Left pleural effusion.", [*KNOWN[:3]], -1),
        ("Small pleural effusion.", [], -1),  # invented
        ("No pleural effusion.", ["Pleural Effusion"], -1),  # denied
        ("No pleural effusion.", [], 0),
        ("The heart is enlarged. Small pleural effusion.", ["Cardiomegaly", "Pleural Effusion"], 2),
        ("Possible cardiomegaly.", ["Cardiomegaly"], 0),  # uncertain counts for nothing
        ("Old rib fracture.", [], 0),  # the head does not know fractures here
        ("", ["Cardiomegaly"], 0),
    ],
)
def test_cases(text: str, decided: list[str], wanted: int) -> None:
    assert consistency.agreement(text, decided, KNOWN) == wanted
