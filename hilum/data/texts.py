"""The reports of the training part of a split, in normal form: what is learnt from text alone."""

from __future__ import annotations

from pathlib import Path

from hilum.data import manifest, splits
from hilum.errors import DataError
from hilum.text.normal import normalise


def training_texts(folder: Path, split: str) -> list[str]:
    """Findings and impressions, those that say something, of the split's training studies, in its order.

    Raises DataError where there are none.
    """
    by_id = manifest.read(folder).by_id()
    reports = [by_id[name].report for name in splits.read(folder, split).train if name in by_id]
    written = [
        text
        for report in reports
        if report is not None
        for part in (report.findings, report.impression)
        if (text := normalise(part))
    ]
    if not written:
        raise DataError(f"the training part of split {split!r} has no reports", where=folder)
    return written
