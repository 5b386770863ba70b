from __future__ import annotations

from pathlib import Path

import pytest

from hilum.errors import InputError
from hilum.intake import films_of, study_of
from hilum.study import Projection
from tests import made


def test_files_become_a_study(tmp_path: Path) -> None:
    dataset = made.dataset(tmp_path, 2)
    paths = [dataset.path(view) for view in dataset.studies[1].views]
    study = study_of(paths, indication="Cough.", projections=[Projection.FRONTAL, Projection.LATERAL])
    assert study.id == "1-frontal" and study.indication == "Cough."
    assert [view.id for view in study.views] == ["1-frontal.png", "1-lateral.png"]
    assert [view.projection for view in study.views] == [Projection.FRONTAL, Projection.LATERAL]
    assert not any(view.simulated for view in study.views)
    assert [film.shape for film in films_of(study)] == [(64, 64), (64, 64)]


def test_equal_names_in_two_folders_stay_apart(tmp_path: Path) -> None:
    study = study_of([tmp_path / "a" / "film.png", tmp_path / "b" / "film.png"])
    assert len({view.id for view in study.views}) == 2


@pytest.mark.parametrize(
    ("count", "projections", "message"),
    [(0, 0, "0 films"), (6, 0, "6 films"), (2, 1, "1 projections for 2 films")],
)
def test_counts_that_do_not_fit_are_refused(
    tmp_path: Path, count: int, projections: int, message: str
) -> None:
    with pytest.raises(InputError, match=message):
        study_of(
            [tmp_path / f"{n}.png" for n in range(count)], projections=[Projection.FRONTAL] * projections
        )


def test_one_film_twice_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="named twice"):
        study_of([tmp_path / "a.png", tmp_path / "." / "a.png"])
