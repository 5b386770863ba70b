from __future__ import annotations

import itertools
from dataclasses import replace

import pytest
import torch
from torch import nn

from hilum.decoding import SearchConfig, beam_search
from hilum.models.background import BAG
from hilum.models.decoders import NAMES
from hilum.models.film_classifier import Neck
from hilum.models.report_model import ModelConfig, ReportModel, todays_names
from hilum.text.tokenizer import PAD
from tests.contracts import check_gradients

CONFIG = ModelConfig(
    vocabulary=20, findings=("Cardiomegaly", "Pleural Effusion"), encoder="small-cnn", image_size=64, width=32,
    embedding=16, hidden=24, attention=16, dropout=0.0,
)  # fmt: skip


def make(config: ModelConfig = CONFIG) -> ReportModel:
    torch.manual_seed(0)
    return ReportModel(config).eval()


@pytest.mark.parametrize("classifiers", [1, 3])
def test_gradient_reaches_every_parameter(classifiers: int) -> None:
    model = make(replace(CONFIG, classifiers=classifiers))
    features = model.see(torch.rand(4, 64, 64)).view(2, 2, 16, model.width)
    cells = torch.ones(2, 2, 16, dtype=torch.bool)
    memory, logits = model.remember(features, cells, torch.tensor([[0, 1], [0, 2]]))
    words, _ = model.decoder(torch.randint(0, 20, (2, 5)), memory)
    check_gradients(model, words.square().mean() + logits.square().mean())


@pytest.mark.parametrize("decoder", NAMES)
def test_absent_views_and_padding_change_nothing(decoder: str) -> None:
    model = make(replace(CONFIG, decoder=decoder))
    features = torch.randn(1, 1, 16, 32)
    cells = torch.ones(1, 1, 16, dtype=torch.bool)
    tokens = torch.randint(0, 20, (1, 5))
    alone, logits = model.remember(features, cells, torch.tensor([[0]]))
    padded, padded_logits = model.remember(
        torch.cat([features, torch.full_like(features, 5.0)], 1),
        torch.cat([cells, torch.zeros_like(cells)], 1),
        torch.tensor([[0, 2]]),
    )
    torch.testing.assert_close(padded_logits, logits)
    torch.testing.assert_close(model.decoder(tokens, padded)[0], model.decoder(tokens, alone)[0])


@pytest.mark.parametrize("decoder", NAMES)
def test_any_number_of_views_in_any_order(decoder: str) -> None:
    """One to five views, and the same in another order: the same words, and each view as much looked at."""
    model = make(replace(CONFIG, decoder=decoder))
    generator = torch.Generator().manual_seed(0)
    features = torch.randn(2, 5, 16, 32, generator=generator)
    cells = torch.rand(2, 5, 16, generator=generator) > 0.2
    projection, tokens = torch.tensor([[0, 1, 0, 2, 1], [1, 0, 2, 0, 0]]), torch.randint(4, 20, (2, 5))
    said = []
    for views in range(1, 6):
        order = torch.randperm(views, generator=generator)
        with torch.no_grad():
            memory, logits = model.remember(features[:, :views], cells[:, :views], projection[:, :views])
            turned, turned_logits = model.remember(features[:, order], cells[:, order], projection[:, order])
            torch.testing.assert_close(turned_logits, logits)
            words, looked = model.decoder.forward(tokens, memory)
            turned_words, turned_looked = model.decoder.forward(tokens, turned)
        torch.testing.assert_close(turned_words, words)
        looked = looked.unflatten(-1, (views, 16))
        torch.testing.assert_close(turned_looked.unflatten(-1, (views, 16)), looked[:, :, order])
        torch.testing.assert_close(looked.sum((2, 3)), torch.ones(2, 5))
        said.append(words)
    for fewer, more in itertools.pairwise(said):
        assert (fewer - more).abs().amax((1, 2)).min() > 1e-4  # every further view is seen


@pytest.mark.parametrize("decoder", NAMES)
def test_projections_tell_views_apart(decoder: str) -> None:
    model = make(replace(CONFIG, decoder=decoder))
    features, cells = torch.randn(1, 2, 16, 32), torch.ones(1, 2, 16, dtype=torch.bool)
    tokens = torch.randint(4, 20, (1, 5))
    with torch.no_grad():
        said = [
            model.decoder.forward(tokens, model.remember(features, cells, torch.tensor([which]))[0])[0]
            for which in ([0, 1], [1, 0], [2, 2])
        ]
    assert all((one - other).abs().max() > 1e-5 for one, other in itertools.combinations(said, 2))


