from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from hilum.data import batches
from hilum.data.manifest import Dataset, DatasetInfo
from hilum.errors import DataError
from hilum.study import Projection, Study, View
from hilum.text.tokenizer import END, PAD, START, UNKNOWN, Tokenizer
from tests import made


@settings(deadline=None, max_examples=50)
@given(
    st.lists(st.integers(1, 90), min_size=1, max_size=70),
    st.integers(1, 9),
    st.integers(0, 5),
    st.integers(0, 5),
)
def test_an_epoch_holds_every_study_once_and_is_a_function_of_seed_and_epoch(
    lengths: list[int], size: int, seed: int, epoch: int
) -> None:
    order = batches.epoch_order(lengths, size, seed, epoch)
    assert Counter(i for batch in order for i in batch) == Counter(range(len(lengths)))
    assert len(order) == -(-len(lengths) // size) and all(0 < len(batch) <= size for batch in order)
    assert order == batches.epoch_order(lengths, size, seed, epoch)


def test_epochs_differ_and_pools_keep_lengths_together() -> None:
    lengths = np.random.default_rng(0).integers(5, 100, 640).tolist()
    first, second = (batches.epoch_order(lengths, 16, 0, epoch) for epoch in (0, 1))
    assert first != second
    padded = sum(max(lengths[i] for i in batch) * len(batch) for batch in first)
    assert padded < 1.15 * sum(lengths)


def test_films_are_decoded_once_and_the_cache_knows_what_made_it(tmp_path: Path) -> None:
    dataset = made.dataset(tmp_path, 4)
    films = batches.load_films(dataset, 32, 2, tmp_path / "cache")
    assert films.pixels_MHW.shape == (6, 32, 32) and films.cells_MG.all()
    again = batches.load_films(dataset, 32, 2, tmp_path / "cache")
    assert again.key == films.key and len(list((tmp_path / "cache").iterdir())) == 2
    assert batches.load_films(dataset, 48, 2, tmp_path / "cache").key != films.key
    path = dataset.path(dataset.studies[0].views[0])
    path.write_bytes(dataset.path(dataset.studies[1].views[0]).read_bytes())
    changed = batches.load_films(dataset, 32, 2, tmp_path / "cache")
    assert changed.key != films.key
    assert (changed.pixels_MHW[0] == changed.pixels_MHW[films.row["1", "1-frontal"]]).all()


def test_the_true_aspect_is_restored(tmp_path: Path) -> None:
    dataset = made.dataset(tmp_path, 1)
    view = dataset.studies[0].views[0]
    tall = View(view.id, view.projection, view.file, height=2000, width=1000)
    stretched = Dataset(tmp_path, dataset.info, (Study("0", (tall,)),))
    films = batches.load_films(stretched, 32, 4, tmp_path / "cache")
    cells = films.cells_MG[0].reshape(4, 4)
    assert cells[:, 1:3].all() and not cells[:, [0, 3]].any()
    assert films.pixels_MHW[0][:, 8:24].min() > 0 and films.pixels_MHW[0][:, :8].max() == 0


def test_a_data_set_without_films_is_refused(tmp_path: Path) -> None:
    info = DatasetInfo("text", "made", "none", simulated=False)
    with pytest.raises(DataError, match="no films"):
        batches.load_films(Dataset(tmp_path, info, (Study("a", (View("v"),)),)), 32, 2, tmp_path)


def test_collate_pads_and_says_what_is_there(tmp_path: Path) -> None:
    dataset = made.dataset(tmp_path, 2)  # study 0 has one view, study 1 two
    films = batches.load_films(dataset, 32, 2, tmp_path / "cache")
    tokenizer = Tokenizer.train(["the lungs are clear ."], min_count=1)
    examples = [
        batches.example(study, films, tokenizer, texts, 20)
        for study, texts in zip(
            dataset.studies, [("the lungs .", ""), ("clear .", "the lungs are clear .")], strict=True
        )
    ]
    batch = batches.collate(examples, films.cells_MG)
    assert batch.rows_BI.tolist() == [[0, -1], [1, 2]]
    assert batch.projection_BI.tolist() == [[0, 2], [0, 1]]
    assert batch.cells_BIG.any(-1).tolist() == [[True, False], [True, True]]
    assert (
        batch.tokens_BT[0, 0] == START
        and batch.tokens_BT[0, 4] == END
        and (batch.tokens_BT[0, 5:] == PAD).all()
    )
    assert batch.findings_BF.dtype == torch.float32 and batch.studies == ("0", "1")


def test_views_are_ordered_frontal_first_whatever_the_source_says() -> None:
    views = [
        View("b", Projection.LATERAL, "b"),
        View("c", Projection.UNKNOWN, "c"),
        View("a", Projection.FRONTAL, "a"),
        View("n"),
    ]
    study = Study("s", tuple(views))
    turned = Study("s", tuple(reversed(views)))
    assert [view.id for view in batches.ordered_views(study)] == ["a", "b", "c"]
    assert batches.ordered_views(turned) == batches.ordered_views(study)


def test_a_background_is_marks_and_words() -> None:
    tokenizer = Tokenizer.train(["chest pain . none"], min_count=1)
    study = Study("a", indication="Chest XXXX pain, fever.", comparison="XXXX", history="None.")
    asked = batches.background(study, tokenizer, ("indication", "comparison"))
    words = tokenizer.encode("chest")[0], tokenizer.encode("pain")[0]
    mark = len(tokenizer)
    assert asked[0] == mark and set(words) <= set(asked[1:-1])
    assert asked[-1] == mark + 1  # a date was removed: that something stood there is known
    assert UNKNOWN in asked and max(asked[1:-1]) < mark
    assert batches.background(study, tokenizer, ("history",)) == (mark, *tokenizer.encode("none ."))
    assert batches.background(study, tokenizer, ()) == ()
    assert batches.background(Study("b", indication=" "), tokenizer, ("indication",)) == ()
    long = batches.background(Study("c", indication="pain " * 500), tokenizer, ("indication",))
    assert len(long) == batches.MAX_WORDS + 1


def test_backgrounds_are_padded_behind_their_words(tmp_path: Path) -> None:
    dataset = made.dataset(tmp_path, 3)
    films = batches.load_films(dataset, 32, 2, tmp_path / "cache")
    tokenizer = Tokenizer.train(["cough ."], min_count=1)
    asked = [study if study.id != "1" else replace(study, indication="") for study in dataset.studies]
    examples = [
        batches.example(study, films, tokenizer, ("", ""), 20, ("indication", "history")) for study in asked
    ]
    batch = batches.collate(examples, films.cells_MG)
    row = [len(tokenizer), *tokenizer.encode("cough .")]
    assert batch.background_BS.tolist() == [row, [PAD] * len(row), row]
    unasked = [batches.example(study, films, tokenizer, ("", ""), 20) for study in dataset.studies]
    assert batches.collate(unasked, films.cells_MG).background_BS.shape == (3, 0)
