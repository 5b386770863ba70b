from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from hilum.data import batches
from hilum.data.films import load_films
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


def test_collate_pads_and_says_what_is_there(tmp_path: Path) -> None:
    dataset = made.dataset(tmp_path, 2)  # study 0 has one view, study 1 two
    films = load_films(dataset, 32, 2, tmp_path / "cache")
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
    films = load_films(dataset, 32, 2, tmp_path / "cache")
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


def drawn_films(
    examples: list[batches.Example], cells: np.ndarray, order: list[list[int]], **where: int
) -> dict[int, tuple[bytes, bytes]]:
    """By row of the film: what chance says of it."""
    drawn_of: dict[int, tuple[bytes, bytes]] = {}
    for batch, drawn in batches.prepared(examples, cells, order, side=8, **where):
        assert drawn is not None
        for place, row in enumerate(batch.rows_BI[batch.rows_BI >= 0].tolist()):
            drawn_of[row] = (
                drawn.uniform_8B[:, place].numpy().tobytes(),
                drawn.noise_B1HW[place].numpy().tobytes(),
            )
    return drawn_of


def made_examples(count: int = 23) -> tuple[list[batches.Example], np.ndarray]:
    """Studies with one, two or three films, made up."""
    rows = iter(range(10 * count))
    known = np.zeros(2, np.float32)
    examples = []
    for number in range(count):
        films = tuple(next(rows) for _ in range(1 + number % 3))
        tokens = (START, *range(4, 5 + number % 7), END)
        examples.append(
            batches.Example(
                str(number), films, (0,) * len(films), tokens, known, (), known, (False,) * len(tokens)
            )
        )
    return examples, np.ones((10 * count, 4), np.bool_)


def test_batches_are_alike_whatever_the_number_of_workers() -> None:
    examples, cells = made_examples()
    order = batches.epoch_order([len(one.tokens) for one in examples], 4, seed=5, epoch=2)

    def all_of(workers: int) -> list[bytes]:
        found = []
        for batch, drawn in batches.prepared(
            examples, cells, order, seed=5, epoch=2, side=8, workers=workers
        ):
            assert drawn is not None
            tensors = [batch.rows_BI, batch.tokens_BT, batch.cells_BIG, drawn.uniform_8B, drawn.noise_B1HW]
            found.append(
                " ".join(batch.studies).encode() + b"".join(one.numpy().tobytes() for one in tensors)
            )
        return found

    plain = all_of(0)
    assert len(plain) == len(order)
    for workers in (1, 2, 3):
        assert all_of(workers) == plain


def test_the_chance_of_a_film_is_a_function_of_seed_epoch_and_row_alone() -> None:
    examples, cells = made_examples()
    order = batches.epoch_order([len(one.tokens) for one in examples], 4, seed=5, epoch=2)
    whole = drawn_films(examples, cells, order, seed=5, epoch=2)
    assert len(set(whole.values())) == len(whole) == sum(len(one.rows) for one in examples)
    assert drawn_films(examples, cells, [list(range(23))], seed=5, epoch=2) == whole  # one batch of all
    assert drawn_films(examples, cells, [[n] for n in reversed(range(23))], seed=5, epoch=2) == whole
    rest = drawn_films(examples, cells, order[2:], seed=5, epoch=2)  # resumed after two batches
    assert rest and all(whole[row] == drawn for row, drawn in rest.items())
    for other in ({"seed": 5, "epoch": 3}, {"seed": 6, "epoch": 2}):
        assert not set(drawn_films(examples, cells, order, **other).values()) & set(whole.values())


def test_no_chance_is_drawn_where_nothing_is_augmented() -> None:
    examples, cells = made_examples(3)
    assert [drawn for _, drawn in batches.prepared(examples, cells, [[0], [1, 2]], seed=0, epoch=0)] == [
        None
    ] * 2
