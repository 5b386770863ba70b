"""The phantom data set: whole, resumable, the same with any number of workers."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from hilum import atomic
from hilum.data import check, manifest, phantomset, splits
from hilum.data.manifest import DatasetInfo
from hilum.errors import DataError
from hilum.imaging import phantom
from hilum.study import Projection, Report, Study, View


def study(number: int, *mesh: str, films: int = 2) -> Study:
    views = tuple(View(f"CXR{number}_IM-{film}") for film in range(films))
    return Study(
        f"CXR{number}", views, "cough", report=Report("Findings.", f"Impression {number}."), mesh=mesh
    )


REPORTS = [
    study(1, "normal"), study(2, "Cardiomegaly/mild", "Nodule/lung/apex/right"), study(3, "normal", films=0),
    study(4, "No Indexing"), study(5, films=1), study(6, "Pleural Effusion/left/small", films=1), study(7, "normal"),
]  # fmt: skip


@pytest.fixture
def made(tmp_path: Path) -> Path:
    phantomset.make(REPORTS, tmp_path / "set", size=128, workers=1)
    return tmp_path / "set"


def bytes_of(root: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(root)): path.read_bytes() for path in sorted(root.rglob("*")) if path.is_file()
    }


def test_the_data_set_is_whole(made: Path) -> None:
    dataset = manifest.read(made, need_images=True)
    assert dataset.info.simulated
    assert "simulated" in dataset.info.licence
    assert [s.id for s in dataset.studies] == ["CXR1", "CXR2", "CXR6", "CXR7"]
    for source, drawn in zip((REPORTS[0], REPORTS[1], REPORTS[5], REPORTS[6]), dataset.studies, strict=True):
        assert (drawn.report, drawn.mesh, drawn.indication) == (source.report, source.mesh, source.indication)
        assert [view.id for view in drawn.views] == [f"{drawn.id}-frontal", f"{drawn.id}-lateral"]
        assert [view.projection for view in drawn.views] == [Projection.FRONTAL, Projection.LATERAL]
        film = phantom.render(drawn.id, drawn.mesh, 128)
        for view, expected in zip(drawn.views, (film.frontal_HW, film.lateral_HW), strict=True):
            assert view.simulated
            assert (view.height, view.width) == (128, 128)
            stored = cv2.imread(str(dataset.path(view)), cv2.IMREAD_UNCHANGED)
            assert stored.dtype == np.uint8
            assert np.array_equal(stored, expected)
    truth = dataset.by_id()["CXR2"].truth
    assert {finding.kind for finding in truth} == {"Cardiomegaly", "Lung Lesion"}
    assert {region.view for finding in truth for region in finding.regions} == {
        "CXR2-frontal",
        "CXR2-lateral",
    }
    assert (made / "splits").is_dir()


def test_what_cannot_be_drawn_is_listed(made: Path) -> None:
    left_out = {item.what: item.reason for item in manifest.read_left_out(made)}
    assert set(left_out) == {"CXR3", "CXR4", "CXR5"}
    assert "no film" in left_out["CXR3"]
    assert "MeSH" in left_out["CXR4"]


def test_an_interrupted_set_is_completed_to_the_same_bytes(
    made: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = bytes_of(made)
    (made / "dataset.json").unlink()
    (made / "images" / "CXR6-lateral.png").unlink()
    drawn: list[str] = []
    render = phantom.render

    def counted(study_id: str, *rest: object) -> phantom.PhantomStudy:
        drawn.append(study_id)
        return render(study_id, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(phantom, "render", counted)
    phantomset.make(REPORTS, made, size=128, workers=1)
    assert drawn == ["CXR6"]
    assert bytes_of(made) == whole


def test_what_a_power_cut_left_without_its_end_is_drawn_anew(made: Path) -> None:
    phantomset.make(REPORTS, made, size=128, workers=1, masks=True)
    whole = bytes_of(made)
    (made / "dataset.json").unlink()
    film, masks = made / "images" / "CXR6-lateral.png", made / "masks" / "CXR2-frontal.npz"
    film.write_bytes(film.read_bytes()[:-20] + bytes(20))
    masks.write_bytes(b"")
    phantomset.make(REPORTS, made, size=128, workers=1, masks=True)
    assert bytes_of(made) == whole


def test_another_size_is_drawn_anew(made: Path) -> None:
    phantomset.make(REPORTS, made, size=160, workers=1)
    sizes = {cv2.imread(str(path), cv2.IMREAD_UNCHANGED).shape for path in (made / "images").glob("*.png")}
    assert sizes == {(160, 160)}


def test_two_processes_write_what_one_writes(made: Path, tmp_path: Path) -> None:
    phantomset.make(REPORTS, tmp_path / "two", size=128, workers=2)
    assert bytes_of(tmp_path / "two") == bytes_of(made)


def test_a_sample_is_fixed_nested_and_mixed() -> None:
    pool = [study(number, "normal" if number % 3 else "Cardiomegaly") for number in range(600)]
    small, _ = phantomset.choose(pool, 60)
    large, _ = phantomset.choose(pool[::-1], 200)
    assert len(small) == 60
    assert {s.id for s in small} < {s.id for s in large}
    assert [s.id for s in small] == sorted((s.id for s in small), key=lambda name: int(name[3:]))
    assert np.mean(["normal" in s.mesh for s in large]) == pytest.approx(2 / 3, abs=0.1)
    assert phantomset.choose(pool, 10_000)[0] == pool


def test_studies_to_learn_from_can_be_drawn_as_several_patients(tmp_path: Path, made: Path) -> None:
    usual, several = manifest.read(made), tmp_path / "several"
    dataset = phantomset.make(REPORTS, several, size=128, workers=1, patients=3)
    learning = splits.read(made, "clean").train
    assert 0 < len(learning) < len(usual.studies)
    further = [s for s in dataset.studies if "." in s.id]
    assert [s for s in dataset.studies if s not in further] == list(usual.studies)
    assert sorted(s.id for s in further) == sorted(f"{name}.{k}" for name in learning for k in (2, 3))
    for one in further:
        first = usual.by_id()[one.id.rpartition(".")[0]]
        assert (one.mesh, one.report, len(one.views)) == (first.mesh, None, 2)
        assert {f.kind for f in one.truth} == {f.kind for f in first.truth}
        films = [several / f"images/{name}-frontal.png" for name in (one.id, first.id)]
        assert films[0].read_bytes() != films[1].read_bytes()
    assert splits.names(several) == ["clean"] and len(splits.names(made)) > 1
    before, now = splits.read(made, "clean"), splits.read(several, "clean")
    assert now.sha256 == before.sha256  # the parts are as they were
    assert set(now.outside) - set(before.outside) == {s.id for s in further}
    assert set(check.check(several).problems) <= set(check.check(made).problems)
    phantomset.make(REPORTS, several, size=128, workers=1)  # and one patient each again
    assert bytes_of(several) == bytes_of(made)
    with pytest.raises(DataError, match="--patients takes 1 or more"):
        phantomset.make(REPORTS, tmp_path / "none", size=128, workers=1, patients=0)
    silent = [replace(one, id=f"other-{one.id}", report=None) for one in REPORTS]
    with pytest.raises(DataError, match=r"split clean.*leave --patients out"):
        phantomset.make(silent, tmp_path / "none", size=128, workers=1, patients=2)


def test_a_smaller_set_leaves_no_film_behind(made: Path) -> None:
    phantomset.make(REPORTS, made, studies=1, size=128, workers=1)
    dataset = manifest.read(made, need_images=True)
    assert len(dataset.studies) == 1
    assert {path.name for path in (made / "images").glob("*.png")} == {
        f"{v.id}.png" for v in dataset.studies[0].views
    }


def test_masks_are_written_beside_the_films(made: Path) -> None:
    before = bytes_of(made / "images")
    phantomset.make(REPORTS, made, size=128, workers=1, masks=True)
    assert bytes_of(made / "images") == before
    truth = manifest.read(made).by_id()["CXR2"].truth
    with np.load(made / "masks" / "CXR2-frontal.npz") as held:
        named = {name: held[name] for name in held.files}
    findings = [f"finding/{n}/{finding.kind}" for n, finding in enumerate(truth)]
    assert [name for name in named if name.startswith("finding")] == findings
    assert {"organ/lung/left", "organ/heart", "organ/ribs"} < set(named)
    assert all(mask.dtype == bool and mask.shape == (128, 128) for mask in named.values())
    whole = bytes_of(made / "masks")
    assert len(whole) == 8
    (made / "masks" / "CXR6-lateral.npz").unlink()
    phantomset.make(REPORTS, made, size=128, workers=1, masks=True)
    assert bytes_of(made / "masks") == whole  # a ZIP without times: the same bytes again


def test_portable_and_difficult_films_are_others(made: Path, tmp_path: Path) -> None:
    plain = bytes_of(made / "images")
    for name, portable, difficulty in (("portable", 1.0, 0.0), ("difficulty", 0.0, 1.0)):
        to = tmp_path / name
        phantomset.make(REPORTS, to, size=128, workers=1, portable=portable, difficulty=difficulty)
        other = bytes_of(to / "images")
        assert f"--{name} 1" in manifest.read(to).info.made_by
        changed = {path for path in plain if path.endswith(".png") and plain[path] != other[path]}
        # Without findings there is nothing to see less of.
        assert ("CXR1-frontal.png" in changed) == (name == "portable")
        assert "CXR2-frontal.png" in changed
    shares = [phantomset.Drawing(portable=0.3).of(f"CXR{n}").portable for n in range(1000)]
    assert np.mean(shares) == pytest.approx(0.3, abs=0.05)


def test_while_one_draws_no_other_does(made: Path) -> None:
    before = bytes_of(made)
    with atomic.alone(made), pytest.raises(DataError, match="another process writes a data set there"):
        phantomset.make(REPORTS, made, size=256, workers=1)
    assert bytes_of(made) == before


def test_refusals(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="128 to 2048"):
        phantomset.make(REPORTS, tmp_path / "a", size=64)
    with pytest.raises(DataError, match="1 or more"):
        phantomset.make(REPORTS, tmp_path / "a", studies=0)
    with pytest.raises(DataError, match="no films or no MeSH"):
        phantomset.make(REPORTS[2:5], tmp_path / "a")
    with pytest.raises(DataError, match=r"portable is 1\.5"):
        phantomset.make(REPORTS, tmp_path / "a", portable=1.5)
    with pytest.raises(DataError, match=r"difficulty is -0\.1"):
        phantomset.make(REPORTS, tmp_path / "a", difficulty=-0.1)
    assert not (tmp_path / "a").exists()
    (tmp_path / "file").write_text("x")
    with pytest.raises(DataError, match="a file, not a folder"):
        phantomset.make(REPORTS, tmp_path / "file")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "holiday.txt").write_text("x")
    with pytest.raises(DataError, match="holiday"):
        phantomset.make(REPORTS, tmp_path / "full")
    (tmp_path / "loose" / "images").mkdir(parents=True)
    (tmp_path / "loose" / "images" / "mine.png").write_bytes(b"x")
    with pytest.raises(DataError, match=r"mine\.png"):
        phantomset.make(REPORTS, tmp_path / "loose")
    assert (tmp_path / "loose" / "images" / "mine.png").is_file()
    manifest.write(tmp_path / "other", DatasetInfo("openi", "s", "l", simulated=False), REPORTS)
    with pytest.raises(DataError, match="already holds the data set 'openi'"):
        phantomset.make(REPORTS, tmp_path / "other")
