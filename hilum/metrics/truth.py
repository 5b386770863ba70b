"""Image truth: what was drawn into a simulated film against what a text says is there.

The films know what they show (``Study.truth``), so a text can be held against the image itself instead of
against another text. Each kind of finding counts once a study: *found* where it was drawn and the text calls it
present, *missed* where it was drawn and the text does not, *invented* where the text calls it present and it was
not drawn. Uncertain is not present.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from hilum.metrics.clinical import ratios, share, site_names
from hilum.metrics.intervals import Floats, Statistics
from hilum.study import DrawnFinding, Finding, Side, State
from hilum.text.findings import FURTHER, OBSERVATIONS

LEVELS: dict[str, str] = {
    **dict.fromkeys(("apex", "upper lobe", "upper zone", "azygos lobe"), "upper"),
    **dict.fromkeys(("middle lobe", "lingula", "mid zone", "hilum", "perihilar"), "middle"),
    **dict.fromkeys(("lower lobe", "lower zone", "base", "retrocardiac", "costophrenic angle"), "lower"),
}
"""Which third of the lung a zone lies in. Zones of the drawing and sites of the labeller; others are in none."""
DEGREES: dict[str, str] = {
    **dict.fromkeys(("borderline", "minimal", "mild", "small"), "slight"),
    "moderate": "moderate",
    **dict.fromkeys(("large", "severe"), "marked"),
}
ENOUGH = 10
"""In how many studies a kind must be drawn to count in the macro average."""

Truths = Sequence[Sequence[DrawnFinding]]


def drawn_kinds(truths: Truths) -> dict[str, int]:
    """In how many studies each kind was drawn that a text can be read for, in alphabetical order.

    The phantom draws more kinds than the labeller knows; what it does not know, no text can be found to say.
    """
    kinds = sorted({drawn.kind for truth in truths for drawn in truth} & {*OBSERVATIONS, *FURTHER})
    return {kind: sum(any(drawn.kind == kind for drawn in truth) for truth in truths) for kind in kinds}


def drawn_side(truth: Sequence[DrawnFinding], kind: str) -> Side | None:
    """The side on which all of a study's findings of ``kind`` lie; None where there is no one side."""
    sides = {drawn.side for drawn in truth if drawn.kind == kind}
    side = sides.pop() if len(sides) == 1 else None
    return side if side in (Side.LEFT, Side.RIGHT) else None


