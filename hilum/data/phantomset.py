"""``hilum data phantom``: real Open-i reports, simulated films, exact truth of what was drawn and where."""

from __future__ import annotations

import concurrent.futures
import hashlib
import io
import multiprocessing
import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import cv2
import numpy as np

import hilum
from hilum import ahead, atomic
from hilum.data import manifest, splits
from hilum.data.manifest import Dataset, DatasetInfo, LeftOut
from hilum.data.splits import Split
from hilum.errors import DataError
from hilum.imaging import phantom
from hilum.imaging.phantom.masks import by_name
from hilum.progress import track
from hilum.study import DrawnFinding, DrawnRegion, Projection, Study, View

NAME = "openi-phantom"
LICENCE = "Films: simulated, Apache-2.0. Reports and MeSH codes: Open-i, CC BY-NC-ND 4.0"
VIEWS = (Projection.FRONTAL, Projection.LATERAL)
_PNG_END = bytes.fromhex("0000000049454e44ae426082")
"""The IEND chunk that every PNG ends with (PNG specification, 11.2.5)."""
_KEPT = 1 << 22
"""Bytes, more than any array of a film of 256 pixels."""


@dataclass(frozen=True, slots=True)
class Drawing:
    """How the films of a set are drawn: pixels a side, the share of studies taken at the bedside (AP), how hard the
    findings are to see (0 as they are, 1 not at all), and whether masks are written too."""

    size: int = 256
    portable: float = 0.0
    difficulty: float = 0.0
    masks: bool = False

    def of(self, study_id: str) -> phantom.Conditions:
        """The conditions of one study: which ones are portable is decided by a hash of the id."""
        digest = hashlib.sha256(f"portable\0{study_id}".encode()).digest()
        chance = int.from_bytes(digest[:6], "big") / (1 << 48)
        return phantom.Conditions(chance < self.portable, 1.0 - self.difficulty)

    def __str__(self) -> str:
        """What tells these films from others of the same reports: options of the command."""
        parts = [f"--size {self.size}"]
        parts += [f"--portable {self.portable:g}"] if self.portable else []
        parts += [f"--difficulty {self.difficulty:g}"] if self.difficulty else []
        return " ".join(parts)


def make(
    reports: Sequence[Study],
    to: Path,
    *,
    studies: int | None = None,
    size: int = 256,
    workers: int | None = None,
    portable: float = 0.0,
    difficulty: float = 0.0,
    masks: bool = False,
    patients: int = 1,
) -> Dataset:
    """Draws a frontal and a lateral film for each of ``reports`` and writes them as a data set in ``to``.

    A study without films in the source, and one that nobody indexed with MeSH, cannot be drawn and is listed
    in ``left_out.jsonl``. ``studies`` draws that many, chosen by a hash of their ids. Films are 8-bit grey PNG
    of ``size`` pixels a side, drawn in ``workers`` processes (None: one per core at hand). A folder that holds
    part of the same data set is completed: films are written atomically, and one that a power cut left without its
    end is drawn anew.

    ``portable``, ``difficulty`` and ``masks`` as in ``Drawing``. Masks lie in ``masks/VIEW.npz``, a NumPy archive of
    bool arrays (size, size): ``organ/NAME``, and ``finding/N/KIND`` for the Nth of the study's truth
    (``hilum.imaging.phantom.masks.Masks``).

    ``patients``: as so many patients the studies in the training part of ``clean`` are drawn. The further ones are
    studies of their own, ``CXR12.2``, ``CXR12.3`` …, with the codes and the truth and without the report, which is
    another patient's. They stand outside the parts of ``clean``, for an encoder that sees what is outside. The set
    then has no other split: what is learnt from in one is tested on in another.

    Raises DataError where the folder holds something else, where nothing can be drawn, and where ``studies``,
    ``size``, ``portable``, ``difficulty`` or ``patients`` make no sense.
    """
    how = Drawing(size, portable, difficulty, masks)
    if not phantom.SMALLEST <= size <= phantom.LARGEST:
        raise DataError(
            f"films of {size} pixels cannot be drawn",
            fix=f"--size takes {phantom.SMALLEST} to {phantom.LARGEST}",
        )
    if studies is not None and studies < 1:
        raise DataError(f"{studies} studies were asked for", fix="--studies takes 1 or more")
    if patients < 1:
        raise DataError(f"{patients} patients a study were asked for", fix="--patients takes 1 or more")
    for name, value in (("portable", portable), ("difficulty", difficulty)):
        if not 0 <= value <= 1:
            raise DataError(f"{name} is {value}", fix=f"--{name} takes 0 to 1")
    drawable, left_out = choose(reports, studies)
    if not drawable:
        raise DataError(
            f"none of the {len(reports)} studies can be drawn: they have no films or no MeSH codes",
            where=to,
            fix="get the reports with `hilum data get openi`",
        )
    _refuse_other(to)
    usual = made = splits.every(drawable)
    others: list[Study] = []
    if patients > 1:
        clean = next((split for split in usual if split.name == "clean"), None)
        if clean is None:
            what = (
                "further patients follow split clean, which is made where there are reports, and not too many"
            )
            raise DataError(what, where=to, fix="leave --patients out")
        others = further(drawable, clean, patients)
        made = [replace(clean, outside=(*clean.outside, *(study.id for study in others)))]
    with manifest.written_alone(to):
        keep = _same_maker(to, how)
        wanted = [*drawable, *others]
        drawn = list(track(_draw_all(wanted, to, how, keep, workers), "drawing", total=len(wanted)))
        names = {f"{study.id}-{view}" for study in drawn for view in VIEWS}
        for path in _made_files(to):  # of a larger set that was here before
            if path.stem not in names:
                path.unlink()
        atomic.settle()
        more = f" --patients {patients}" if patients > 1 else ""
        info = DatasetInfo(
            name=NAME,
            source="Open-i reports; films simulated from their MeSH codes",
            licence=LICENCE,
            simulated=True,
            made_by=f"hilum data phantom {how}{more}, hilum {hilum.__version__}",
        )
        for name in {split.name for split in usual} - {split.name for split in made}:
            splits.remove(to, name)  # of the same studies as one patient each
        for split in made:
            splits.write(to, split)
        return manifest.write(to, info, drawn, left_out)


