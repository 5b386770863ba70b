"""Files that a person names, as a Study; and their films, to be shown."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hilum.data.batches import MAX_VIEWS
from hilum.errors import InputError
from hilum.imaging.pixels import read_film
from hilum.study import Projection, Study, View


def study_of(
    images: Sequence[Path], *, indication: str = "", history: str = "", comparison: str = "",
    projections: Sequence[Projection] = (),
) -> Study:  # fmt: skip
    """One study of the films in ``images``; its id is the first file's stem, a view's id its file name.

    Raises InputError for no film or more than five, a film named twice, and a count of ``projections`` that is
    neither zero nor that of the films.
    """
    if not 1 <= len(images) <= MAX_VIEWS:
        raise InputError(f"{len(images)} films given; a study has one to {MAX_VIEWS}")
    if projections and len(projections) != len(images):
        raise InputError(
            f"{len(projections)} projections for {len(images)} films",
            fix="give --projection once a film, in order",
        )
    if len({path.resolve() for path in images}) < len(images):
        raise InputError("a film is named twice", where=images[0], fix="name each film once")
    names = [path.name for path in images]
    told = projections or [Projection.UNKNOWN] * len(images)
    views = tuple(
        View(
            id=path.name if names.count(path.name) == 1 else str(path), projection=projection, file=str(path)
        )
        for path, projection in zip(images, told, strict=True)
    )
    return Study(
        id=images[0].stem, views=views, indication=indication, history=history, comparison=comparison
    )


def films_of(study: Study, root: Path = Path()) -> list[NDArray[np.float32]]:
    """The pixels of each view of ``study``, (H, W) in [0, 1], in the order of its views."""
    return [read_film(root / str(view.file)).pixels_HW for view in study.views]
