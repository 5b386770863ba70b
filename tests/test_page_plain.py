from __future__ import annotations

from hilum.page import draft_text
from hilum.study import DISCLAIMER, Diagnosis, Draft, FindingEstimate, ModelCard, Sentence, State


def test_a_terminal_shows_everything_that_matters_and_warnings_first() -> None:
    sentences = (
        Sentence("The heart is normal in size. " * 8, "findings", -3.0),
        Sentence("No acute disease.", "impression", -1.0),
    )
    findings = {
        "Cardiomegaly": FindingEstimate(0.2, None),
        "Edema": FindingEstimate(0.9, State.PRESENT),
        "Fracture": FindingEstimate(0.01, State.ABSENT),
    }
    card = ModelCard("made", "0123456789abcdef", "nothing", simulated=True)
    coded = (
        Diagnosis("Pulmonary Edema/mild", "Edema", None, None, "mild", 0.9, "films and text"),
        Diagnosis("Hernia, Hiatal", "Hiatal Hernia", None, None, None, None, "text"),
    )
    draft = Draft("s1", sentences, findings, ("Simulated.",), card, diagnoses=coded)
    lines = draft_text(draft).splitlines()
    assert "Pulmonary Edema/mild · films and text · 0.90" in lines
    assert "Hernia, Hiatal · text" in lines
    assert lines[0] == "s1 · model made (0123456789ab)"
    assert lines[1] == DISCLAIMER and lines[2] == "WARNING Simulated."
    assert lines.index("FINDINGS") < lines.index("IMPRESSION")
    assert "No acute disease." in lines and lines[-1] == "Edema 0.90"
    assert max(map(len, lines)) <= 110


def test_an_empty_draft_says_so() -> None:
    card = ModelCard("made", "0" * 64, "nothing", simulated=False)
    text = draft_text(Draft("s", (), {}, (), card))
    assert text.count("(none drafted)") == 2 and text.endswith("none")