def further(studies: Sequence[Study], split: Split, patients: int) -> list[Study]:
    """The studies in the training part of ``split`` as ``patients`` - 1 patients more: its codes, no report."""
    learning = set(split.train)
    return [
        Study(f"{study.id}.{number}", mesh=study.mesh)
        for study in studies
        if study.id in learning
        for number in range(2, patients + 1)
    ]


def choose(reports: Sequence[Study], count: int | None) -> tuple[list[Study], list[LeftOut]]:
    """The studies to draw, in the order given, and those that cannot be, with the reason.

    A ``count`` takes those whose ids hash lowest: a fixed sample, the smaller one part of the larger, in
    which normal and abnormal studies keep their shares up to chance. What it leaves aside is not listed.
    """
    drawable, left_out = [], []
    for study in reports:
        codes = [descriptor for descriptor in study.mesh if descriptor.lower() != "no indexing"]
        if not study.views:
            left_out.append(LeftOut(study.id, "no film in the source"))
        elif not codes:
            left_out.append(LeftOut(study.id, "not indexed with MeSH, so there is nothing to draw from"))
        else:
            drawable.append(study)
    if count is not None and count < len(drawable):
        order = sorted(drawable, key=lambda study: hashlib.sha256(f"sample\0{study.id}".encode()).digest())
        kept = {study.id for study in order[:count]}
        drawable = [study for study in drawable if study.id in kept]
    return drawable, left_out


def draw(study: Study, to: Path, how: Drawing, keep: bool = False) -> Study:
    """Draws one study's films into ``to/images`` and its masks, where wanted, into ``to/masks``; returns the study
    with its views and truth.

    With ``keep`` files that are there already, and whole, stay as they are.
    """
    size, conditions = how.size, how.of(study.id)
    views = tuple(
        View(f"{study.id}-{view}", view, f"images/{study.id}-{view}.png", size, size, simulated=True)
        for view in VIEWS
    )
    paths = [to / "images" / f"{view.id}.png" for view in views]
    if keep and all(map(_whole, paths)):
        truth = phantom.trace(study.id, study.mesh, size, conditions)
    else:
        made = phantom.render(study.id, study.mesh, size, conditions)
        truth = made.truth
        for path, film_HW in zip(paths, (made.frontal_HW, made.lateral_HW), strict=True):
            done, png = cv2.imencode(".png", film_HW, [cv2.IMWRITE_PNG_COMPRESSION, 1])
            if not done:
                raise DataError("the film could not be encoded", where=path)
            atomic.write_bytes(path, png.tobytes(), durable=False)
    if how.masks:
        _write_masks(study, to, how, keep, truth)
    return replace(study, views=views, truth=tuple(_named(study.id, finding) for finding in truth))


