"""A view that a source does not tell is taken from the film's header, else from how it looks; what is told stays.

And nothing is read twice for it: a film is decoded once, a folder is listed once.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import cv2
import numpy as np
import pytest

from hilum.data.exchange import Format
from hilum.data.imports import formats, mimic, writing
from hilum.data.imports import source as sources
from hilum.data.imports.found import Found, by_name, without_suffix
from hilum.data.manifest import Dataset
from hilum.imaging.phantom import render
from hilum.study import Projection, Study, View
from tests import films, imports_made

FRONTAL, LATERAL, UNKNOWN = Projection.FRONTAL, Projection.LATERAL, Projection.UNKNOWN


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """A frontal and a lateral film, noise, a frontal film under another name, a lateral DICOM film called PA."""
    folder = tmp_path / "source"
    folder.mkdir()
    drawn = render("looks", ["normal"], 160)
    noise = np.random.default_rng(0).integers(0, 256, (160, 160), dtype=np.uint8)
    for name, film in (
        ("f", drawn.frontal_HW),
        ("l", drawn.lateral_HW),
        ("n", noise),
        ("t", drawn.frontal_HW),
    ):
        assert cv2.imwrite(str(folder / f"{name}.png"), film)
    films.dicom(folder / "d.dcm", drawn.lateral_HW, ViewPosition="PA")
    return folder


def _written(source: Path, to: Path, headers_tell_views: bool = True) -> Dataset:
    study = Study("s", (View("t", LATERAL), *(View(name) for name in "flnd"), View("without")))
    found = Found(
        "made", "made", "made", (study,), by_name(without_suffix), headers_tell_views=headers_tell_views
    )
    return writing.write(found, sources.opened(source), to, "test")


def _projections(dataset: Dataset) -> dict[str, Projection]:
    return {view.id: view.projection for study in dataset.studies for view in study.views}


def test_views_are_told_by_headers_then_by_their_looks(source: Path, tmp_path: Path) -> None:
    told = {"t": LATERAL, "f": FRONTAL, "l": LATERAL, "n": UNKNOWN}
    assert _projections(_written(source, tmp_path / "to")) == told | {"d": FRONTAL}
    assert _projections(_written(source, tmp_path / "open-i", False)) == told | {"d": LATERAL}


def test_each_film_is_decoded_once(source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    decoded: Counter[str] = Counter()
    read = writing.pixels.read_film

    def counted(path: Path) -> object:
        decoded[path.name.lstrip(".")[0]] += 1
        return read(path)

    monkeypatch.setattr(writing.pixels, "read_film", counted)
    first = _written(source, tmp_path / "to")
    assert decoded == dict.fromkeys("tflnd", 1)
    decoded.clear()
    again = _written(
        source, tmp_path / "to"
    )  # what is there is decoded where its view is to be told, no more
    assert again == first and decoded == dict.fromkeys("flnd", 1)


@pytest.mark.parametrize("layout", ["MIMIC", "R2GEN", "KAGGLE", "NIH"])
def test_a_folder_is_listed_once(layout: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = imports_made.write_files(tmp_path / "source", getattr(imports_made, layout))
    listed: list[Path] = []
    every = sources.every_file
    monkeypatch.setattr(sources, "every_file", lambda path: listed.append(path) or every(path))
    format = {"MIMIC": Format.MIMIC, "R2GEN": Format.R2GEN, "KAGGLE": Format.KAGGLE, "NIH": Format.NIH}[
        layout
    ]
    formats.run(format, folder, tmp_path / "to")
    assert listed == [folder]


def test_the_tables_and_texts_of_an_archive_are_read_in_one_pass(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    archive = imports_made.zipped(tmp_path / "mimic.zip", imports_made.MIMIC)
    folder = imports_made.write_files(tmp_path / "mimic", imports_made.MIMIC)
    passes: list[Path] = []
    stream = sources.archives.stream
    monkeypatch.setattr(
        sources.archives, "stream", lambda path, *rest: passes.append(path) or stream(path, *rest)
    )
    found = mimic.read(sources.opened(archive))
    assert passes == [archive]
    assert found.studies == mimic.read(sources.opened(folder)).studies
