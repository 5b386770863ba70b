"""What a findings head is trained to say of a study: 1 present, 0 absent, NaN unknown (never counted)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from hilum.data import labels
from hilum.study import Side, State, Study
from hilum.text import mesh
from hilum.text.findings import FURTHER, NO_FINDING, OBSERVATIONS, Reading, label

SIDED = (
    "Lung Opacity", "Lung Lesion", "Consolidation", "Pneumonia", "Atelectasis", "Pneumothorax",
    "Pleural Effusion", "Pleural Other", "Fracture", "Support Devices", "Granuloma", "Elevated Diaphragm",
    "Scarring", "Scoliosis",
)  # fmt: skip
"""Findings that the head also reads by side, as ``Pleural Effusion/left``: given that the finding is there."""

HEAD_FINDINGS: tuple[str, ...] = (
    *OBSERVATIONS, *FURTHER, *(f"{name}/{side}" for name in SIDED for side in ("left", "right"))
)  # fmt: skip


def targets(study: Study, names: Sequence[str] = HEAD_FINDINGS) -> NDArray[np.float32]:
    """The targets (F,) of ``study``, in the order of ``names``; a side is known only of a finding that is present.

    The annotators' MeSH codes list all that they found, so a finding that an indexed study is not coded with is
    absent, whether its text mentions it or not. Where text and codes disagree the text may add a finding; what
    the text leaves uncertain, and everything uncoded of a study without indexing, is unknown; labels that came with
    the collection (``Study.labels``) say what codes and text leave open. Of a simulated study what was drawn is known
    exactly, and counts alone; what it is coded with and could not be drawn is unknown.
    """
    if any(view.simulated for view in study.views):
        return _drawn_targets(study, names)
    terms = [mesh.parse(descriptor) for descriptor in study.mesh]
    indexed = any(term.heading != "No Indexing" for term in terms)
    present: set[str] = set()
    sided_known: set[str] = set()
    for term in terms:
        name = mesh.observation(term)
        if name is not None:
            present |= _with_sides(name, term.side)
            if term.side is not None:
                sided_known.add(name)
    text = "" if study.report is None else f"{study.report.findings} {study.report.impression}"
    uncertain: set[str] = set()
    for name, finding in label(text, further=True, reading=Reading.PLAIN).items():
        if name == "No Finding":
            continue
        if finding.state is State.PRESENT:
            present |= _with_sides(name, finding.side)
            if finding.side is not None:
                sided_known.add(name)
        elif finding.state is State.UNCERTAIN:
            uncertain.add(name)
    labelled = _labelled(study)
    values = np.zeros(len(names), np.float32)
    for index, name in enumerate(names):
        base, _, side = name.partition("/")
        if name in present:
            values[index] = 1.0
        elif side:
            values[index] = 0.0 if base in sided_known else np.nan
        elif base in uncertain:
            values[index] = np.nan
        elif not indexed:
            values[index] = labelled.get(name, np.nan)
    return values


def _labelled(study: Study) -> dict[str, float]:
    """What the labels of ``study`` settle: 1 present, 0 absent; a finding that is there rules "No Finding" out."""
    values = {
        name: float(state is State.PRESENT)
        for name, state in labels.readings(study.labels).items()
        if state is not State.UNCERTAIN
    }
    if any(value for name, value in values.items() if name not in (NO_FINDING, "Support Devices")):
        values[NO_FINDING] = 0.0
    return values


def _with_sides(name: str, side: Side | None) -> set[str]:
    if side is Side.BILATERAL:
        return {name, f"{name}/left", f"{name}/right"}
    return {name} if side is None else {name, f"{name}/{side.value}"}


def _drawn_targets(study: Study, names: Sequence[str]) -> NDArray[np.float32]:
    present = {name for finding in study.truth for name in _with_sides(finding.kind, finding.side)}
    sided = {finding.kind for finding in study.truth if finding.side is not None}
    coded = {mesh.observation(mesh.parse(descriptor)) for descriptor in study.mesh}
    values = np.zeros(len(names), np.float32)
    for index, name in enumerate(names):
        base, _, side = name.partition("/")
        if name == NO_FINDING:
            values[index] = float(not {*OBSERVATIONS, *FURTHER} & {finding.kind for finding in study.truth})
        elif name in present:
            values[index] = 1.0
        elif side:
            values[index] = 0.0 if base in sided else np.nan
        elif base in coded:
            values[index] = np.nan
    return values
