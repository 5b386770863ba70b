"""The layouts in which a data set can be exported: ``hilum data export FORMAT DIR --to PATH``."""

from __future__ import annotations

from pathlib import Path

from hilum.data import manifest
from hilum.data.exchange import ExportFormat
from hilum.data.exports import annotation, huggingface
from hilum.data.exports.chosen import choose
from hilum.data.provenance import Provenance
from hilum.errors import InputError

SECTIONS = ("findings", "impression")


def run(
    format: ExportFormat, root: Path, to: Path, *, split: str | None = None, section: str = "findings"
) -> Provenance:
    """Exports the data set in ``root`` by the parts of ``split`` (see ``chosen.PREFERRED``) into the folder ``to``.

    ``section`` says which text R2Gen's file holds. Raises DataError, ImageError, InputError, MissingDependencyError.
    """
    if section not in SECTIONS:
        raise InputError(f"no section {section!r}", fix=f"choose one of {', '.join(SECTIONS)}")
    if section != SECTIONS[0] and format is not ExportFormat.R2GEN:
        raise InputError(f"{format} holds every section", fix="--section is for r2gen")
    chosen = choose(manifest.read(root), split)
    if format is ExportFormat.R2GEN:
        return annotation.write_r2gen(chosen, to, section)
    if format is ExportFormat.REXRANK:
        return annotation.write_rexrank(chosen, to)
    if format is ExportFormat.IMAGEFOLDER:
        return huggingface.write_imagefolder(chosen, to)
    return huggingface.write_parquet(chosen, to)
