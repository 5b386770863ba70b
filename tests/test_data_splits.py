"""Splits: the same everywhere, disjoint, and the clean one clean by the slow obvious test."""

from __future__ import annotations

import hashlib
import json
import random as rng
from dataclasses import replace
from itertools import product
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hilum.data import manifest, splits
from hilum.data.duplicates import THRESHOLD, jaccard, neighbours
from hilum.data.manifest import Dataset, DatasetInfo
from hilum.data.splits import Split
from hilum.errors import DataError
from hilum.study import Label, Report, State, Study

WORDS = ["heart", "lungs", "clear", "effusion", "left", "right", "no", "large", "small", "apex"]
INFO = DatasetInfo("openi", "made", "none", simulated=False)


def made(count: int, seed: int = 0, first: int = 1) -> list[Study]:
    """Studies with texts of few words, many of them alike; every seventh without a report."""
    dice = rng.Random(seed)
    return [
        Study(
            f"CXR{n}",
            report=None
            if n % 7 == 0
            else Report(" ".join(dice.choices(WORDS, k=dice.choice([2, 12]))) + ".", "Done."),
            mesh=("normal",) if dice.random() < 0.4 else ("Opacity",),
        )
        for n in range(first, first + count)
    ]


MAKERS = {"random": splits.random, "clean": splits.clean, "patients": splits.patients}


@pytest.mark.parametrize("name", MAKERS)
def test_partition_of_the_studies_whatever_their_order(name: str) -> None:
    studies = made(300)
    split = MAKERS[name](studies)
    shuffled = rng.Random(5).sample(studies, len(studies))
    assert MAKERS[name](shuffled) == split
    parts = [*split.train, *split.validation, *split.test, *split.outside]
    assert sorted(parts) == sorted(study.id for study in studies)
    assert split.outside == tuple(study.id for study in studies if study.report is None)
    assert split.sha256 == splits.digest(split.train, split.validation, split.test)
    numbers = [int(study.removeprefix("CXR")) for study in split.train]
    assert numbers == sorted(numbers)
    assert MAKERS[name](studies, 1).sha256 != split.sha256, "another seed, another split"


@pytest.mark.parametrize("name", MAKERS)
@pytest.mark.parametrize("count", [0, 1, 2, 3, 10])
def test_few_studies(name: str, count: int) -> None:
    split = MAKERS[name](made(count))
    assert len(split.train) + len(split.validation) + len(split.test) + len(split.outside) == count


def test_random_is_of_each_study_alone() -> None:
    studies = made(3000)
    split = splits.random(studies)
    reported = 3000 - 3000 // 7
    for part, share in zip(splits.PARTS, splits.SHARES, strict=True):
        assert len(split.part(part)) / reported == pytest.approx(share, abs=0.03)
    some = splits.random(studies[1000:2000])
    assert set(some.test) < set(split.test) and set(some.train) < set(split.train)


def test_the_splits_of_made_studies_are_these_on_every_machine() -> None:
    assert splits.random(made(40)).test == (
        "CXR3",
        "CXR4",
        "CXR5",
        "CXR12",
        "CXR20",
        "CXR22",
        "CXR24",
        "CXR33",
        "CXR34",
    )
    assert splits.digest(["a"], [], ["c", "b"]) == hashlib.sha256(b"train a\ntest b\ntest c\n").hexdigest()


@given(st.integers(0, 1000), st.integers(1, 40))
@settings(deadline=None, max_examples=30)
def test_no_near_duplicate_crosses_the_clean_split(seed: int, count: int) -> None:
    studies = made(count, seed)
    split = splits.clean(studies)
    whole, findings = splits.texts(studies)
    place = {study.id: number for number, study in enumerate(studies)}
    for one, other in (
        (split.train, split.test),
        (split.train, split.validation),
        (split.validation, split.test),
    ):
        for a, b in product(one, other):
            assert jaccard(whole[place[a]], whole[place[b]]) < THRESHOLD
            assert jaccard(findings[place[a]], findings[place[b]]) < THRESHOLD


