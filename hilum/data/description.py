"""What ``hilum data describe`` says of a data set: plain numbers, ready for JSON

``docs/schemas/describe.schema.json`` is made of these classes: ``python -m hilum.data.description``. Counts are
of studies unless a name says otherwise; a *report* is a study with findings or an impression.
"""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from typing import Any

import msgspec

from hilum.study import DISCLAIMER
from hilum.text.corpus import BlankLoss, Distribution, GrowthPoint, Phrase

FORMAT = "hilum-description-1"


@dataclass(frozen=True, slots=True)
class Counted:
    """A name and how many studies (or films, where the field says so) have it."""

    name: str
    count: int


@dataclass(frozen=True, slots=True)
class Reason:
    """Why something of the source is not in the data set, how often, and the first few it befell."""

    reason: str
    count: int
    examples: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Sections:
    """Studies by what is written of them. ``neither`` have no findings and no impression."""

    findings: int
    impression: int
    both: int
    neither: int
    indication: int
    history: int
    comparison: int


@dataclass(frozen=True, slots=True)
class Views:
    """Films, and studies by their films.

    ``projections`` counts films; ``films_per_study`` counts studies by number of films; ``sets`` counts studies
    by the projections that they have ("frontal + lateral"), the commonest first.
    """

    projections: dict[str, int]
    films_per_study: dict[str, int]
    sets: tuple[Counted, ...]
    with_file: int
    without_file: int
    simulated: int


@dataclass(frozen=True, slots=True)
class Size:
    """Films of one width and height in pixels; in a grid, of one cell that begins there."""

    width: int
    height: int
    films: int


@dataclass(frozen=True, slots=True)
class Sizes:
    """How large films are, in pixels. ``unknown`` ones have no size; ``grid`` has cells of ``cell`` pixels a side."""

    known: int
    unknown: int
    distinct: int
    upright: int
    lying: int
    square: int
    width: Distribution
    height: Distribution
    commonest: tuple[Size, ...]
    cell: int
    grid: tuple[Size, ...]


@dataclass(frozen=True, slots=True)
class Lengths:
    """Lengths in normal form; texts without a word are left out."""

    findings_words: Distribution
    impression_words: Distribution
    report_words: Distribution
    report_sentences: Distribution
    sentence_words: Distribution


@dataclass(frozen=True, slots=True)
class Sentences:
    """How far sentences repeat. ``repeated`` of the ``total`` stand word for word in another report too."""

    total: int
    distinct: int
    repeated: int


@dataclass(frozen=True, slots=True)
class Kept:
    """A vocabulary of the words that stand at least ``min_count`` times: its size, and the share it leaves out."""

    min_count: int
    size: int
    left_out_share: float


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """The words of all reports. Growth is over reports in an order that depends on nothing but their ids."""

    words: int
    distinct: int
    kept: tuple[Kept, ...]
    min_count: int
    growth: tuple[GrowthPoint, ...]


@dataclass(frozen=True, slots=True)
class Label:
    """Reports by what they say of one observation."""

    name: str
    present: int
    uncertain: int
    absent: int
    not_mentioned: int


@dataclass(frozen=True, slots=True)
class Labels:
    """Findings read from ``reports`` by the labeller, plainly.

    ``together[i][j]`` counts the reports in which the i-th and the j-th of ``observations`` are both present.
    """

    reports: int
    observations: tuple[Label, ...]
    together: tuple[tuple[int, ...], ...]


@dataclass(frozen=True, slots=True)
class Mesh:
    """The annotators' codes. ``coded`` studies have any; ``normal`` and ``no_indexing`` are coded as just that.

    The commonest of ``distinct_descriptors`` and ``distinct_headings`` are listed; all counts are of studies.
    """

    coded: int
    normal: int
    no_indexing: int
    distinct_descriptors: int
    distinct_headings: int
    headings: tuple[Counted, ...]
    descriptors: tuple[Counted, ...]
    sides: dict[str, int]
    degrees: dict[str, int]
    zones: dict[str, int]


@dataclass(frozen=True, slots=True)
class Group:
    """Reports that are the same, or nearly: how many, the first few of them, and how the first one begins."""

    reports: int
    studies: tuple[str, ...]
    begins: str


