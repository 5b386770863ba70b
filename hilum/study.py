"""The nouns of Hilum: what flows between its rooms. Plain data, no tensors, no disk.

Three words for three things: a *reference* is what the radiologist wrote, a *draft* is what Hilum made,
a *finding* is one observation in one of four states; "not mentioned" is the absence of the finding, never 0.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

DISCLAIMER = "Draft for research and education. Not a diagnosis; a physician decides."

Box = tuple[float, float, float, float]
"""x0, y0, x1, y1 in pixels of the image file, origin at the upper left corner, x1 and y1 exclusive."""


class Projection(StrEnum):
    """How the beam went through the patient."""

    FRONTAL = "frontal"
    LATERAL = "lateral"
    UNKNOWN = "unknown"


class State(StrEnum):
    """What a text says of an observation. What it does not mention has no state at all."""

    PRESENT = "present"
    ABSENT = "absent"
    UNCERTAIN = "uncertain"


class Side(StrEnum):
    """The patient's side; the patient's right is on the viewer's left in a frontal film."""

    LEFT = "left"
    RIGHT = "right"
    BILATERAL = "bilateral"


@dataclass(frozen=True, slots=True)
class View:
    """One film of a study.

    ``file`` is relative to the data set's folder, ``None`` where only the text is at hand.
    ``height`` and ``width`` are those of the film as it was taken, in pixels; the file may be a smaller or
    a stretched copy, and the ratio of the two restores the aspect. ``None`` means: as the file has it.
    """

    id: str
    projection: Projection = Projection.UNKNOWN
    file: str | None = None
    height: int | None = None
    width: int | None = None
    simulated: bool = False


@dataclass(frozen=True, slots=True)
class Report:
    """The reference: what the radiologist wrote, section by section, as it stands in the source."""

    findings: str = ""
    impression: str = ""


@dataclass(frozen=True, slots=True)
class DrawnRegion:
    """Where a simulated finding lies in one view."""

    view: str
    """``View.id``"""
    box: Box


@dataclass(frozen=True, slots=True)
class DrawnFinding:
    """One finding that the phantom drew: the truth of a simulated film.

    ``kind`` is a name from ``hilum.text.findings`` (a CheXpert observation or one of Hilum's further ones),
    ``descriptor`` the MeSH descriptor it was drawn from.
    """

    kind: str
    descriptor: str
    regions: tuple[DrawnRegion, ...]
    side: Side | None = None
    zone: str | None = None
    degree: str | None = None


@dataclass(frozen=True, slots=True)
class Label:
    """What a collection's own label file says of one observation in a study.

    ``name`` is the collection's word as it stands (``Pleural_Thickening``; ``hilum.data.labels`` knows what it
    means), ``by`` who or what labelled (``chexpert``, ``negbio``, ``chestx-ray14``). What a labeller leaves blank is
    unknown and has no label.
    """

    name: str
    state: State
    by: str


@dataclass(frozen=True, slots=True)
class Study:
    """One examination: its films, what was asked, and, where there is one, the reference report.

    ``mesh`` holds the annotators' descriptors as they stand (``Opacity/lung/base/left``);
    ``truth`` holds what was drawn (simulated studies only); ``patient`` what the source calls the patient, in a
    de-identified collection, ``""`` where it does not say: two studies of one patient belong in one part of a split.
    ``labels`` are those that came with the collection, never ones that Hilum made.
    """

    id: str
    views: tuple[View, ...] = ()
    indication: str = ""
    history: str = ""
    comparison: str = ""
    report: Report | None = None
    mesh: tuple[str, ...] = ()
    truth: tuple[DrawnFinding, ...] = ()
    patient: str = ""
    labels: tuple[Label, ...] = ()


@dataclass(frozen=True, slots=True)
class Finding:
    """One observation that a text states.

    ``evidence`` holds the character spans (start, end) in that text which say so.
    """

    name: str
    state: State
    evidence: tuple[tuple[int, int], ...] = ()
    side: Side | None = None
    site: str | None = None
    severity: str | None = None
    change: str | None = None


class MapKind(StrEnum):
    """What a region map is made of."""

    ATTENTION = "attention"
    """Where the decoder looked while it wrote the words: the mean of their attention."""
    EVIDENCE = "evidence"
    """Where the findings head looked when it read off what the words name: its attention, not the decoder's."""


@dataclass(frozen=True, slots=True)
class RegionMap:
    """Where, in one view, what a sentence or a finding stands on was seen.

    ``grid`` holds the map over the view's own grid, row by row, each row a tuple; over all views of a sentence or
    finding it sums to 1. ``extent`` says which part of the file's pixels the grid covers; ``box`` bounds the
    smallest set of cells that holds half of what the map has in this view, in pixels of the file that came in;
    ``weight`` is the share of the whole map that fell on this view.
    """

    view: str
    box: Box
    weight: float
    grid: tuple[tuple[float, ...], ...]
    extent: Box


@dataclass(frozen=True, slots=True)
class Sentence:
    """One sentence of a draft, with how sure the model was of its words and where it looked."""

    text: str
    section: str
    """``findings`` or ``impression``"""
    log_prob: float
    """Sum of the natural log-probabilities of its tokens."""
    regions: tuple[RegionMap, ...] = ()
    background_weight: float = 0.0
    """The share of its attention that fell on the words of the background (indication, history, comparison) or
    of retrieved reports, from 0 to 1; the regions are about the rest, and their weights sum to 1 whatever it is."""
    map: MapKind = MapKind.ATTENTION
    """What the regions are made of."""


@dataclass(frozen=True, slots=True)
class FindingEstimate:
    """What the findings head makes of the films: a probability that the finding is present.

    ``state`` is ``None`` where the probability lies between the head's two thresholds. ``regions``, maps of kind
    ``evidence``, say where the head looked when it read the finding off; empty where it is ruled out.
    """

    probability: float
    state: State | None
    regions: tuple[RegionMap, ...] = ()


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """One coded diagnosis of a draft: a finding that is taken to be present, where, and to what degree.

    ``mesh`` is a descriptor in the manner of Open-i's annotators (``Pleural Effusion/right/small``), None where no
    one descriptor says the finding (``text.mesh_findings``); ``finding`` is a name from ``hilum.text.findings``;
    ``site`` and ``severity`` are the draft's words. ``probability`` is the findings head's, None where it does not
    read the finding.
    """

    mesh: str | None
    finding: str
    side: Side | None
    site: str | None
    severity: str | None
    probability: float | None
    source: str
    """``films`` (the findings head), ``text`` (the draft alone), or ``films and text``."""


@dataclass(frozen=True, slots=True)
class ModelCard:
    """Which model made a draft."""

    name: str
    sha256: str
    trained_on: str
    simulated: bool


@dataclass(frozen=True, slots=True)
class Draft:
    """What Hilum drafts for a study. Tensors stop here."""

    study: str
    sentences: tuple[Sentence, ...]
    findings: dict[str, FindingEstimate]
    warnings: tuple[str, ...]
    model: ModelCard
    disclaimer: str = DISCLAIMER
    diagnoses: tuple[Diagnosis, ...] = ()

    @property
    def findings_text(self) -> str:
        """The sentences of the findings section, joined by spaces."""
        return " ".join(s.text for s in self.sentences if s.section == "findings")

    @property
    def impression(self) -> str:
        """The sentences of the impression, joined by spaces."""
        return " ".join(s.text for s in self.sentences if s.section == "impression")