def test_projection_and_place_matter() -> None:
    model = make()
    features, cells = torch.randn(1, 1, 16, 32), torch.ones(1, 1, 16, dtype=torch.bool)
    frontal = model.place(features, torch.tensor([[0]]))
    assert (frontal - model.place(features, torch.tensor([[1]]))).abs().max() > 1e-3
    same = model.place(torch.ones(1, 1, 16, 32), torch.tensor([[0]]))
    assert (same[0, 0] - same[0, 7]).abs().max() > 1e-3
    assert cells.all()


def test_what_the_decoder_is_told_replaces_the_head_where_known() -> None:
    model = make()
    features, cells = torch.randn(1, 1, 16, 32), torch.ones(1, 1, 16, dtype=torch.bool)
    told = torch.tensor([[1.0, torch.nan]])
    memory, logits = model.remember(features, cells, torch.tensor([[0]]), told)
    torch.testing.assert_close(
        memory.condition_BC, torch.stack([torch.tensor([1.0]), 2 * torch.sigmoid(logits[:, 1]) - 1], 1)
    )
    assert not memory.condition_BC.requires_grad


def test_the_decoder_is_told_how_far_a_finding_lies_above_its_decision() -> None:
    model = make()
    features, cells = torch.randn(1, 1, 16, 32), torch.ones(1, 1, 16, dtype=torch.bool)
    _, logits = model.remember(features, cells, torch.tensor([[0]]))
    model.decision_F.copy_(logits[0])
    memory, _ = model.remember(features, cells, torch.tensor([[0]]))
    torch.testing.assert_close(memory.condition_BC, torch.zeros(1, 2))
    model.decision_F.copy_(logits[0] - 20.0)
    memory, _ = model.remember(features, cells, torch.tensor([[0]]))
    torch.testing.assert_close(memory.condition_BC, torch.ones(1, 2))