@dataclass(frozen=True, slots=True)
class Groups:
    """Groups of two and more reports. ``reports`` stand in one; ``sizes`` counts groups by their size."""

    groups: int
    reports: int
    sizes: dict[str, int]
    largest: tuple[Group, ...]


@dataclass(frozen=True, slots=True)
class Duplicates:
    """Reports that repeat one another in normal form.

    ``verbatim``: findings and impression are the same words. ``near``: the word pairs of the whole, or of the
    findings alone, have a Jaccard index of at least ``threshold``, chains included; the same words count too.
    """

    reports: int
    distinct: int
    threshold: float
    verbatim: Groups
    near: Groups


@dataclass(frozen=True, slots=True)
class Part:
    """One part of a split.

    ``unknown_words`` of its ``words`` are not in the vocabulary of the training part, and ``unknown_reports``
    hold such a word; both null where the training part is empty. ``findings_in_train`` counts studies whose
    findings stand word for word in training, ``near_in_train`` those that nearly do; null for training itself.
    ``present`` counts reports by observation.
    """

    name: str
    studies: int
    reports: int
    with_findings: int
    films: int
    coded_normal: int
    with_blank: int
    report_words: Distribution
    words: int
    unknown_words: int | None
    unknown_reports: int | None
    findings_in_train: int | None
    near_in_train: int | None
    present: dict[str, int]


@dataclass(frozen=True, slots=True)
class SplitDescription:
    """One split: its parts, and how many groups of equal and nearly equal reports have members in two of them.

    ``unlisted`` studies stand in no part, not even outside; ``foreign`` ids of the split are no study here.
    """

    name: str
    sha256: str
    made_from: str
    min_count: int
    vocabulary: int
    parts: tuple[Part, ...]
    verbatim_crossing: int
    near_crossing: int
    unlisted: int
    foreign: int


@dataclass(frozen=True, slots=True)
class BlankSection:
    """Blanks of one section: studies that have it, those with a blank in it, and all blanks."""

    name: str
    texts: int
    with_blank: int
    blanks: int


@dataclass(frozen=True, slots=True)
class Blanks:
    """Words that de-identification took out. ``loss`` is over findings and impressions."""

    studies: int
    sections: tuple[BlankSection, ...]
    per_study: Distribution
    loss: BlankLoss


@dataclass(frozen=True, slots=True)
class Description:
    """A data set in numbers."""

    format: str
    disclaimer: str
    name: str
    source: str
    licence: str
    made_by: str
    simulated: bool
    studies: int
    reports: int
    films: int
    left_out: tuple[Reason, ...]
    """Films and studies of the source that the data set does not hold, by reason."""
    sections: Sections
    views: Views
    sizes_taken: Sizes
    """As the films were taken, from the manifest."""
    sizes_of_files: Sizes
    """As the files have it, from their headers."""
    lengths: Lengths
    sentences: Sentences
    words: tuple[Phrase, ...]
    """The commonest words."""
    phrases: dict[str, tuple[Phrase, ...]]
    """The commonest phrases, by how many words they have."""
    vocabulary: Vocabulary
    labels: Labels
    drawn: tuple[Counted, ...]
    """Simulated studies by what was drawn into their films."""
    mesh: Mesh
    duplicates: Duplicates
    splits: tuple[SplitDescription, ...]
    blanks: Blanks


def to_json(description: Description) -> dict[str, Any]:
    """``description`` as plain data, in the shape of ``docs/schemas/describe.schema.json``."""
    plain: dict[str, Any] = msgspec.to_builtins(description)
    return plain


def schema() -> dict[str, Any]:
    """The JSON Schema of ``to_json``'s result; the file in ``docs/schemas`` is this, and a test keeps it so."""
    made = msgspec.json.schema(Description)
    head = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": "describe.schema.json",
        "title": "Description",
        "description": f"What `hilum data describe --json` writes: a data set in numbers. {DISCLAIMER}",
    }
    for definition in made["$defs"].values():
        definition["additionalProperties"] = definition.get("additionalProperties", False)
    return {**head, **made}


if __name__ == "__main__":  # how the file in docs/schemas is made
    sys.stdout.write(json.dumps(schema(), indent=1, ensure_ascii=False) + "\n")