def image_truth(truths: Truths, texts: Sequence[Mapping[str, Finding]]) -> Statistics:
    """The statistics of drawn findings against the findings of ``texts``, in the same order.

    They compute, 0 to 1 each: ``image_truth_{precision,recall,f1}_micro`` over all kinds drawn;
    ``image_truth_f1_macro``, the mean F1 over the kinds drawn in at least ``ENOUGH`` studies (NaN without any);
    ``image_truth_f1/KIND``; ``image_truth_side_accuracy``, among one-sided drawn findings that the text finds
    and gives a side, the share with the right one (NaN where there is none); ``image_truth_side_named``, the
    share of one-sided drawn findings that were found that have a side at all in the text (NaN likewise);
    ``image_truth_missed_abnormal``, the share of studies with a drawn finding whose text calls none of them present
    (NaN where nothing is drawn); and ``image_truth_invented``, how many kinds a text calls present that were not
    drawn, a report (0 and more).
    Which kinds count is fixed by all of ``truths``, in a resample or a subset too.
    Raises ValueError where the two are not equally many.
    """
    if len(truths) != len(texts):
        raise ValueError(f"{len(truths)} truths, {len(texts)} texts")
    counted = drawn_kinds(truths)
    kinds = list(counted)
    common = [k for k, kind in enumerate(kinds) if counted[kind] >= ENOUGH]
    shape = (len(truths), len(kinds))
    drawn_NF = np.array([[any(d.kind == kind for d in truth) for kind in kinds] for truth in truths]).reshape(
        shape
    )
    said_NF = np.array([[_present(text, kind) for kind in kinds] for text in texts]).reshape(shape)
    sides_N3 = np.array([_sides(truth, text) for truth, text in zip(truths, texts, strict=True)]).reshape(
        -1, 3
    )
    found_NF = drawn_NF & said_NF
    abnormal_N = drawn_NF.any(axis=1)
    studies_N3 = np.stack([abnormal_N, abnormal_N & ~found_NF.any(axis=1), np.ones_like(abnormal_N)], axis=1)
    stats_NS = np.concatenate([found_NF, drawn_NF, said_NF, sides_N3, studies_N3], axis=1).astype(np.float64)
    n_kinds = len(kinds)

    def compute(sums_S: Floats) -> dict[str, Floats]:
        found_F, drawn_F, said_F = (sums_S[..., k * n_kinds : (k + 1) * n_kinds] for k in range(3))
        right, sided, one_sided, abnormal, missed, studies = np.moveaxis(sums_S[..., 3 * n_kinds :], -1, 0)
        micro = ratios(found_F.sum(axis=-1), drawn_F.sum(axis=-1), said_F.sum(axis=-1))
        f1_F = ratios(found_F, drawn_F, said_F)[2]
        nothing = np.full(right.shape, np.nan)
        result = {
            "image_truth_f1_macro": f1_F[..., common].mean(axis=-1) if common else nothing,
            "image_truth_side_accuracy": share(right, sided),
            "image_truth_side_named": share(sided, one_sided),
            "image_truth_missed_abnormal": share(missed, abnormal),
            "image_truth_invented": share((said_F - found_F).sum(axis=-1), studies),
        }
        for name, value in zip(("precision", "recall", "f1"), micro, strict=True):
            result[f"image_truth_{name}_micro"] = value
        return result | {f"image_truth_f1/{kind}": f1_F[..., k] for k, kind in enumerate(kinds)}

    return Statistics(stats_NS, compute)


def counts(truths: Truths, texts: Sequence[Mapping[str, Finding]]) -> dict[str, dict[str, int]]:
    """Per kind: in how many studies it was ``drawn``, ``found``, ``missed``, ``invented``, and found on the
    ``wrong_side``, in the ``wrong_zone`` or with the ``wrong_degree`` (the last three among those where both
    the drawing and the text name one). Zones and degrees are compared by ``LEVELS`` and ``DEGREES``: a base is
    in the lower lung, and small is not told from mild."""
    result = {}
    for kind, drawn in drawn_kinds(truths).items():
        tally = dict.fromkeys(("found", "missed", "invented", "wrong_side", "wrong_zone", "wrong_degree"), 0)
        for truth, text in zip(truths, texts, strict=True):
            here = [each for each in truth if each.kind == kind]
            if not _present(text, kind):
                tally["missed"] += bool(here)
                continue
            tally["found" if here else "invented"] += 1
            if here:
                said = text[kind]
                side = drawn_side(truth, kind)
                tally["wrong_side"] += side is not None and said.side is not None and said.side != side
                tally["wrong_zone"] += _other(LEVELS, site_names(said), (each.zone for each in here))
                tally["wrong_degree"] += _other(DEGREES, (said.severity,), (each.degree for each in here))
        result[kind] = {"drawn": drawn, **tally}
    return result


def _present(text: Mapping[str, Finding], kind: str) -> bool:
    return kind in text and text[kind].state is State.PRESENT


def _sides(truth: Sequence[DrawnFinding], text: Mapping[str, Finding]) -> tuple[int, int, int]:
    """Of one study's one-sided drawn findings that the text finds: on the right side, with a side, all."""
    right = sided = found = 0
    for kind in {drawn.kind for drawn in truth}:
        side = drawn_side(truth, kind)
        if side is not None and _present(text, kind):
            found += 1
            sided += text[kind].side is not None
            right += text[kind].side == side
    return right, sided, found


def _other(classes: Mapping[str, str], said: Iterable[str | None], drawn: Iterable[str | None]) -> bool:
    """Whether ``said`` and ``drawn`` have no class in common; False where one of them has none."""
    here, there = (
        {classes[name] for name in names if name is not None and name in classes} for names in (said, drawn)
    )
    return bool(here) and bool(there) and not here & there