def test_the_neck_adds_the_scales_at_the_finest() -> None:
    torch.manual_seed(0)
    neck = Neck((3, 5), 16)
    fine, coarse = torch.randn(2, 3, 4, 4), torch.randn(2, 5, 2, 2)
    weights = [project.weight[:, :, 0, 0] for project in neck.project]
    total = torch.einsum("dc,bchw->bdhw", weights[0], fine)
    larger = torch.einsum("dc,bchw->bdhw", weights[1], coarse)
    for row in range(4):
        for column in range(4):
            total[:, :, row, column] += larger[:, :, row // 2, column // 2]
    wanted = torch.relu(neck.norm(total))
    torch.testing.assert_close(neck([fine, coarse]), wanted)
    check_gradients(neck, neck([fine, coarse]).square().sum())


def test_a_side_is_told_as_far_as_its_finding_is_there() -> None:
    torch.manual_seed(0)
    model = ReportModel(
        replace(CONFIG, findings=("Cardiomegaly", "Pleural Effusion", "Pleural Effusion/left"))
    ).eval()
    features, cells, nan = torch.randn(1, 1, 16, 32), torch.ones(1, 1, 16, dtype=torch.bool), torch.nan

    def told(*truth: float) -> torch.Tensor:
        memory, _ = model.remember(features, cells, torch.tensor([[0]]), torch.tensor([truth]))
        return memory.condition_BC[0]

    _, logits = model.remember(features, cells, torch.tensor([[0]]))
    _, there, left = torch.sigmoid(logits[0]).tolist()
    assert told(nan, nan, nan)[2].item() == pytest.approx(2 * there * left - 1, abs=1e-5)
    assert told(nan, 1.0, nan)[2].item() == pytest.approx(2 * left - 1, abs=1e-5)
    assert told(nan, 0.0, nan).tolist()[1:] == [-1.0, -1.0]  # what is not there is on no side
    assert told(nan, 1.0, 1.0).tolist()[1:] == [1.0, 1.0]


READING = replace(CONFIG, background=("indication", "comparison"))
ASKED = torch.tensor([[20, 5, 6, 21, 7], [20, 8, 9, PAD, PAD], [PAD] * 5])


def _seen(studies: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(3)
    features = torch.randn(studies, 2, 16, 32, generator=generator)
    cells = torch.ones(studies, 2, 16, dtype=torch.bool)
    cells[0, 1] = False
    return features, cells, torch.tensor([[0, 2], [0, 1], [0, 1]])[:studies]


def test_gradient_reaches_every_parameter_that_reads_the_background() -> None:
    model = make(READING)
    features = model.see(torch.rand(6, 64, 64)).view(3, 2, 16, 32)
    memory, logits = model.remember(features, *_seen(3)[1:], None, ASKED)
    words, _ = model.decoder(torch.randint(0, 20, (3, 5)), memory)
    check_gradients(model, words.square().mean() + logits.square().mean())
    learning = {id(parameter) for parameter in (*model.writing_parameters(), *model.reading_parameters())}
    seeing = {id(parameter) for part in model.seeing() for parameter in part.parameters()}
    assert learning | seeing == {id(parameter) for parameter in model.parameters()}


def test_without_a_background_a_model_that_reads_it_is_the_model_that_does_not() -> None:
    """Its decoder without what the background adds to the condition, on a study of which nothing is known."""
    reading, plain = make(READING), make()
    weights, condition = reading.state_dict(), len(CONFIG.findings)
    for name in ("decoder.first.weight", "decoder.cell.weight_ih", "decoder.from_context.weight"):
        weights[name] = weights[name][:, :-BAG]  # the condition stands last, and the bag last in it
    assert weights["decoder.first.weight"].shape[1] == CONFIG.width + condition
    plain.load_state_dict({name: part for name, part in weights.items() if not name.startswith("background")})
    tokens, seen = torch.randint(0, 20, (3, 6)), _seen(3)
    with torch.no_grad():
        wanted, _ = plain.decoder(tokens, plain.remember(*seen)[0])
        for nothing in (None, torch.full((3, 4), PAD)):
            memory, _ = reading.remember(*seen, None, nothing)
            torch.testing.assert_close(reading.decoder(tokens, memory)[0], wanted)
        memory, _ = reading.remember(*seen, None, ASKED)  # two of three are asked about
        words, attention = reading.decoder(tokens, memory)
    torch.testing.assert_close(words[2], wanted[2])
    assert (words[:2] - wanted[:2]).abs().amax((1, 2)).min() > 1e-3
    on_words = attention[..., 32:].sum(-1)
    assert (on_words[:2] > 0).all() and (on_words[2] == 0).all()
    torch.testing.assert_close(attention.sum(-1), torch.ones(3, 6))


def test_searching_with_a_background_is_the_same_alone_and_in_a_batch() -> None:
    model, seen = make(READING), _seen(3)
    with torch.no_grad():
        model.decoder.out.weight.mul_(4.0)
        memory, _ = model.remember(*seen, None, ASKED)
    search = SearchConfig(beams=3, max_tokens=8)
    for row, found in enumerate(beam_search(model.decoder, memory, search)):
        words = ASKED[row : row + 1]
        one, _ = model.remember(
            *(part[row : row + 1] for part in seen), None, words[:, : int((words != PAD).sum())]
        )
        alone = beam_search(model.decoder, one, search)[0]
        assert [hypothesis.tokens for hypothesis in alone] == [hypothesis.tokens for hypothesis in found]


LITE = replace(CONFIG, encoder="efficientnet-lite0")


@pytest.mark.parametrize("learning", [None, 0, 3])
def test_what_is_frozen_stays_as_it_was(learning: int | None) -> None:
    """A step of training moves what learns and nothing else: no weight and no statistic of a frozen norm."""
    torch.manual_seed(0)
    model = ReportModel(replace(LITE, trainable=learning))
    groups = model.each()[0].encoder.groups()
    learnt = len(groups) if learning is None else learning
    before = {name: tensor.clone() for name, tensor in model.each()[0].encoder.state_dict().items()}
    trained = model.learning_parameters()
    model.requires_grad_(False)
    for parameter in trained:
        parameter.requires_grad_(True)
    optimiser = torch.optim.SGD(trained, lr=0.1)
    model.train()
    for index, group in enumerate(groups):
        assert all(layer.training == (index >= len(groups) - learnt) for layer in group)
    model.see(torch.rand(2, 64, 64)).square().sum().backward()
    optimiser.step()
    frozen = {id(tensor) for group in groups[: len(groups) - learnt] for layer in group
              for tensor in (*layer.parameters(), *layer.buffers())}  # fmt: skip
    tensors = [*model.each()[0].encoder.named_parameters(), *model.each()[0].encoder.named_buffers()]
    for name, tensor in tensors:
        assert torch.equal(tensor, before[name]) == (id(tensor) in frozen), name
    assert len(trained) == sum(id(one) not in frozen for one in model.parameters())
    assert not any(layer.training for layer in model.eval().modules())
    assert isinstance(groups[0][1], nn.BatchNorm2d)


def test_a_frozen_encoders_maps_are_as_the_cache_holds_them() -> None:
    films = torch.rand(2, 64, 64)
    torch.manual_seed(0)
    free = ReportModel(CONFIG).eval()
    frozen = ReportModel(replace(CONFIG, trainable=0)).eval()
    frozen.load_state_dict(free.state_dict())
    with torch.no_grad():
        (exact,), (kept,) = free.look(films), frozen.look(films)
        assert torch.equal(kept, exact.half().float()) and not torch.equal(kept, exact)
        assert torch.equal(frozen.see(films), frozen.join([kept]))


def test_several_classifiers_read_the_mean_of_each_and_the_first_ones_features_are_written_from() -> None:
    """Findings are the mean of what each reads by itself; words are the first one's, told that mean."""
    both = make(replace(CONFIG, classifiers=2))
    films, cells = torch.rand(4, 64, 64), _seen(2)[1]
    projection, tokens = torch.tensor([[0, 1], [0, 2]]), torch.randint(4, 20, (2, 5))
    alone = []
    for one in both.each():
        model, state = make(), both.state_dict()
        state |= {f"classifiers.0.{name}": part for name, part in one.state_dict().items()}
        model.load_state_dict({name: part for name, part in state.items() if "classifiers.1." not in name})
        alone.append(model)
    with torch.no_grad():
        maps = both.look(films)
        torch.testing.assert_close(both.join(maps), both.see(films))
        assert both.see(films).shape == (4, 16, both.width) == (4, 16, 64)
        features = both.see(films).view(2, 2, 16, 64)
        logits, looked, placed = both.read_findings(features, cells, projection)
        added = both.contributions(placed, cells)
        each = [
            model.read_findings(model.see(films).view(2, 2, 16, 32), cells, projection) for model in alone
        ]
        torch.testing.assert_close(logits, (each[0][0] + each[1][0]) / 2)
        torch.testing.assert_close(looked, (each[0][1] + each[1][1]) / 2)
        torch.testing.assert_close(looked.sum(-1), torch.ones(2, 2))
        said = [model.contributions(one[2], cells) for model, one in zip(alone, each, strict=True)]
        torch.testing.assert_close(added, (said[0] + said[1]) / 2)
        words, _ = both.decoder(tokens, both.tell(placed, cells, logits))
        wanted, _ = alone[0].decoder(tokens, alone[0].tell(each[0][2], cells, logits))
        torch.testing.assert_close(words, wanted)
        assert (each[0][0] - each[1][0]).abs().max() > 1e-3
    with pytest.raises(ValueError, match="0 classifiers"):
        ReportModel(replace(CONFIG, classifiers=0))


def test_weights_under_the_names_of_a_single_classifier_are_the_first_ones() -> None:
    model, other = make(replace(CONFIG, codes=("normal",))), make(replace(CONFIG, codes=("normal",)))
    before = {name.removeprefix("classifiers.0."): part + 1 for name, part in model.state_dict().items()}
    assert {
        "encoder",
        "neck",
        "position_GD",
        "projection",
        "norm",
        "head",
        "codes",
        "decision_F",
        "decoder",
    } == {name.partition(".")[0] for name in before}
    other.load_state_dict(before)
    for name, part in other.state_dict().items():
        torch.testing.assert_close(part, model.state_dict()[name] + 1)
    assert [*todays_names(todays_names(before))] == [*todays_names(before)] == [*model.state_dict()]


def test_sizes_and_groups_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ValueError, match="small-cnn: 72 pixels are no multiple of 16"):
        ReportModel(replace(CONFIG, image_size=72))
    for learning in (-1, 5):
        with pytest.raises(ValueError, match=f"{learning} groups are to learn, it has 4"):
            ReportModel(replace(CONFIG, trainable=learning))
