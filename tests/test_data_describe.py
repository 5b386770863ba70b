"""The numbers of a data set: against the slow obvious count, the published counts, and the schema."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace
from pathlib import Path

import cv2
import jsonschema
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hilum.data import check, manifest, splits
from hilum.data.describe import describe, describe_folder
from hilum.data.describe_reports import NAMES
from hilum.data.description import Description, schema, to_json
from hilum.data.manifest import DatasetInfo, LeftOut
from hilum.data.splits import Split
from hilum.errors import DataError
from hilum.study import Projection, Report, State, Study, View
from hilum.text.findings import Reading, label
from hilum.text.normal import normalise
from hilum.text.tokenizer import UNKNOWN, Tokenizer
from tests import made

FILE = Path(__file__).parents[1] / "docs/schemas/describe.schema.json"
VALIDATOR = jsonschema.Draft202012Validator(schema())
INFO = DatasetInfo("made", "made for a test", "Apache-2.0", simulated=False)
WORDS = (
    "The lungs are clear.", "Left pleural effusion.", "XXXX in the right base.", "No pneumothorax",
    "1. Normal chest.", "Cardiomegaly, edema.", "", "  ", "???",
)  # fmt: skip
TEXT = st.lists(st.sampled_from(WORDS) | st.text(max_size=12), max_size=4).map(" ".join)
SIDE = st.none() | st.integers(-1, 5000)
VIEWS = st.lists(
    st.builds(
        View, id=st.text(max_size=4), projection=st.sampled_from(Projection),
        file=st.none() | st.just("images/a.png"), height=SIDE, width=SIDE, simulated=st.booleans(),
    ),
    max_size=3,
)  # fmt: skip
MESH = st.sampled_from(["normal", "No Indexing", "Opacity/lung/base/left", "Cardiomegaly/mild"]) | st.text(
    max_size=8
)
STUDIES = st.lists(
    st.builds(
        Study, id=st.text(min_size=1, max_size=4), views=VIEWS.map(tuple), indication=TEXT, comparison=TEXT,
        history=TEXT, report=st.none() | st.builds(Report, TEXT, TEXT), mesh=st.lists(MESH, max_size=3).map(tuple),
    ),
    max_size=8, unique_by=lambda study: study.id,
)  # fmt: skip


def split_of(ids: list[str], parts: dict[str, str], name: str = "clean") -> Split:
    lists = {part: tuple(i for i in ids if parts.get(i) == part) for part in splits.PARTS}
    outside = tuple(i for i in ids if parts.get(i) == "outside")
    return Split(name, **lists, sha256=splits.digest(**lists), outside=outside)


def checked(description: Description) -> Description:
    """``description``, after it was held against its schema as a reader of the JSON would."""
    document = json.loads(json.dumps(to_json(description), allow_nan=False))
    VALIDATOR.validate(document)
    return description


def test_the_published_schema_is_the_one_of_the_classes() -> None:
    jsonschema.Draft202012Validator.check_schema(schema())
    assert json.loads(FILE.read_text(encoding="utf-8")) == schema(), (
        "make it anew: python -m hilum.data.description > docs/schemas/describe.schema.json"
    )


def test_the_schema_refuses_what_is_not_there() -> None:
    document = to_json(describe(INFO, []))
    for broken in ({**document, "more": 1}, {k: v for k, v in document.items() if k != "films"}):
        with pytest.raises(jsonschema.ValidationError):
            VALIDATOR.validate(broken)


@settings(max_examples=25)
@given(STUDIES, st.data())
def test_any_manifest(studies: list[Study], data: st.DataObject) -> None:
    ids = [study.id for study in studies]
    where = st.sampled_from([*splits.PARTS, "outside", "nowhere"])
    parts = {id: data.draw(where) for id in ids} | {"a foreign id": data.draw(where)}
    found = checked(describe(INFO, studies, [split_of([*ids, "a foreign id"], parts)]))
    assert found.studies == len(studies) == sum(found.views.films_per_study.values())
    assert found.films == sum(len(s.views) for s in studies) == sum(found.views.projections.values())
    assert found.films == found.sizes_taken.known + found.sizes_taken.unknown
    assert sum(one.films for one in found.sizes_taken.grid) == found.sizes_taken.known
    assert found.views.with_file == found.sizes_of_files.unknown and found.sizes_of_files.known == 0
    s = found.sections
    assert s.findings + s.impression - s.both == found.reports == found.studies - s.neither
    for index, one in enumerate(found.labels.observations):
        assert one.present + one.uncertain + one.absent + one.not_mentioned == found.reports
        assert found.labels.together[index][index] == one.present
    assert np.array_equal(np.array(found.labels.together), np.array(found.labels.together).T)
    for groups in (found.duplicates.verbatim, found.duplicates.near):
        assert sum(groups.sizes.values()) == groups.groups
        assert sum(int(size) * number for size, number in groups.sizes.items()) == groups.reports
    assert found.duplicates.near.reports >= found.duplicates.verbatim.reports
    split = found.splits[0]
    inside = [id for id in ids if parts[id] != "nowhere"]
    assert sum(part.studies for part in split.parts) == len(inside)
    assert split.unlisted == len(ids) - len(inside)
    assert split.foreign == (parts["a foreign id"] != "nowhere")
    assert split.verbatim_crossing <= found.duplicates.verbatim.groups
    # the order of the manifest says nothing, but for which study stands for its group
    again = describe(INFO, studies[::-1], [split_of([*ids, "a foreign id"], parts)])
    assert again.vocabulary == found.vocabulary and again.labels == found.labels
    assert again.splits == found.splits and again.mesh == found.mesh and again.lengths == found.lengths


def test_as_the_slow_obvious_count(tmp_path: Path) -> None:
    dataset = made.dataset(tmp_path, 30)
    odd = replace(dataset.studies[3], id="odd", mesh=("Opacity/lung/base/left/mild",), indication="XXXX pain, ___.",
                  report=Report("Opacity in the left XXXX. The heart is normal.", ""))  # fmt: skip
    bare = Study("bare")
    studies = [*dataset.studies, odd, bare]
    split = splits.read(tmp_path, "clean")
    left_out = [LeftOut("a", "no film"), LeftOut("b", "no film"), LeftOut("c", "truncated")]
    found = checked(describe(dataset.info, studies, [split], left_out))

    texts = {s.id: "" if s.report is None else f"{s.report.findings} {s.report.impression}" for s in studies}
    normal = {id: normalise(text) for id, text in texts.items()}
    assert [(r.reason, r.count, r.examples) for r in found.left_out] == [
        ("no film", 2, ("a", "b")), ("truncated", 1, ("c",))
    ]  # fmt: skip
    assert found.reports == 31 and found.sections.neither == 1 and found.sections.both == 30
    counted = Counter(word for text in normal.values() for word in text.split() if word not in ".,")
    assert found.vocabulary.words == counted.total() and found.vocabulary.distinct == len(counted)
    assert found.vocabulary.kept[2].size == sum(count >= 3 for count in counted.values())
    longest = max(len([w for w in text.split() if w not in ".,"]) for text in normal.values())
    assert found.lengths.report_words.most == longest and found.lengths.report_words.n == 31
    for one in found.labels.observations:
        states = [
            label(text, further=True, reading=Reading.PLAIN).get(one.name) for text in texts.values() if text
        ]
        assert one.present == sum(s is not None and s.state is State.PRESENT for s in states), one.name
        assert one.absent == sum(s is not None and s.state is State.ABSENT for s in states), one.name
    assert (
        found.mesh.normal == 10 and found.mesh.coded == 31 and found.mesh.sides == {"left": 11, "right": 10}
    )
    assert found.mesh.degrees == {"mild": 1} and found.mesh.zones == {"base": 1}
    assert [(one.name, one.count) for one in found.drawn] == [("Pleural Effusion", 20)]
    same = Counter(text for text in normal.values() if text)
    assert found.duplicates.distinct == len(same)
    assert found.duplicates.verbatim.reports == sum(count for count in same.values() if count > 1)
    blanks = {one.name: (one.texts, one.with_blank, one.blanks) for one in found.blanks.sections}
    assert (
        blanks["findings"] == (31, 1, 1)
        and blanks["indication"] == (31, 1, 2)
        and blanks["history"] == (0, 0, 0)
    )
    assert found.blanks.studies == 1

    assert [part.name for part in found.splits[0].parts] == ["train", "validation", "test", "outside"]
    tokenizer = Tokenizer.train((normal[id] for id in split.train), 3)
    for part in found.splits[0].parts:
        held = [normal[id] for id in split.part(part.name)]
        pairs = [pair for text in held for pair in zip(tokenizer.encode(text), text.split(), strict=True)]
        ids = [id for id, word in pairs if word not in ".,"]
        assert (part.words, part.unknown_words) == (len(ids), ids.count(UNKNOWN))
    assert found.splits[0].unlisted == 2


def test_sizes_and_views(tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    assert cv2.imwrite(str(tmp_path / "images/a.png"), made.film(0, None))
    (tmp_path / "images/b.png").write_bytes(b"no film at all")
    frontal, lateral = Projection.FRONTAL, Projection.LATERAL
    views = (View("a", frontal, "images/a.png", 3000, 2000), View("b", lateral, "images/b.png", 2000, 3000))
    studies = [Study("1", views), Study("2", (View("c"), View("d", frontal, None, 100, 100))), Study("3")]
    manifest.write(tmp_path, INFO, studies)
    found = checked(describe_folder(tmp_path))
    assert found.views.films_per_study == {"0": 1, "1": 0, "2": 2}
    assert {one.name: one.count for one in found.views.sets} == {
        "frontal + lateral": 1, "frontal + unknown": 1, "no film": 1
    }  # fmt: skip
    taken, files = found.sizes_taken, found.sizes_of_files
    assert (taken.known, taken.unknown, taken.upright, taken.lying, taken.square) == (3, 1, 1, 1, 1)
    assert {(one.width, one.height) for one in taken.commonest} == {(2000, 3000), (3000, 2000), (100, 100)}
    assert (files.known, files.unknown) == (1, 1)
    assert (files.commonest[0].width, files.commonest[0].height) == (made.SIDE, made.SIDE)


@pytest.mark.parametrize(
    "study", [Study("1"), Study("1", report=Report("Clear lungs.", ""), mesh=("normal",))]
)
def test_one_study_and_empty_parts(study: Study) -> None:
    found = checked(describe(INFO, [study], [split_of(["1"], {"1": "test"})]))
    assert found.studies == 1 and found.duplicates.near.groups == 0
    train, _, test, _ = found.splits[0].parts
    assert (train.studies, test.studies, test.unknown_words, test.near_in_train) == (0, 1, None, 0)
    assert found.splits[0].vocabulary == 0


def test_leakage_is_what_the_check_finds(tmp_path: Path) -> None:
    """Two ways to the same number: ``hilum data check`` counts it by itself."""
    made.dataset(tmp_path, 30)
    found = {part.name: part for part in describe_folder(tmp_path).splits[0].parts}
    leaks = check.check(tmp_path).splits[0].leakage
    assert {leak.part for leak in leaks} == {"validation", "test"}
    for leak in leaks:
        part = found[leak.part]
        assert (part.findings_in_train, part.near_in_train, part.with_findings) == (
            leak.verbatim, leak.near, leak.with_findings
        )  # fmt: skip
        assert leak.verbatim > 0


def test_a_group_that_crosses() -> None:
    def study(id: str, text: str) -> Study:
        return Study(id, report=Report(text, ""))

    studies = [study(id, "The lungs are clear and the heart is normal.") for id in "abc"]
    studies += [
        study("d", "The lungs are clear and the heart is normal today."),
        study("e", "Left effusion."),
    ]
    parts = {"a": "train", "b": "train", "c": "outside", "d": "test", "e": "test"}
    split = describe(INFO, studies, [split_of(list("abcde"), parts)]).splits[0]
    assert (split.verbatim_crossing, split.near_crossing) == (0, 1)
    assert split.parts[2].near_in_train == 1 and split.parts[2].findings_in_train == 0
    assert split.parts[3].findings_in_train == 1


def test_broken_data_sets_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no such folder"):
        describe_folder(tmp_path / "none")
    with pytest.raises(DataError, match=r"dataset\.json"):
        describe_folder(tmp_path)
    made.dataset(tmp_path, 3)
    with (tmp_path / "studies.jsonl").open("a") as lines:
        lines.write("{broken\n")
    with pytest.raises(DataError) as caught:
        describe_folder(tmp_path)
    assert caught.value.problems[0].startswith("line 4:")


def test_the_published_counts_of_the_real_reports(openi_studies: list[Study]) -> None:
    found = checked(describe(INFO, openi_studies, [splits.r2gen(openi_studies)]))
    s = found.sections
    assert (found.studies, found.films, found.reports) == (3955, 7470, 3927)
    assert (s.findings, s.impression, s.both, s.indication, s.comparison) == (3425, 3921, 3419, 3865, 3333)
    assert found.views.films_per_study == {"0": 104, "1": 446, "2": 3208, "3": 181, "4": 15, "5": 1}
    assert found.blanks.studies == 3411
    assert (found.mesh.normal, found.mesh.no_indexing, found.mesh.distinct_descriptors) == (1391, 95, 1719)
    # docs/data.md: 2,386 groups, single reports among them, the largest of 89
    near = found.duplicates.near
    assert near.groups + found.reports - near.reports == 2386 and near.largest[0].reports == 89
    parts = {part.name: part for part in found.splits[0].parts}
    assert [parts[name].studies for name in ("train", "validation", "test", "outside")] == [
        2069,
        296,
        590,
        1000,
    ]
    assert parts["validation"].findings_in_train == 66 and parts["test"].findings_in_train == 277
    assert parts["test"].near_in_train == pytest.approx(0.593 * 590, abs=0.5)
    assert (parts["train"].coded_normal, parts["test"].coded_normal) == (682, 307)  # 33 % and 52 %
    assert len(found.labels.observations) == len(NAMES) == 25
