from __future__ import annotations

import numpy as np
import pytest

from hilum.data.targets import HEAD_FINDINGS, targets
from hilum.study import DrawnFinding, Report, Side, Study, View


def one(name: str, mesh: tuple[str, ...], findings: str = "") -> float:
    return float(targets(Study("s", mesh=mesh, report=Report(findings)))[HEAD_FINDINGS.index(name)])


@pytest.mark.parametrize(
    ("name", "mesh", "text", "wanted"),
    [
        ("Cardiomegaly", ("Cardiomegaly/mild",), "", 1.0),
        ("Cardiomegaly", ("normal",), "", 0.0),
        ("Cardiomegaly", ("normal",), "The heart is enlarged.", 1.0),  # the text may add
        ("Cardiomegaly", ("Cardiomegaly/mild",), "The heart size is normal.", 1.0),  # and never takes away
        ("Cardiomegaly", ("normal",), "Possible cardiomegaly.", np.nan),
        ("Cardiomegaly", ("No Indexing",), "The lungs are clear.", np.nan),
        ("Cardiomegaly", ("No Indexing",), "The heart is enlarged.", 1.0),
        ("Pleural Effusion/left", ("Pleural Effusion/left/small",), "", 1.0),
        ("Pleural Effusion/right", ("Pleural Effusion/left/small",), "", 0.0),
        ("Pleural Effusion/right", ("Pleural Effusion/bilateral/small",), "", 1.0),
        ("Pleural Effusion/right", ("Pleural Effusion",), "", np.nan),  # present, on a side that nobody named
        ("Pleural Effusion/right", ("normal",), "", np.nan),  # what is not there is on no side
        ("Pleural Effusion/left", ("normal",), "Small left effusion.", 1.0),
        ("Pleural Effusion/right", ("normal",), "Small left effusion.", 0.0),
        ("Pleural Effusion/left", ("normal",), "Possible left effusion.", np.nan),
        ("No Finding", ("normal",), "", 1.0),
        ("No Finding", ("Cardiomegaly",), "", 0.0),
    ],
)
def test_cases(name: str, mesh: tuple[str, ...], text: str, wanted: float) -> None:
    np.testing.assert_equal(one(name, mesh, text), wanted)


def test_of_a_simulated_study_what_was_drawn_counts() -> None:
    drawn = (
        DrawnFinding("Granuloma", "Calcified Granuloma", (), side=Side.LEFT),
        DrawnFinding("Cardiomegaly", "Cardiomegaly", ()),
    )
    mesh = ("Calcified Granuloma", "Cardiomegaly", "Pulmonary Atelectasis")
    study = Study("s", (View("v", simulated=True),), mesh=mesh, truth=drawn, report=Report("Right effusion."))
    found = dict(zip(HEAD_FINDINGS, targets(study), strict=True))
    assert found["Granuloma"] == found["Granuloma/left"] == found["Cardiomegaly"] == 1.0
    assert found["Granuloma/right"] == found["Pleural Effusion"] == found["No Finding"] == 0.0
    assert np.isnan(found["Pleural Effusion/right"])  # the text alone says so, and it was not drawn
    assert np.isnan(found["Atelectasis"]) and np.isnan(found["Atelectasis/left"])  # coded, and not drawn
    clear = Study("s", (View("v", simulated=True),), mesh=("normal",))
    assert dict(zip(HEAD_FINDINGS, targets(clear), strict=True))["No Finding"] == 1.0


def test_without_codes_or_text_nothing_is_known() -> None:
    assert np.isnan(targets(Study("s"))).all()