def test_clean_spreads_normal_studies_evenly() -> None:
    studies = made(600)
    split = splits.clean(studies)
    normal = {study.id for study in studies if splits.is_normal(study)}
    reported = [study.id for study in studies if study.report is not None]
    share = len(normal & set(reported)) / len(reported)
    for part, size in zip(splits.PARTS, splits.SHARES, strict=True):
        ids = split.part(part)
        assert len(ids) / len(reported) == pytest.approx(size, abs=0.02)
        assert len(normal.intersection(ids)) / len(ids) == pytest.approx(share, abs=0.05)


def test_r2gen_is_the_published_one() -> None:
    studies = [Study(f"CXR{n}") for n in range(1, 4000)]
    split = splits.r2gen(studies)
    assert (len(split.train), len(split.validation), len(split.test)) == (2069, 296, 590)
    assert len(split.outside) == 3999 - 2069 - 296 - 590
    assert split.sha256 in split.made_from, "the whole split's digest is the published one"
    some = splits.r2gen(studies[:100])
    assert set(some.train) == set(split.train) & {study.id for study in studies[:100]}


def test_r2gen_ids_are_those_of_the_annotation(shared_data: Path) -> None:
    published = json.loads((shared_data / "openi" / "r2gen_split.json").read_text())
    split = splits.r2gen([Study(f"CXR{n}") for n in range(1, 4000)])
    for ours, theirs in (("train", "train"), ("validation", "val"), ("test", "test")):
        assert set(split.part(ours)) == {name.partition("_")[0] for name in published[theirs]}


def test_write_all_and_read_back(tmp_path: Path) -> None:
    dataset = Dataset(tmp_path, INFO, tuple(made(200)))
    made_splits = splits.write_all(dataset)
    assert splits.names(tmp_path) == ["clean", "r2gen", "random"]
    assert [splits.read(tmp_path, split.name) for split in made_splits] == made_splits
    before = {path.name: path.read_bytes() for path in (tmp_path / "splits").iterdir()}
    splits.write_all(dataset)
    assert {path.name: path.read_bytes() for path in (tmp_path / "splits").iterdir()} == before


def test_only_splits_that_make_sense(tmp_path: Path) -> None:
    studies = tuple(Study(f"mine{n}", report=Report("Clear.", "")) for n in range(5))
    assert [s.name for s in splits.write_all(Dataset(tmp_path, INFO, studies))] == ["clean", "random"]
    assert splits.write_all(Dataset(tmp_path / "b", INFO, (Study("mine"),))) == []


def test_a_patient_stays_in_one_part_whoever_comes_or_goes() -> None:
    labels = (Label("Edema", State.PRESENT, "table"),)
    studies = [Study(f"s{n}", patient=f"p{n % 40}", labels=labels) for n in range(200)]
    split = splits.patients(studies)
    assert splits.crossing(split, studies) == [] and all(map(split.part, splits.PARTS))
    fewer = splits.patients(studies[::3])
    assert all(set(fewer.part(part)) <= set(split.part(part)) for part in splits.PARTS)
    part_of = {study.id: "train" if n else "test" for n, study in enumerate(studies)}
    assert splits.crossing(splits.given("mine", studies, part_of, "a test"), studies) == ["p0"]


def test_where_patients_return_no_split_parts_them(tmp_path: Path) -> None:
    studies = tuple(replace(study, patient=f"p{n % 20}") for n, study in enumerate(made(100)))
    ids = [replace(study, id=f"mine{n}") for n, study in enumerate(studies)]
    came_along = splits.given("official", ids, {"mine1": "test", "mine2": "train"}, "a table")
    found = splits.write_all(Dataset(tmp_path, INFO, tuple(ids)), [came_along])
    assert [split.name for split in found] == ["clean", "patients", "official"]
    assert all(splits.crossing(split, ids) == [] for split in found)
    assert splits.read(tmp_path, "official") == came_along
    mine = splits.given("r2gen", made(10), {"CXR1": "test"}, "a table")
    assert mine in splits.write_all(Dataset(tmp_path, INFO, tuple(made(10))), [mine]), (
        "what came along counts"
    )


