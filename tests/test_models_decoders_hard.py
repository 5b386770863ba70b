"""Hard attention against exact enumeration: three places, reports of up to three words, five words in all."""

from __future__ import annotations

import itertools
import math

import pytest
import torch
from torch import Tensor

from hilum.models.decoders import HardAttentionRNN, Lesson, SoftAttentionRNN, recurrent
from hilum.models.decoders.hard import place_loss
from hilum.models.memory import Memory
from hilum.text.tokenizer import END, PAD, START

WORDS, PLACES = 6, 3
TOKENS = torch.tensor([[START, 4, 5, END], [START, 5, END, PAD]])
SAID = TOKENS[:, 1:] != PAD
STEPS = 3


def make(entropy: float = 0.0, expected: float = 0.0) -> HardAttentionRNN:
    torch.manual_seed(0)
    inner = SoftAttentionRNN(WORDS, 4, 2, 3, 5, 4, dropout=0.0).double()
    with torch.no_grad():
        for parameter in inner.parameters():
            parameter.mul_(2.0)  # places that differ in what they say, and are not equally likely
    decoder = HardAttentionRNN(inner, expected=expected, entropy=entropy).double()
    decoder.baseline.fill_(-1.3)
    return decoder.eval()


def make_memory() -> Memory:
    generator = torch.Generator().manual_seed(4)
    present = torch.tensor([[True, True, True], [True, False, True]])
    features = torch.randn(2, PLACES, 4, generator=generator, dtype=torch.float64)
    return Memory(features, present, torch.randn(2, 2, generator=generator, dtype=torch.float64))


def ways_of(study: int) -> Tensor:
    """Noise (W, T, N) for each of the W ways to look of ``study``: one present place a word."""
    memory = make_memory()
    places = torch.nonzero(memory.present_BN[study]).flatten().tolist()
    words = int(SAID[study].sum())
    ways = torch.tensor([[*way, *[0] * (STEPS - words)] for way in itertools.product(places, repeat=words)])
    return torch.full((*ways.shape, PLACES), 1e12, dtype=torch.float64).scatter(2, ways.unsqueeze(2), 1e-12)


def followed(decoder: HardAttentionRNN, study: int, ways_WTN: Tensor) -> tuple[Lesson, Tensor, Tensor]:
    """The lesson of each of the given ways; log p(words | places) and log p(places), (W)."""
    rows = torch.full((len(ways_WTN),), study)
    tokens, said, memory = TOKENS[rows], SAID[rows], make_memory().select(rows)
    lesson = decoder.taught(tokens, memory, ways_WTN, torch.zeros(len(rows), dtype=torch.bool))
    places = lesson.attention_BTN.gather(2, ways_WTN.argmin(-1, keepdim=True)).squeeze(2)
    return lesson, (words_of(lesson, tokens) * said).sum(1), places.log().where(said, 0.0).sum(1)


def words_of(lesson: Lesson, tokens_BT: Tensor) -> Tensor:
    log_probs_BTV = torch.log_softmax(lesson.logits_BTV, -1)
    return log_probs_BTV.gather(2, tokens_BT[:, 1:].unsqueeze(2)).squeeze(2)


def bound(decoder: HardAttentionRNN, study: int) -> Tensor:
    """The bound of equation 10, exactly: the sum over the ways to look of p(places) log p(words | places).

    Written out: every way goes its own way, and what it sees is the feature at its place.
    """
    inner, ways_WT = decoder.inner, ways_of(study).argmin(-1)
    rows = torch.full((len(ways_WT),), study)
    memory, state, each = (
        make_memory().select(rows),
        inner.start(make_memory().select(rows)),
        range(len(rows)),
    )
    parts, words, places = state.rows, torch.zeros(len(rows)).double(), torch.zeros(len(rows)).double()
    for step in range(int(SAID[study].sum())):
        attention = inner.attend.weights(parts[0], state.fixed[0], memory)
        seen = torch.sigmoid(inner.attend.gate(parts[0])) * memory.features_BND[each, ways_WT[:, step]]
        places = places + attention[each, ways_WT[:, step]].log()
        embedded = inner.embed(TOKENS[rows, step])
        parts = inner._advance(embedded, seen, memory.condition_BC, parts)
        logits = inner._logits(embedded, parts[0], seen, memory.condition_BC)
        words = words + torch.log_softmax(logits, -1)[each, TOKENS[rows, step + 1]]
    return (places.exp() * words).sum()


