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


def test_the_side_is_the_likelier_one_where_the_margin_is_kept() -> None:
    thresholds = {"Pleural Effusion": (0.1, 0.5), "Cardiomegaly": (0.1, 0.9)}
    for left, right, wanted in (
        (0.9, 0.3, {"left"}), (0.01, 0.05, {"right"}), (0.95, 0.91, set()), (0.4, 0.5, set()),
        (0.999, 0.92, {"left"}), (1.0, 0.0, {"left"}),
    ):  # fmt: skip
        probabilities = {
            "Pleural Effusion": 0.7, "Pleural Effusion/left": left, "Pleural Effusion/right": right,
            "Cardiomegaly": 0.5,
        }  # fmt: skip
        found = consistency.called(probabilities, thresholds, 1.0)
        assert found == {"Pleural Effusion", *(f"Pleural Effusion/{side}" for side in wanted)}
        assert consistency.called(probabilities, thresholds, None) == {"Pleural Effusion"}
        assert not consistency.called({**probabilities, "Pleural Effusion": 0.4}, thresholds, 1.0)


def test_called_are_the_findings_that_reach_their_threshold() -> None:
    thresholds = {name: (0.1, 0.5) for name in ("Cardiomegaly", "Pneumothorax", "No Finding")}
    probabilities = {"Cardiomegaly": 0.5, "Pneumothorax": 0.49, "No Finding": 0.9, "Edema": 0.99}
    assert consistency.called(probabilities, thresholds, 0.0) == {"Cardiomegaly"}


@pytest.mark.parametrize(
    ("text", "decided", "wanted"),
    [
        ("Small left pleural effusion.", ["Pleural Effusion", "Pleural Effusion/left"], (0, 2)),
        ("Small pleural effusion.", ["Pleural Effusion", "Pleural Effusion/left"], (0, 1)),
        (
            "Small right pleural effusion.",
            ["Pleural Effusion", "Pleural Effusion/left"],
            (-1, 1),
        ),  # other side
        ("Small right pleural effusion.", ["Pleural Effusion"], (-1, 1)),  # a side that nobody decided
        ("Left pneumothorax.", ["Pneumothorax"], (-1, 1)),  # the head has no sides of it here
        ("Bilateral pneumothorax.", ["Pneumothorax"], (0, 1)),
        ("Elevated left hemidiaphragm.", [], (-1, 0)),  # never called, but its sides are known
        ("Elevated hemidiaphragm.", [], (0, 0)),
        ("Small pleural effusion.", ["Pleural Effusion"], (0, 1)),
        ("Bilateral pleural effusions.", ["Pleural Effusion", "Pleural Effusion/left"], (-1, 1)),
        ("Bilateral pleural effusions.", [*KNOWN[:3]], (0, 2)),
        ("Left pleural effusion.", [*KNOWN[:3]], (-1, 1)),
        ("Small pleural effusion.", [], (0, -1)),  # invented
        ("No pleural effusion.", ["Pleural Effusion"], (0, -1)),  # denied
        ("No left pleural effusion.", ["Pleural Effusion"], (0, -1)),
        ("No pleural effusion.", [], (0, 0)),
        ("The heart is enlarged. Small pleural effusion.", ["Cardiomegaly", "Pleural Effusion"], (0, 2)),
        ("Possible cardiomegaly.", ["Cardiomegaly"], (0, 0)),  # uncertain counts for nothing
        ("Old rib fracture.", [], (0, 0)),  # the head does not know fractures here
        ("Old left rib fracture.", [], (-1, 0)),  # and so nobody decided on its side
        ("", ["Cardiomegaly"], (0, 0)),
    ],
)
def test_cases(text: str, decided: list[str], wanted: tuple[int, int]) -> None:
    assert consistency.agreement(text, decided, KNOWN) == wanted
