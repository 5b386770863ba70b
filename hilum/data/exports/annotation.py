"""A data set as R2Gen's ``annotation.json`` or as ReXrank's study file, its films in a folder a study."""

from __future__ import annotations

import json
from pathlib import Path

from hilum import atomic
from hilum.data.exports.chosen import Chosen, finish, prepare, studies_with_films
from hilum.data.manifest import LeftOut
from hilum.data.provenance import Provenance
from hilum.study import Projection, Report, Study

PARTS = {"train": "train", "validation": "val", "test": "test"}
NOT_IN_R2GEN = (
    "impression", "indication", "history", "comparison", "projections", "view ids", "sizes as taken", "MeSH",
    "labels", "patients", "drawn truth",
)  # fmt: skip
NOT_IN_REXRANK = ("view ids", "sizes as taken", "MeSH", "labels", "patients", "drawn truth")


def write_r2gen(chosen: Chosen, to: Path, section: str = "findings") -> Provenance:
    """``annotation.json`` and ``images/STUDY/0.png`` in ``to``; a study without ``section`` is left out.

    ``section`` is ``findings`` (what R2Gen's own file holds) or ``impression``. Raises DataError.
    """
    prepare(to, chosen.dataset, "r2gen")
    left_out: list[LeftOut] = []
    parts: dict[str, list[dict[str, object]]] = {name: [] for name in PARTS.values()}
    told = _with(chosen, section, left_out)
    for part, study, paths in studies_with_films(told, to, "images"):
        text = getattr(study.report or Report(), section)
        entry = {"id": study.id, "report": text, "image_path": paths, "split": PARTS[part]}
        parts[PARTS[part]].append(entry)
    atomic.write_text(to / "annotation.json", _dumped(parts))
    not_held = [what for what in ("findings", *NOT_IN_R2GEN) if what != section]
    return finish(to, chosen, "r2gen", left_out, not_held)


def write_rexrank(chosen: Chosen, to: Path) -> Provenance:
    """``rexrank.json`` and ``images/STUDY/0.png`` in ``to``; no study without a report. Raises DataError."""
    prepare(to, chosen.dataset, "rexrank")
    left_out: list[LeftOut] = []
    studies = {}
    for part, study, paths in studies_with_films(_with(chosen, "", left_out), to, "images"):
        report = study.report or Report()
        frontal = [p for p, v in zip(paths, study.views, strict=True) if v.projection is Projection.FRONTAL]
        studies[study.id] = {
            "key_image_path": (frontal or paths)[0],
            "image_path": paths,
            "report": _joined(("Findings", report.findings), ("Impression", report.impression)),
            "section_findings": report.findings,
            "section_impression": report.impression,
            "split": PARTS[part],
            "frontal_lateral": [view.projection.value.capitalize() for view in study.views],
            "context": _joined(
                ("Indication", study.indication), ("History", study.history), ("Comparison", study.comparison)
            ),
        }
    atomic.write_text(to / "rexrank.json", _dumped(studies))
    return finish(to, chosen, "rexrank", left_out, NOT_IN_REXRANK)


def _with(chosen: Chosen, section: str, left_out: list[LeftOut]) -> Chosen:
    """``chosen`` without the studies that have no ``section`` (``""``: no report at all), which are listed."""

    def has(study: Study) -> bool:
        report = study.report or Report()
        return bool(getattr(report, section).strip()) if section else report != Report()

    parts: dict[str, tuple[Study, ...]] = {}
    for part, studies in chosen.parts.items():
        parts[part] = tuple(study for study in studies if has(study))
        reason = f"its report has no {section}" if section else "it has no report"
        left_out += [LeftOut(study.id, reason) for study in studies if not has(study)]
    return Chosen(chosen.dataset, chosen.split, parts, chosen.left_out)


def _joined(*sections: tuple[str, str]) -> str:
    return " ".join(f"{name}: {text}" for name, text in sections if text)


def _dumped(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, indent=1) + "\n"