def gradient(decoder: HardAttentionRNN, loss: Tensor) -> Tensor:
    """Of every parameter, in one row; zeros where it does not matter."""
    parameters = list(decoder.parameters())
    found = torch.autograd.grad(loss, parameters, allow_unused=True, retain_graph=True)
    return torch.cat(
        [
            (torch.zeros_like(one) if grad is None else grad).flatten()
            for one, grad in zip(parameters, found, strict=True)
        ]
    )


def word_loss(lesson: Lesson, tokens: Tensor, said: Tensor) -> Tensor:
    return -(words_of(lesson, tokens) * said).sum() / said.sum()


@pytest.mark.parametrize("study", [0, 1])
def test_the_ways_to_look_are_all_of_them_and_the_bound_is_one(study: int) -> None:
    decoder = make()
    with torch.no_grad():
        _, words, places = followed(decoder, study, ways_of(study))
        assert len(words) == (27, 4)[study]
        assert float(places.exp().sum()) == pytest.approx(1.0)
        assert float(bound(decoder, study)) < float((words + places).exp().sum().log()) - 1e-3


@pytest.mark.parametrize("baseline", [-1.3, 0.0, 4.0])
@pytest.mark.parametrize("study", [0, 1])
def test_the_mean_estimate_over_all_ways_is_the_gradient_of_the_bound(study: int, baseline: float) -> None:
    """No luck in it: every estimate weighed by how likely it is, against autograd of the bound."""
    decoder = make()
    decoder.baseline.fill_(baseline)
    tokens, said = TOKENS[study : study + 1], SAID[study : study + 1]
    wanted = gradient(decoder, -bound(decoder, study) / said.sum())
    mean = torch.zeros_like(wanted)
    for way in ways_of(study):
        lesson, _, places = followed(decoder, study, way.unsqueeze(0))
        mean += places.detach().exp() * gradient(decoder, word_loss(lesson, tokens, said) + lesson.own)
    torch.testing.assert_close(mean, wanted, rtol=1e-6, atol=1e-9)
    assert wanted.abs().max() > 1e-2


def draws(decoder: HardAttentionRNN, copies: int, seed: int) -> Lesson:
    """One lesson of both studies, ``copies`` times each."""
    rows = torch.arange(2).repeat(copies)
    return decoder.teach(TOKENS[rows], make_memory().select(rows), torch.Generator().manual_seed(seed))


def test_drawn_estimates_scatter_around_the_gradient_of_the_bound() -> None:
    """As training draws them: the mean of 48 batches of 200, each parameter within Monte-Carlo error."""
    decoder, copies, many = make(), 200, 48
    wanted = gradient(decoder, -(bound(decoder, 0) + bound(decoder, 1)) / SAID.sum())
    tokens, said = TOKENS.repeat(copies, 1), SAID.repeat(copies, 1)
    found, blind = [], []
    for seed in range(many):
        lesson = draws(decoder, copies, seed)
        words = word_loss(lesson, tokens, said)
        blind.append(gradient(decoder, words))
        found.append(blind[-1] + gradient(decoder, lesson.own))

    def far(estimates: list[Tensor]) -> float:
        """The largest distance from what is wanted, in standard errors of the mean."""
        each = torch.stack(estimates)
        error = each.std(0) / math.sqrt(many)
        moves = error > 1e-12
        assert moves.sum() > 300
        return float(((each.mean(0) - wanted)[moves] / error[moves]).abs().max())

    assert far(found) < 5.0 and far(blind) > 20.0


