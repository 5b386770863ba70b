"""The check: a whole data set passes, and every planted fault is listed, all in one go."""

from __future__ import annotations

import hashlib
import io
import json
import threading
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from hilum import ahead
from hilum.data import check as module
from hilum.data import manifest, openi, splits, suspicions
from hilum.data.check import Leakage, check
from hilum.data.manifest import DatasetInfo, LeftOut
from hilum.errors import DataError
from hilum.imaging.film import Film
from hilum.study import DrawnFinding, DrawnRegion, Label, Projection, Report, State, Study, View
from tests.openi_made import film

INFO = DatasetInfo("made", "made", "none", simulated=True)
FINDINGS = [
    "The heart is large and the lungs are clear today.",
    "Right base opacity with a small effusion beside it.",
    "Hyperinflated lungs and a flat diaphragm on both sides.",
    "Tortuous aorta, calcified granuloma in the left apex.",
    "Scoliosis of the thoracic spine, otherwise nothing to report.",
    "Left chest tube in place without any pneumothorax now.",
]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Six studies with two films each, whole, and all their splits."""
    root = tmp_path / "set"
    (root / "images").mkdir(parents=True)
    studies = []
    for n, text in enumerate(FINDINGS):
        views = tuple(View(f"v{n}{k}", Projection.FRONTAL, f"images/v{n}{k}.png", 30, 20) for k in "ab")
        for k, view in enumerate(views):
            assert view.file is not None
            (root / view.file).write_bytes(film(10 * n + k, 30, 20))
        studies.append(Study(f"s{n}", views, report=Report(text, f"Number {n}."), mesh=("normal",)))
    splits.write_all(
        manifest.write(root, INFO, studies, [LeftOut("a", "r"), LeftOut("b", "r"), LeftOut("c", "q")])
    )
    return root


def change(root: Path, number: int, **changes: object) -> None:
    studies = list(manifest.read(root).studies)
    studies[number] = replace(studies[number], **changes)  # type: ignore[arg-type]
    manifest.write(root, INFO, studies, manifest.read_left_out(root))


def test_whole(root: Path) -> None:
    report = check(root)
    assert report.ok and report.problems == ()
    assert report.simulated and report.name == "made"
    assert report.counts == {
        "studies": 6, "images": 12, "with findings": 6, "with impression": 6, "with findings and impression": 6,
        "with 2 images": 6, "distinct MeSH descriptors": 1, "MeSH normal": 6, "films at hand": 12,
    }  # fmt: skip
    assert report.left_out == {"r": 2, "q": 1}
    assert [split.name for split in report.splits] == ["clean", "random"]
    assert report.differences == (), "only Open-i has a whole to be compared with"
    assert report.lines()[-1] == "  whole"
    assert "simulated pixels" in report.lines()[0]


def test_of_too_many_texts_only_equal_ones_are_counted(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(splits, "MOST_COMPARED", 3)
    report = check(root)
    leaks = [leak for split in report.splits for leak in split.leakage]
    assert leaks and not any(leak.near_sought for leak in leaks)
    assert any("near ones not sought among so many" in line for line in report.lines())


def test_labels_of_one_labeller_stand_once(root: Path) -> None:
    once = (Label("Edema", State.PRESENT, "a"), Label("Edema", State.ABSENT, "b"))
    change(root, 0, labels=once)
    assert check(root).ok and check(root).counts["with labels"] == 1
    assert check(root).counts["studies"] == 6 and "reports" not in check(root).counts
    change(root, 0, labels=(*once, Label("Edema", State.ABSENT, "a")))
    assert check(root).problems == ("study s0: a labels Edema 2 times",)


def test_text_only_data_set_passes(root: Path) -> None:
    for n in range(6):
        change(root, n, views=(View(f"v{n}"),))
    for path in (root / "images").iterdir():
        path.unlink()
    report = check(root)
    assert report.ok and report.counts["films at hand"] == 0


def blank() -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(np.full((30, 20), 77, np.uint8)).save(buffer, "PNG")
    return buffer.getvalue()


def test_every_fault_is_listed_at_once(root: Path) -> None:
    images = root / "images"
    (images / "v0a.png").unlink()
    (images / "v0b.png").write_bytes((images / "v0b.png").read_bytes()[:-30])
    (images / "v1a.png").write_bytes(b"text")
    (images / "v1b.png").write_bytes(b"")
    (images / "v2a.png").write_bytes(blank())
    (images / "v2b.png").write_bytes(film(1, 20, 30))
    (images / "stray.png").write_bytes(film(2))
    change(root, 3, views=(View("v4a", file="images/v4a.png"), View("v3b", file="images/v3b.png")))
    with (root / "studies.jsonl").open("ab") as file:
        file.write(b"{broken\n")
    (root / "left_out.jsonl").write_bytes(b"broken\n")
    (root / "splits" / "clean.json").write_bytes(b"{}")
    split = json.loads((root / "splits" / "random.json").read_text())
    split["outside"] = [*split["outside"], "nobody"]
    (root / "splits" / "random.json").write_text(json.dumps(split))
    problems = check(root).problems
    for said in (
        "studies.jsonl: line 7",
        "study s0: no file images/v0a.png",
        "study s0: images/v0b.png: ",
        "study s1: images/v1a.png: ",
        "study s1: images/v1b.png: ",
        "study s2: images/v2a.png: ",
        "study s2: images/v2b.png: its shape is 20×30, but 30×20 as it was taken",
        "file images/v4a.png stands in 2 views",
        "image id v4a stands in 2 views",
        "images/stray.png belongs to no study",
        "images/v3a.png belongs to no study",
        "left_out.jsonl: line 1",
        "clean.json: not a split",
        "split random: 1 ids are no study here, 'nobody' first",
    ):
        assert sum(said in problem for problem in problems) == 1, said
    assert len(problems) == 14, problems
    assert all("\n" not in problem for problem in problems)
    assert check(root).lines()[-1] == "  14 problems"


def test_films_are_proven_by_the_digests_they_came_with(root: Path) -> None:
    studies = manifest.read(root).studies
    files = [view.file for study in studies for view in study.views if view.file is not None]
    digests = {file: hashlib.sha256((root / file).read_bytes()).hexdigest() for file in files}
    manifest.write(root, INFO, studies, digests=digests)
    report = check(root)
    assert report.ok and report.counts["films with a noted SHA-256"] == 12
    (root / "images" / "v1a.png").write_bytes(film(99, 30, 20))
    del digests["images/v2b.png"]
    manifest.write(root, INFO, studies, digests=digests)
    assert check(root).problems == (
        "study s1: images/v1a.png is not the one that came: another SHA-256 in films.sha256",
        "study s2: images/v2b.png has no digest in films.sha256",
    )
    (root / manifest.DIGESTS).write_bytes(b"\xff\n")
    assert [problem for problem in check(root).problems if "line 1 is no digest" in problem]


def test_square_copies_may_be_stretched(root: Path) -> None:
    (root / "images" / "v2b.png").write_bytes(film(1, 24, 24))
    assert check(root).ok


def test_files_that_are_no_films_are_not_looked_at(root: Path) -> None:
    (root / "images" / "drawn_by.txt").write_text("a note")
    assert check(root).ok


@pytest.mark.parametrize(
    ("view", "box", "said"),
    [
        ("v0a", (0.0, 0.0, 20.0, 30.0), ""),
        ("v0a", (0.0, 0.0, 20.5, 30.0), "the box of Edema leaves the film v0a"),
        ("v0a", (5.0, 3.0, 5.0, 9.0), "leaves the film"),
        ("v0a", (-1.0, 3.0, 5.0, 9.0), "leaves the film"),
        ("v1a", (1.0, 3.0, 5.0, 9.0), "Edema is drawn in v1a, no view of it"),
    ],
)
def test_drawn_regions_lie_in_their_films(
    root: Path, view: str, box: tuple[float, float, float, float], said: str
) -> None:
    views = tuple(replace(v, simulated=True) for v in manifest.read(root).studies[0].views)
    change(root, 0, views=views, truth=(DrawnFinding("Edema", "Edema", (DrawnRegion(view, box),)),))
    problems = check(root).problems
    assert len(problems) == bool(said)
    assert all(said in problem for problem in problems)


def test_studies_that_a_split_forgot(root: Path) -> None:
    split = splits.read(root, "random")
    train = split.train[1:]
    splits.write(root, replace(split, train=train, sha256=splits.digest(train, split.validation, split.test)))
    assert check(root).problems == ("split random: 1 studies stand in no part of it",)


def rearranged(root: Path, name: str, train: str, validation: str, test: str) -> None:
    parts = [tuple(f"s{n}" for n in part) for part in (train, validation, test)]
    splits.write(root, splits.Split(name, *parts, sha256=splits.digest(*parts)))


def test_leakage_is_counted(root: Path) -> None:
    change(root, 4, report=Report(FINDINGS[0].upper(), "Another."))
    change(root, 5, report=Report(FINDINGS[1].replace("small ", "small left "), "Another."), patient="p")
    change(root, 2, patient="p")
    rearranged(root, "random", "0123", "4", "5")
    splits.write(root, splits.clean(manifest.read(root).studies))
    same = (root / "images" / "v2b.png").read_bytes()
    (root / "images" / "v5a.png").write_bytes(same)
    leakage = next(split.leakage for split in check(root).splits if split.name == "random")
    assert leakage == (
        Leakage(
            "validation", 1, 1, verbatim=1, near=1, same_film=0, near_film=0, with_patient=0, same_patient=0
        ),
        Leakage("test", 1, 1, verbatim=0, near=1, same_film=1, near_film=1, with_patient=1, same_patient=1),
    )
    assert any(
        line.endswith("same film 0, nearly the same 0, patients not named") for line in check(root).lines()
    )
    assert any(
        line.endswith("same film 1, nearly the same 1, same patient 1 of 1") for line in check(root).lines()
    )


def test_a_clean_split_that_is_not_is_a_problem(root: Path) -> None:
    change(root, 4, report=Report(FINDINGS[0], "Another."))
    rearranged(root, "clean", "0123", "", "45")
    splits.write(root, splits.random(manifest.read(root).studies))
    assert check(root).problems == ("split clean: 1 studies of test have near duplicates in train",)


def test_a_patient_in_two_parts_of_the_clean_split_is_a_problem(root: Path) -> None:
    for number in (1, 4):
        change(root, number, patient="the same")
    rearranged(root, "clean", "0123", "4", "5")
    splits.write(root, splits.random(manifest.read(root).studies))
    assert check(root).problems == ("split clean: 1 studies of validation have their patient in train",)
    splits.write(root, splits.clean(manifest.read(root).studies))
    assert check(root).ok


def test_open_i_is_compared_with_the_whole(root: Path) -> None:
    manifest.write(root, replace(INFO, name="openi"), manifest.read(root).studies)
    differences = {d.what: (d.here, d.whole) for d in check(root).differences}
    assert differences["reports"] == (6, 3955)
    assert differences["with 0 images"] == (0, 104)
    assert any(
        "differs from the whole collection: images 12, whole 7470" in line for line in check(root).lines()
    )


def test_no_data_set(root: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"no dataset\.json in it"):
        check(tmp_path)
    (root / "studies.jsonl").unlink()
    with pytest.raises(DataError, match=r"no studies\.jsonl in it"):
        check(root)


def test_real_reports_are_whole(openi_archive: Path, openi_studies: list[Study], tmp_path: Path) -> None:
    openi.write(tmp_path / "to", openi_studies, [], openi_archive, "test")
    report = check(tmp_path / "to")
    assert report.ok and report.differences == ()
    shares = {s.name: {k.part: (k.verbatim, k.with_findings) for k in s.leakage} for s in report.splits}
    assert shares["clean"]["test"][0] == shares["clean"]["validation"][0] == 0
    assert shares["r2gen"]["test"] == (pytest.approx(277, abs=3), 590)


def test_films_in_work_are_never_larger_together_than_the_largest_may_be(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lock, inside, most = threading.Lock(), 0, 0
    look = suspicions.look
    monkeypatch.setattr(module, "MOST_PIXELS", 2 * 30 * 20 + 1)
    monkeypatch.setattr(ahead, "cores", lambda: 6)

    def looking(film: Film, view: View) -> suspicions.Look:
        nonlocal inside, most
        with lock:
            inside += film.pixels_HW.size
            most = max(most, inside)
        time.sleep(0.005)
        with lock:
            inside -= film.pixels_HW.size
        return look(film, view)

    monkeypatch.setattr(suspicions, "look", looking)
    assert check(root).ok
    assert 30 * 20 <= most <= 2 * 30 * 20
