"""What an export holds: the studies of a split's parts with their films, and what cannot come along."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np

import hilum
from hilum import atomic
from hilum.data import manifest, provenance, splits
from hilum.data.imports.writing import file_stem
from hilum.data.manifest import Dataset, LeftOut
from hilum.data.provenance import Provenance
from hilum.errors import DataError
from hilum.imaging.pixels import read_film
from hilum.progress import track
from hilum.study import Study, View

PREFERRED = ("official", "r2gen", "given", "rexrank", "clean", "patients", "random")
"""Which split is taken where none is named: the first that the data set has, those that came along before others."""


@dataclass(frozen=True, slots=True)
class Chosen:
    """The studies of each part, in the split's order, each with at least one film at hand; what is left out."""

    dataset: Dataset
    split: str
    parts: dict[str, tuple[Study, ...]]
    left_out: tuple[LeftOut, ...]

    def tracked(self) -> Iterator[tuple[str, Study]]:
        """(part, study) of all, while a bar shows how many are done."""
        every = [(part, study) for part, studies in self.parts.items() for study in studies]
        return track(every, "studies")


def choose(dataset: Dataset, split: str | None) -> Chosen:
    """The studies of ``dataset`` by the parts of ``split``; of a data set without splits all are ``train``.

    Studies in no part and studies without a film are left out. Raises DataError where there is no such split, and
    where nothing is left.
    """
    there = splits.names(dataset.root)
    name = split or next((name for name in (*PREFERRED, *there) if name in there), "")
    left_out: list[LeftOut] = []
    by_id = dataset.by_id()
    if name:
        found = splits.read(dataset.root, name)
        ids = {part: [id for id in found.part(part) if id in by_id] for part in splits.PARTS}
        inside = {id for part in ids.values() for id in part}
        left_out += [LeftOut(id, f"in no part of the split {name}") for id in by_id if id not in inside]
    else:
        ids = {"train": list(by_id)}
    parts: dict[str, tuple[Study, ...]] = {}
    for part, members in ids.items():
        kept = []
        for id in members:
            views = tuple(view for view in by_id[id].views if view.file is not None)
            left_out += [LeftOut(v.id, "its film is not at hand") for v in by_id[id].views if v.file is None]
            if views:
                kept.append(replace(by_id[id], views=views))
            else:
                left_out.append(LeftOut(id, "it has no film"))
        parts[part] = tuple(kept)
    if not any(parts.values()):
        raise DataError("no study with a film to export", where=dataset.root, fix="import the films first")
    return Chosen(dataset, name, parts, tuple(left_out))


def prepare(to: Path, dataset: Dataset, export: str) -> None:
    """Refuses to write where something else lies. Raises DataError for a file, and a folder with other contents."""
    if to.exists() and not to.is_dir():
        raise DataError("a file, not a folder", where=to, fix="name a folder")
    note = to / provenance.FILE
    if note.is_file():
        before = provenance.parse(note.read_bytes(), note)
        if (before.export, before.name) != (export, dataset.info.name):
            raise DataError(
                f"already holds {before.name!r} as {before.export}", where=to, fix="name another folder"
            )
        note.unlink()  # until the export is whole again
    elif to.is_dir() and any(to.iterdir()):
        raise manifest.not_empty(to, min(path.name for path in to.iterdir()))


def finish(
    to: Path, chosen: Chosen, export: str, left_out: Sequence[LeftOut], not_held: Sequence[str]
) -> Provenance:
    """Writes what was left out and, last, what the export says of itself."""
    info = chosen.dataset.info
    manifest.write_left_out(to, (*chosen.left_out, *left_out))
    atomic.settle()
    note = Provenance(
        export, info.name, info.source, info.licence, info.simulated,
        f"hilum data export {export}, hilum {hilum.__version__}", chosen.split, tuple(not_held),
    )  # fmt: skip
    provenance.write(to, note)
    return note


def film(dataset: Dataset, view: View) -> tuple[str, bytes]:
    """(suffix, content) of the film of ``view`` as others can open it: PNG and JPEG as they are, DICOM as a PNG of 8
    bits, without its header, which may name a patient. Raises DataError where it is not there, ImageError where it
    cannot be read."""
    path = dataset.path(view)
    if path.suffix.lower() == ".dcm":
        pixels_HW = np.rint(read_film(path).pixels_HW * 255).astype(np.uint8)
        return ".png", cv2.imencode(".png", pixels_HW)[1].tobytes()
    try:
        return path.suffix.lower(), path.read_bytes()
    except OSError as error:
        raise DataError(f"cannot be read ({error.strerror})", where=path) from None


def write_film(to: Path, dataset: Dataset, view: View, stem: str) -> str:
    """Writes the film of ``view`` as ``stem`` and its suffix below ``to``; returns that path."""
    suffix, data = film(dataset, view)
    target = to / f"{stem}{suffix}"
    if not (target.is_file() and target.read_bytes() == data):
        with atomic.replacing(target, durable=False) as temporary:
            temporary.write_bytes(data)
    return f"{stem}{suffix}"


def studies_with_films(chosen: Chosen, to: Path, folder: str) -> Iterator[tuple[str, Study, list[str]]]:
    """(part, study, paths of its films) of all, each film written as ``STUDY/NUMBER`` below ``to / folder``."""
    for part, study in chosen.tracked():
        stem = file_stem(study.id)
        yield part, study, [
            write_film(to / folder, chosen.dataset, view, f"{stem}/{number}")
            for number, view in enumerate(study.views)
        ]  # fmt: skip