def test_credit_for_the_words_to_come_scatters_less_than_equation_12() -> None:
    """Same mean, but every place credited with the whole report and one baseline for it: more noise."""
    decoder, said = make(), SAID[:1]
    spread = {}
    for name in ("to come", "whole"):
        first, second = 0.0, 0.0
        for way in ways_of(0):
            lesson, words, places = followed(decoder, 0, way.unsqueeze(0))
            if name == "whole":
                score = -((words - decoder.baseline * STEPS).detach() * places).sum()
            else:
                place = lesson.attention_BTN.gather(2, way.argmin(-1)[None, :, None]).squeeze(2).log()
                score = place_loss(words_of(lesson, TOKENS[:1]), place, said, decoder.baseline)
            likely, estimate = float(places.detach().exp()), gradient(decoder, score)
            first = first + likely * estimate
            second = second + likely * estimate.square()
        spread[name] = (first, float((second - first.square()).sum()))
    torch.testing.assert_close(spread["to come"][0], spread["whole"][0])
    assert spread["to come"][1] < 0.8 * spread["whole"][1]


def test_places_are_drawn_as_often_as_the_attention_says(monkeypatch: pytest.MonkeyPatch) -> None:
    decoder, copies = make(), 4000
    places: list[Tensor] = []
    summed = recurrent.weighted

    def watched(weights: Tensor, features: Tensor) -> Tensor:
        places.append(weights)
        return summed(weights, features)

    monkeypatch.setattr(recurrent, "weighted", watched)
    lesson = draws(decoder, copies, 0)
    first = places[0].view(copies, 2, PLACES)
    assert ((first == 0) | (first == 1)).all() and (first.sum(-1) == 1).all()
    wanted = lesson.attention_BTN[:2, 0].detach()
    error = (wanted * (1 - wanted) / copies).sqrt()
    assert ((first.mean(0) - wanted).abs() <= 4 * error).all()
    assert (first[:, 1, 1] == 0).all()  # absent


def test_half_of_the_studies_are_shown_the_expectation() -> None:
    decoder, copies = make(expected=0.5), 400
    soft, _ = decoder.forward(
        TOKENS[:, :-1].repeat(copies, 1), make_memory().select(torch.arange(2).repeat(copies))
    )
    same = (draws(decoder, copies, 1).logits_BTV - soft).abs().amax((1, 2)) < 1e-9
    assert 0.43 < float(same.double().mean()) < 0.57
    alone = make(expected=1.0)
    lesson = draws(alone, 3, 1)
    torch.testing.assert_close(lesson.logits_BTV, soft[:6])
    assert lesson.own == 0.0  # nothing was drawn: no credit is given


def test_the_entropy_term_is_the_attentions_entropy_a_word() -> None:
    plain, with_entropy = draws(make(), 1, 0), draws(make(entropy=0.3), 1, 0)
    attention = plain.attention_BTN[SAID]
    entropy = torch.distributions.Categorical(probs=attention).entropy().mean()
    torch.testing.assert_close(plain.own - with_entropy.own, 0.3 * entropy)


def test_the_baseline_follows_the_words_in_training_alone() -> None:
    decoder = make()
    before = decoder.baseline.clone()
    lesson = draws(decoder, 1, 0)
    assert decoder.baseline == before
    decoder.train()
    again = draws(decoder, 1, 0)
    torch.testing.assert_close(again.own, lesson.own)  # the old baseline was used
    mean = -word_loss(lesson, TOKENS, SAID).detach()
    torch.testing.assert_close(decoder.baseline, 0.9 * before + 0.1 * mean)
    assert "baseline" in decoder.state_dict()
    decoder.expected = 1.0
    before = decoder.baseline.clone()
    draws(decoder, 1, 0)
    assert decoder.baseline == before  # nothing drawn, nothing learnt of it


def test_the_same_numbers_draw_the_same_places() -> None:
    decoder = make(expected=0.5)
    one, again, other = (draws(decoder, 4, seed) for seed in (3, 3, 4))
    assert torch.equal(one.logits_BTV, again.logits_BTV) and not torch.equal(one.logits_BTV, other.logits_BTV)
