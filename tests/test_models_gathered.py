"""Gradients that are gathered over the steps are those that are added up step by step."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from hilum.models import gathered
from hilum.models.attention import doubled
from hilum.models.decoders import SoftAttentionRNN
from tests.contracts import make_decoder, make_memory


def drawn(*shape: int, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=generator, dtype=torch.float64).requires_grad_()


def grads(loss: Tensor, *of: Tensor) -> list[Tensor]:
    return list(torch.autograd.grad(loss, of))


@pytest.mark.parametrize("biased", [True, False])
def test_linear_is_a_linear_layer(biased: bool) -> None:
    weight, bias, x = drawn(5, 3), drawn(5, seed=1), drawn(4, 2, 3, seed=2)
    given = (weight, bias) if biased else (weight,)
    ours = gathered.Linear(*given)
    plain = [torch.nn.functional.linear(part, *given).tanh() for part in x]
    called = [ours(part).tanh() for part in x]
    torch.testing.assert_close(called, plain)
    expected = grads(sum(plain, torch.zeros(())).square().sum(), x, *given)
    torch.testing.assert_close(grads(sum(called, torch.zeros(())).square().sum(), x, *given), expected)


def test_linear_learns_nothing_where_nothing_is_to_be_learnt() -> None:
    weight, x = drawn(5, 3).detach(), drawn(2, 3, seed=1)
    linear = gathered.Linear(weight)
    (found,) = grads(linear(x).sum(), x)
    torch.testing.assert_close(found, weight.sum(0).expand(2, 3))
    assert not linear.owed and not linear.read
    with torch.no_grad():
        assert gathered.Linear(weight)(x).grad_fn is None


def test_a_second_pass_back_gives_the_same() -> None:
    weight, x = drawn(5, 3), drawn(2, 3, seed=1)
    result = gathered.Linear(weight)(x).square().sum()
    first = torch.autograd.grad(result, weight, retain_graph=True)
    torch.testing.assert_close(torch.autograd.grad(result, weight), first)


def test_scores_are_those_of_additive_attention() -> None:
    keys, weight, queries = drawn(2, 6, 3), drawn(3, seed=1), drawn(4, 2, 3, seed=2)
    ours = gathered.Scores(doubled(keys), weight, doubled)
    plain = [torch.tanh(keys + query.unsqueeze(1)) @ weight for query in queries]
    called = [ours(query) for query in queries]
    torch.testing.assert_close(called, plain)
    expected, found = (
        grads(torch.stack([one.softmax(-1) for one in some]).square().sum(), keys, weight, queries)
        for some in (plain, called)
    )
    torch.testing.assert_close(found, expected)


def test_scores_stay_finite_where_the_tanh_is_1() -> None:
    keys, weight = torch.full((1, 2, 3), 90.0).requires_grad_(), torch.ones(3).requires_grad_()
    query = torch.full((1, 3), 90.0).requires_grad_()
    scores = gathered.Scores(doubled(keys), weight, doubled)(query)
    assert scores.tolist() == [[3.0, 3.0]]
    assert all(one.isfinite().all() for one in grads(scores.sum(), keys, weight, query))


@pytest.mark.parametrize("name", ["soft-lstm", "soft-gru"])
def test_a_decoder_learns_what_it_would_step_by_step(name: str) -> None:
    decoder = make_decoder(name, dropout=0.0, condition=4).double().train()
    assert isinstance(decoder, SoftAttentionRNN)
    memory = make_memory(condition=4)
    features, condition = memory.features_BND.double(), memory.condition_BC.double()
    memory = memory._replace(features_BND=features.requires_grad_(), condition_BC=condition.requires_grad_())
    tokens = torch.randint(0, 23, (3, 7), generator=torch.Generator().manual_seed(0))
    of = [*decoder.parameters(), features, condition]

    def loss(logits: Tensor, attention: Tensor) -> Tensor:
        return torch.log_softmax(logits, -1).square().mean() + attention.square().sum()

    state, logits, attention = decoder.start(memory), [], []
    for word in tokens.T:
        found, looked, state = decoder.step(word, state, memory)
        logits.append(found)
        attention.append(looked)
    stepped = (torch.stack(logits, 1), torch.stack(attention, 1))
    at_once = decoder.forward(tokens, memory)
    torch.testing.assert_close(at_once, stepped)
    torch.testing.assert_close(grads(loss(*at_once), *of), grads(loss(*stepped), *of))
