"""The cascade's model: views, labels, and an RNN that begins from the image."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from hilum.models.cascade import Cascade, CascadeConfig, Cell, annotate, quarters
from hilum.text.tokenizer import END, PAD, START, UNKNOWN
from tests.contracts import check_gradients

CELLS: tuple[Cell, ...] = ("lstm", "gru")
CONFIG = CascadeConfig(
    vocabulary=12, diseases=("normal", "opacity", "opacity", "nodule"), encoder="small-cnn", image_size=64,
    width=16, embedding=8, hidden=12, dropout=0.0,
)  # fmt: skip
TOKENS_BT = torch.tensor([[5, 6, 7, 8], [9, 10, PAD, PAD]])


@pytest.fixture
def model() -> Cascade:
    torch.manual_seed(0)
    model = Cascade(CONFIG).eval()
    with torch.no_grad():
        for cell in CELLS:
            model.rnn(cell).out.weight.mul_(8.0)
    return model


def image(studies: int = 2) -> torch.Tensor:
    return torch.randn(studies, CONFIG.width, generator=torch.Generator().manual_seed(1))


def test_every_parameter_learns(model: Cascade) -> None:
    films_BIP = model.see(torch.rand(4, 64, 64)).view(2, 2, -1)
    image_BD = model.image(films_BIP, torch.tensor([[0, 1], [2, 0]]), torch.ones(2, 2, dtype=torch.bool))
    loss = F.cross_entropy(model.label(image_BD), torch.tensor([1, 3]))
    for cell in CELLS:
        logits_BTV, _ = model.rnn(cell)(image_BD, TOKENS_BT)
        loss = loss + F.cross_entropy(logits_BTV.flatten(0, 1), torch.arange(8) % 12)
    check_gradients(model, loss)


def test_the_quarters_of_a_map_and_its_middle() -> None:
    even = torch.arange(16.0).view(1, 1, 4, 4)
    assert quarters(even).tolist() == [[2.5, 4.5, 10.5, 12.5]]
    odd = torch.arange(9.0).view(1, 1, 3, 3)
    assert quarters(odd).tolist() == [[2.0, 3.0, 5.0, 6.0]]
    assert quarters(torch.ones(2, 3, 1, 1)).shape == (2, 12)


def test_an_absent_view_changes_nothing_and_projections_matter(model: Cascade) -> None:
    films_BIP = model.see(torch.rand(2, 64, 64)).view(1, 2, -1)
    there = torch.tensor([[True, False]])
    alone = model.image(films_BIP[:, :1], torch.tensor([[0]]), there[:, :1])
    noisy = films_BIP.clone()
    noisy[:, 1] = 9.0
    torch.testing.assert_close(model.image(noisy, torch.tensor([[0, 1]]), there), alone)
    assert not torch.allclose(model.image(films_BIP[:, :1], torch.tensor([[1]]), there[:, :1]), alone)


@pytest.mark.parametrize("cell", CELLS)
def test_stepping_equals_reading_at_once_and_begins_from_the_image(model: Cascade, cell: Cell) -> None:
    rnn, image_BD = model.rnn(cell), image()
    logits_BTV, states_BTH = rnn(image_BD, TOKENS_BT)
    state = rnn.start(image_BD)
    for place in range(TOKENS_BT.shape[1]):
        one_B1V, after_B1H, state = rnn.step(TOKENS_BT[:, place : place + 1], state)
        torch.testing.assert_close(one_B1V[:, 0], logits_BTV[:, place])
        torch.testing.assert_close(after_B1H[:, 0], states_BTH[:, place])
    assert not torch.allclose(rnn(image_BD + 1.0, TOKENS_BT)[0], logits_BTV)


@pytest.mark.parametrize("cell", CELLS)
def test_the_joint_vector_is_the_mean_state_over_the_words(model: Cascade, cell: Cell) -> None:
    rnn, image_BD = model.rnn(cell), image()
    _, states_BTH = rnn(image_BD, TOKENS_BT)
    wanted = torch.stack([states_BTH[0].mean(0), states_BTH[1, :2].mean(0)])
    torch.testing.assert_close(rnn.joint(image_BD, TOKENS_BT), wanted)


@pytest.mark.parametrize("cell", CELLS)
def test_writing_takes_the_likeliest_word_each_time_and_ends(model: Cascade, cell: Cell) -> None:
    rnn, image_BD = model.rnn(cell), image(12)
    first_B = torch.arange(12) % 7 + 5
    written = rnn.write(image_BD, first_B)
    for place, words in enumerate(written):
        slow = [int(first_B[place])]
        while len(slow) < 5:  # read again from the beginning for each word
            logits_V = rnn(image_BD[place : place + 1], torch.tensor([slow]))[0][0, -1].clone()
            logits_V[[PAD, START, UNKNOWN, 4]] = -torch.inf
            if int(logits_V.argmax()) == END:
                break
            slow.append(int(logits_V.argmax()))
        assert words == tuple(slow)
    assert {len(words) for words in written} - {5}, "none ends early: the test shows nothing"


def test_the_joint_labels_of_a_disease_are_one_disease(model: Cascade) -> None:
    image_BD = image(5)
    model.prior_L.copy_(torch.tensor([0.7, 0.1, 0.1, 0.1]).log())
    shares_BL = torch.softmax(model.classify(image_BD) + model.prior_L, -1)
    names, probabilities_BC = model.disease_probabilities(image_BD)
    assert names == ["normal", "opacity", "nodule"]
    torch.testing.assert_close(probabilities_BC[:, 1], shares_BL[:, 1] + shares_BL[:, 2])
    torch.testing.assert_close(probabilities_BC.sum(1), torch.ones(5))
    _, diseased_BC = model.disease_probabilities(image_BD, normal=False)
    assert (diseased_BC[:, 0] == 0).all()
    torch.testing.assert_close(diseased_BC.sum(1), torch.ones(5))


def test_annotations_begin_with_the_disease_and_normal_stands_alone(model: Cascade) -> None:
    ids = {"normal": 5, "opacity": 6, "nodule": 7}
    with torch.no_grad():
        model.classify.bias[0] += 100.0
    assert annotate(model, image(3), "gru", ids) == [(5,), (5,), (5,)]
    known = annotate(model, image(3), "gru", ids, normal=False)
    assert {words[0] for words in known} <= {6, 7}
    given = annotate(model, image(3), "gru", ids, given=["nodule", "normal", "opacity"])
    assert [words[0] for words in given] == [7, 5, 6]
    assert given[1] == (5,)


@pytest.mark.parametrize("diseases", [("normal",), ("opacity", "normal"), ("normal", "opacity", "normal")])
def test_labels_begin_with_normal(diseases: tuple[str, ...]) -> None:
    with pytest.raises(ValueError, match="normal"):
        Cascade(CascadeConfig(8, diseases, encoder="small-cnn"))
