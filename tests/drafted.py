"""A drafted study for the tests of pages: two films, a draft with region maps, a reference; and hostile texts."""

from __future__ import annotations

import numpy as np

from hilum.study import (
    DISCLAIMER,
    Diagnosis,
    Draft,
    DrawnFinding,
    DrawnRegion,
    FindingEstimate,
    ModelCard,
    Projection,
    RegionMap,
    Report,
    Sentence,
    Side,
    State,
    Study,
    View,
)


def grid_at(row: int, column: int, share: float, size: int = 7) -> tuple[tuple[float, ...], ...]:
    cells = np.full((size, size), 0.1 * share / (size * size - 1))
    cells[row, column] = 0.9 * share
    return tuple(tuple(map(float, line)) for line in cells)


def film(height: int, width: int, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    rows_HW, columns_HW = np.mgrid[:height, :width]
    return ((rows_HW + columns_HW) / (height + width) + rng.normal(0, 0.03, (height, width))).astype(
        np.float32
    )


LATERAL, FRONTAL = View("lat-2", Projection.LATERAL), View("pa-1", Projection.FRONTAL)
STUDY = Study(
    "CASE7",
    (LATERAL, FRONTAL),
    indication="Cough for two weeks.",
    comparison="None.",
    report=Report(
        "The heart is enlarged. There is a small right pleural effusion. No pneumothorax.",
        "Cardiomegaly.",
    ),
)
DRAFT = Draft(
    "CASE7",
    (
        Sentence(
            "The heart is enlarged.",
            "findings",
            -1.0,
            (
                RegionMap("pa-1", (100.0, 200.0, 300.5, 400.0), 0.75, grid_at(1, 5, 0.75), (0, 0, 800, 1000)),
                RegionMap("lat-2", (10.0, 20.0, 30.0, 40.0), 0.25, grid_at(3, 3, 0.25), (0, 0, 300, 400)),
            ),
        ),
        Sentence("There is an acute rib fracture.", "findings", -2.0),
        Sentence("No pneumothorax.", "impression", -0.1),
    ),
    {
        "Edema": FindingEstimate(0.031, State.ABSENT),
        "Cardiomegaly": FindingEstimate(0.87, State.PRESENT),
        "Lung Opacity": FindingEstimate(0.5, None),
    },
    ("This film is unusually dark.",),
    ModelCard("small-reader", "0123456789abcdef" * 4, "a made-up set", False),
    DISCLAIMER,
    (
        Diagnosis("Cardiomegaly/mild", "Cardiomegaly", None, None, "mild", 0.87, "films and text"),
        Diagnosis("Fractures, Bone/ribs", "Fracture", None, "rib", None, None, "text"),
    ),
)
FILMS = (film(400, 300, 1), (film(1000, 800, 2).clip(0, 1) * 255).astype(np.uint8))
NASTY = [
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "' onmouseover='alert(1)",
    "</style></title></svg><b>",
    "{{ 7 * 7 }}{% raw %}",
    "&lt;b&gt; &amp; <!-- ]]>",
    "\u202e\x00\ufffe\U0001f9ea",
]


def dressed(word: str) -> tuple[Study, Draft]:
    """A study and a draft in which every text from outside is ``word``."""
    views = (View(f"{word}1", Projection.LATERAL), View(f"{word}2", Projection.FRONTAL))
    maps = tuple(RegionMap(v.id, (0, 0, 9, 9), 0.5, ((0.25, 0.25),), (0, 0, 9, 9)) for v in views)
    truth = DrawnFinding(word, word, (DrawnRegion(views[0].id, (1, 1, 2, 2)),), Side.LEFT, word, word)
    study = Study(word, views, word, word, word, Report(word, word), (word,), (truth,))
    sentences = (
        Sentence(word, "findings", -1.0, maps),
        Sentence(word, "impression", -1.0),
        Sentence(word, word, 0),
    )
    estimates = {word: FindingEstimate(0.5, None)}
    coded = (Diagnosis(word, word, None, word, word, None, word),)
    card = ModelCard(word, word, word, True)
    return study, Draft(word, sentences, estimates, (word,), card, word, coded)