def test_near_duplicates_are_sought_among_so_many_reports(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(splits, "MOST_COMPARED", 30)
    studies = tuple(replace(study, id=f"mine{n}") for n, study in enumerate(made(60)))
    assert [split.name for split in splits.write_all(Dataset(tmp_path, INFO, studies))] == ["random"]


def test_parts_by_name() -> None:
    split = Split("s", ("a",), ("b",), ("c",), "x", ("d",))
    assert [split.part(name) for name in (*splits.PARTS, "outside")] == [("a",), ("b",), ("c",), ("d",)]
    with pytest.raises(DataError, match="has no part 'val'"):
        split.part("val")


def break_file(path: Path, **changes: object) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def test_broken_splits_get_one_line(tmp_path: Path) -> None:
    splits.write_all(Dataset(tmp_path, INFO, tuple(made(50))))
    path = tmp_path / "splits" / "random.json"
    whole = path.read_text()
    with pytest.raises(DataError, match="no split 'other'; there is: clean, r2gen, random"):
        splits.read(tmp_path, "other")
    with pytest.raises(DataError, match="is not the name of a split"):
        splits.read(tmp_path, "../../etc/passwd")
    first = json.loads(whole)["train"][0]
    for changes, said in (
        ({"train": 5}, "not a split"),
        ({"name": "clean"}, "calls itself 'clean'"),
        ({"train": [], "outside": []}, "not those of its SHA-256"),
        ({"test": [first]}, f"study {first} stands in it twice"),
    ):
        path.write_text(whole)
        break_file(path, **changes)
        with pytest.raises(DataError, match=said):
            splits.read(tmp_path, "random")
    path.write_bytes(b"\xff\x00")
    with pytest.raises(DataError, match="not a split"):
        splits.read(tmp_path, "random")


def test_splits_of_the_real_reports(openi_studies: list[Study], tmp_path: Path) -> None:
    dataset = manifest.write(tmp_path, INFO, openi_studies)
    sizes = {
        split.name: [len(split.part(part)) for part in (*splits.PARTS, "outside")]
        for split in splits.write_all(dataset)
    }
    assert sizes == {
        "clean": [2747, 394, 786, 28],
        "random": [2707, 399, 821, 28],
        "r2gen": [2069, 296, 590, 1000],
    }


def test_the_published_clean_split_is_clean(openi_studies: list[Study]) -> None:
    """By the normal form as it is now, whatever it was when the ids were written down."""
    split = splits.clean_openi(openi_studies)
    assert split.sha256 in split.made_from
    part_of = {study: part for part in splits.PARTS for study in split.part(part)}
    reported = [study for study in openi_studies if study.report is not None]
    for column in splits.texts(reported):
        same: dict[str, str] = {}
        for study, text in zip(reported, column, strict=True):
            if text:
                assert same.setdefault(text, part_of[study.id]) == part_of[study.id]
        for one, others in neighbours(column).items():
            assert {same[other] for other in others} == {same[one]}
    normal = [sum(splits.is_normal(s) for s in reported if part_of[s.id] == part) for part in splits.PARTS]
    shares = [count / len(split.part(part)) for count, part in zip(normal, splits.PARTS, strict=True)]
    assert shares == pytest.approx([0.347] * 3, abs=0.002)


def test_a_part_of_open_i_keeps_its_clean_split(openi_studies: list[Study]) -> None:
    whole, some = splits.clean_openi(openi_studies), splits.clean_openi(openi_studies[::3])
    assert set(some.test) == set(whole.test) & {study.id for study in openi_studies[::3]}


def test_verbatim_share_of_the_r2gen_split(openi_studies: list[Study]) -> None:
    """277 of 590 test reports stand word for word in train: the number that decides how we evaluate."""
    split = splits.r2gen(openi_studies)
    by_id = {study.id: study for study in openi_studies}
    _, train = splits.texts([by_id[study] for study in split.train])
    _, test = splits.texts([by_id[study] for study in split.test])
    assert sum(text in set(train) for text in test) == pytest.approx(277, abs=3)