def _write_masks(study: Study, to: Path, how: Drawing, keep: bool, truth: Sequence[DrawnFinding]) -> None:
    paths = {view: to / "masks" / f"{study.id}-{view}.npz" for view in VIEWS}
    if keep and all(map(_whole, paths.values())):
        return
    made = phantom.masks(study.id, study.mesh, how.size, how.of(study.id))
    for view, path in paths.items():
        held = io.BytesIO()
        np.savez_compressed(held, allow_pickle=False, **by_name(made[view], truth))
        atomic.write_bytes(path, held.getvalue(), durable=False)


def _whole(path: Path) -> bool:
    """Whether a film or an archive of masks is there to its end: what was not yet on the disk when the power failed
    is empty or ends in zeros."""
    if not path.is_file():
        return False
    return zipfile.is_zipfile(path) if path.suffix == ".npz" else path.read_bytes().endswith(_PNG_END)


def _made_files(to: Path) -> list[Path]:
    """The films and masks that are there."""
    return [*(to / "images").glob("*.png"), *(to / "masks").glob("*.npz")]


def _named(study_id: str, finding: DrawnFinding) -> DrawnFinding:
    regions = tuple(DrawnRegion(f"{study_id}-{region.view}", region.box) for region in finding.regions)
    return replace(finding, regions=regions)


def _draw_all(
    studies: Sequence[Study], to: Path, how: Drawing, keep: bool, workers: int | None
) -> Iterator[Study]:
    """The studies drawn, in their order."""
    task = partial(draw, to=to, how=how, keep=keep)
    workers = min(workers or ahead.cores(), len(studies))
    if workers < 2:
        keep_memory()
        yield from map(task, studies)
        return
    # Spawned, not forked: a fork copies the locks of threads that other libraries hold.
    context = multiprocessing.get_context("spawn")
    pool = concurrent.futures.ProcessPoolExecutor(workers, context, initializer=start_process)
    try:
        yield from pool.map(task, studies, chunksize=4)
    except concurrent.futures.process.BrokenProcessPool:
        raise DataError(
            "a drawing process was ended from outside, perhaps for want of memory", where=to,
            fix="run the command again, it goes on where it stopped",
        ) from None  # fmt: skip
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def start_process() -> None:
    """Readies one of several processes that draw: one thread of OpenCV's, and ``keep_memory``."""
    cv2.setNumThreads(1)
    keep_memory()


def keep_memory() -> None:
    """Has the process keep the memory of arrays that are freed, some megabytes, for the next ones.

    The GNU C library gives freed memory back to the system once more than twice the largest block freed so far lies
    idle (``mallopt(3)``, M_MMAP_THRESHOLD and M_TRIM_THRESHOLD); fetching it anew, page by page, would cost a quarter
    of a film's time. So a large block is freed once, untouched. With other C libraries this does nothing.
    """
    np.empty(_KEPT, np.uint8)


def _same_maker(to: Path, how: Drawing) -> bool:
    """Whether the films in ``to`` were drawn by this version in this way; notes that now they are."""
    versions = f"phantom {phantom.EDITION}, NumPy {np.__version__}, OpenCV {cv2.__version__}"
    maker = f"hilum {hilum.__version__}, {versions}, {how}\n"
    note = to / "images" / "drawn_by.txt"
    same = note.is_file() and note.read_text(encoding="utf-8") == maker
    if not same:
        (to / "dataset.json").unlink(missing_ok=True)  # not whole again until the last film is drawn
        for made in _made_files(to):
            made.unlink()
        atomic.write_text(note, maker)
    return same


def _refuse_other(to: Path) -> None:
    """``manifest.refuse_other``, and films without a data set count as another's unless they were drawn here."""
    manifest.refuse_other(to, NAME)
    images = to / "images"
    begun = (to / "dataset.json").is_file() or (images / "drawn_by.txt").is_file()
    if images.is_dir() and not begun:
        foreign = sorted(path.name for path in images.iterdir())
        if foreign:
            raise manifest.not_empty(to, foreign[0])
