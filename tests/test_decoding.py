from __future__ import annotations

import itertools
from collections import Counter

import msgspec
import pytest
import torch
from scipy.stats import chisquare

from hilum import decoding
from hilum.decoding import Hypothesis, SearchConfig, beam_search, greedy, rank, sample, sequence_log_prob
from hilum.models.decoders import NAMES, AnyDecoder
from hilum.text.tokenizer import END, PAD, START, UNKNOWN
from tests.contracts import make_decoder, make_memory

SMALL = 7  # four marks and three words
FORBIDDEN = (PAD, START, UNKNOWN)


def make(vocabulary: int = SMALL, scale: float = 3.0, name: str = "soft-lstm") -> AnyDecoder:
    return make_decoder(name, vocabulary, sharp=scale)  # ties and near ties are not what is tested


every_decoder = pytest.mark.parametrize("name", NAMES)


def own_score(decoder: AnyDecoder, study: int, tokens: tuple[int, ...], finished: bool) -> float:
    memory = make_memory().select(torch.tensor([study]))
    sequence = torch.tensor([[START, *tokens, *((END,) if finished else ())]])
    with torch.no_grad():
        return float(sequence_log_prob(decoder, memory, sequence).sum())


@every_decoder
@pytest.mark.parametrize("length_power", [0.0, 0.7])
def test_a_wide_beam_is_exhaustive_search(length_power: float, name: str) -> None:
    decoder, longest = make(name=name), 4
    words = [token for token in range(SMALL) if token not in (*FORBIDDEN, END)]
    config = SearchConfig(200, longest, length_power, 0, FORBIDDEN)
    found = beam_search(decoder, make_memory(), config)
    for study in range(3):
        every = [
            Hypothesis(tokens, own_score(decoder, study, tokens, True), True)
            for length in range(longest)
            for tokens in itertools.product(words, repeat=length)
        ]
        every.sort(key=lambda hypothesis: rank(hypothesis, config), reverse=True)
        finished = [hypothesis for hypothesis in found[study] if hypothesis.finished]
        assert [h.tokens for h in finished[:10]] == [h.tokens for h in every[:10]]
        for got, wanted in zip(finished[:10], every[:10], strict=True):
            assert got.log_prob == pytest.approx(wanted.log_prob, abs=1e-4)


@every_decoder
def test_one_beam_is_greedy_written_out(name: str) -> None:
    decoder, memory = make(30, name=name), make_memory()
    config = SearchConfig(1, 12, 0.0, 0, FORBIDDEN)
    found = greedy(decoder, memory, config)
    for study in range(3):
        one = memory.select(torch.tensor([study]))
        state, tokens, total = decoder.start(one), [START], 0.0
        while len(tokens) <= 12:
            with torch.no_grad():
                logits, _, state = decoder.step(torch.tensor([tokens[-1]]), state, one)
            log_probs = torch.log_softmax(logits, -1)[0]
            log_probs[list(FORBIDDEN)] = -torch.inf
            token = int(log_probs.argmax())
            total += float(log_probs[token])
            if token == END:
                break
            tokens.append(token)
        assert found[study].tokens == tuple(tokens[1:])
        assert found[study].finished == (token == END)
        assert found[study].log_prob == pytest.approx(total, abs=1e-4)
    assert found == [best[0] for best in beam_search(decoder, memory, config)]


@every_decoder
@pytest.mark.parametrize("beams", [1, 3, 5])
@pytest.mark.parametrize("length_power", [0.0, 0.6])
def test_a_batch_equals_singles(beams: int, length_power: float, name: str) -> None:
    decoder, memory = make(30, name=name), make_memory(studies=5)
    config = SearchConfig(beams, 15, length_power, 3, FORBIDDEN)
    together = beam_search(decoder, memory, config)
    for study in range(5):
        alone = beam_search(decoder, memory.select(torch.tensor([study])), config)[0]
        assert [h.tokens for h in alone] == [h.tokens for h in together[study]]


@every_decoder
def test_every_score_is_the_models_own(name: str) -> None:
    decoder = make(30, name=name)
    for study, best in enumerate(beam_search(decoder, make_memory(), SearchConfig(4, 10, 0.5, 0, FORBIDDEN))):
        assert len({h.tokens for h in best}) == len(best) == 4
        for h in best:
            assert h.log_prob == pytest.approx(own_score(decoder, study, h.tokens, h.finished), abs=1e-4)
            assert not set(h.tokens) & {*FORBIDDEN, END}


@every_decoder
def test_samples_are_the_models_own_whatever_else_is_in_the_batch(name: str) -> None:
    decoder, memory = make(30, name=name), make_memory()
    config = SearchConfig(1, 10, 0.0, 0, FORBIDDEN, samples=12, temperature=1.0)
    together = sample(decoder, memory, config)
    for study, drafts in enumerate(together):
        alone = sample(decoder, memory.select(torch.tensor([study])), config)[0]
        assert [one.tokens for one in alone] == [one.tokens for one in drafts]
        assert 1 < len(drafts) <= 12
        for one in drafts:
            assert one.log_prob == pytest.approx(
                own_score(decoder, study, one.tokens, one.finished), abs=1e-4
            )
            assert not set(one.tokens) & {*FORBIDDEN, END}
    assert [d.tokens for d in sample(decoder, memory, config, seed=1)[0]] != [d.tokens for d in together[0]]


def test_samples_follow_the_models_distribution() -> None:
    """First words of many draws against the softmax, by chi-squared."""
    decoder, memory = make(scale=1.0), make_memory(studies=1)
    config = SearchConfig(1, 1, 0.0, 0, FORBIDDEN, samples=1, temperature=1.0)
    counts = Counter(sample(decoder, memory, config, seed=seed)[0][0].tokens for seed in range(2000))
    with torch.no_grad():
        logits, _, _ = decoder.step(torch.tensor([START]), decoder.start(memory), memory)
    logits[0, list(FORBIDDEN)] = -torch.inf
    wanted = torch.softmax(logits[0].double(), -1)
    tokens = [token for token in range(SMALL) if token not in FORBIDDEN]
    seen = [counts[() if token == END else (token,)] for token in tokens]
    assert chisquare(seen, [float(wanted[token]) * sum(seen) for token in tokens]).pvalue > 1e-4


def test_no_ngram_stands_twice_where_blocked() -> None:
    decoder = make(9, scale=8.0)
    with torch.no_grad():
        decoder.out.bias[END] = -20.0  # long drafts
    memory = make_memory()
    free = beam_search(decoder, memory, SearchConfig(2, 30, 0.0, 0, FORBIDDEN))
    blocked = beam_search(decoder, memory, SearchConfig(2, 30, 0.0, 3, FORBIDDEN))

    def repeats(tokens: tuple[int, ...]) -> bool:
        ngrams = list(zip(tokens, tokens[1:], tokens[2:], strict=False))
        return len(set(ngrams)) < len(ngrams)

    assert any(repeats(h.tokens) for best in free for h in best)
    assert not any(repeats(h.tokens) for best in blocked for h in best)


def test_what_is_not_finished_says_so_and_never_outranks_what_is() -> None:
    decoder = make(9)
    with torch.no_grad():
        decoder.out.bias[END] = -3.0
    with pytest.raises(ValueError, match="a beam, not 0"):
        beam_search(decoder, make_memory(), SearchConfig(0, 3))
    for best in beam_search(decoder, make_memory(), SearchConfig(4, 3, 0.0, 0, FORBIDDEN)):
        order = [h.finished for h in best]
        assert order == sorted(order, reverse=True)
        assert all(len(h.tokens) == 3 for h in best if not h.finished)


def test_banned_words_are_a_studys_own() -> None:
    decoder, memory = make(30), make_memory()
    config = SearchConfig(3, 8, 0.0, 0, FORBIDDEN, samples=12, temperature=1.5)
    banned = torch.zeros(3, 30, dtype=torch.bool)
    free = beam_search(decoder, memory, config)
    banned[1, list({token for one in free[1] for token in one.tokens})] = True
    held, drawn = beam_search(decoder, memory, config, banned), sample(decoder, memory, config, banned)
    assert [held[0], held[2]] == [free[0], free[2]]
    assert [drawn[0], drawn[2]] == [sample(decoder, memory, config)[study] for study in (0, 2)]
    for one in (*held[1], *drawn[1]):
        assert not banned[1, list(one.tokens)].any()
        assert one.log_prob == pytest.approx(own_score(decoder, 1, one.tokens, one.finished), abs=1e-4)
    alone = beam_search(decoder, memory.select(torch.tensor([1])), config, banned[1:2])[0]
    assert [one.tokens for one in alone] == [one.tokens for one in held[1]]


@every_decoder
def test_dropping_what_has_ended_changes_no_sample(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    decoder, memory = make(30, name=name), make_memory()
    banned = torch.zeros(3, 30, dtype=torch.bool)
    banned[1, 20:] = True
    config = SearchConfig(3, 40, 0.0, 0, FORBIDDEN, samples=24, temperature=1.3)
    shed = sample(decoder, memory, config, banned)
    monkeypatch.setattr(decoding, "SHED", -1.0)
    kept = sample(decoder, memory, config, banned)
    for one, other in zip(shed, kept, strict=True):
        assert len(one) > 10 and [d.tokens for d in one] == [d.tokens for d in other]
        assert [d.finished for d in one] == [d.finished for d in other]
        assert [d.log_prob for d in one] == pytest.approx([d.log_prob for d in other], abs=1e-4)


def smallest_set(probabilities: list[float], mass: float) -> set[int]:
    """The definition, step by step."""
    order = sorted(range(len(probabilities)), key=lambda token: (-probabilities[token], token))
    chosen: set[int] = set()
    for token in order:
        if chosen and sum(probabilities[one] for one in chosen) >= mass:
            break
        if probabilities[token] > 0:
            chosen.add(token)
    return chosen


def test_the_nucleus_is_the_smallest_set_with_the_mass() -> None:
    torch.manual_seed(0)
    scores = (
        torch.randn(40, 30, dtype=torch.float64) * torch.linspace(0.1, 8, 40, dtype=torch.float64)[:, None]
    )
    scores[:, 3] = -torch.inf
    scores[0] = 0.0  # all equal
    scores[1, 1:] = -torch.inf  # one certain
    for mass in (0.01, 0.31, 0.52, 0.91, 0.999, 1.0):
        kept = decoding.nucleus(scores, mass)
        for row, probabilities in zip(kept, torch.softmax(scores, -1), strict=True):
            wanted = smallest_set(probabilities.tolist(), mass)
            assert set(row.nonzero().flatten().tolist()) == wanted or mass == 1.0
            assert float(probabilities[row].sum()) >= mass - 1e-12
            assert not row[3] or torch.isfinite(scores[0, 3])


def test_the_nucleus_is_that_of_transformers() -> None:
    warpers = pytest.importorskip("transformers.generation.logits_process")
    torch.manual_seed(1)
    scores = torch.randn(50, 200) * 3
    for mass in (0.1, 0.5, 0.9, 0.97):
        theirs = warpers.TopPLogitsWarper(mass)(None, scores.clone())
        assert (torch.isfinite(theirs) == decoding.nucleus(scores, mass)).all()


def test_samples_of_a_nucleus_stay_in_it_and_follow_its_distribution() -> None:
    decoder, memory = make(scale=1.0), make_memory(studies=1)
    config = SearchConfig(1, 1, 0.0, 0, FORBIDDEN, samples=1, temperature=0.9, nucleus=0.6)
    counts = Counter(sample(decoder, memory, config, seed=seed)[0][0].tokens for seed in range(500))
    with torch.no_grad():
        logits, _, _ = decoder.step(torch.tensor([START]), decoder.start(memory), memory)
    logits[0, list(FORBIDDEN)] = -torch.inf
    wanted = torch.softmax(logits[0].double() / 0.9, -1)
    inside = sorted(smallest_set(wanted.tolist(), 0.6))
    assert 1 < len(inside) < 4
    tokens = [() if token == END else (token,) for token in inside]
    assert set(counts) == set(tokens)
    share = wanted[inside] / wanted[inside].sum()
    assert chisquare([counts[one] for one in tokens], (share * 500).tolist()).pvalue > 1e-4


def test_samples_of_a_nucleus_score_as_the_model_does_whatever_else_is_in_the_batch() -> None:
    decoder, memory = make(30), make_memory()
    config = SearchConfig(1, 10, 0.0, 3, FORBIDDEN, samples=8, temperature=1.2, nucleus=0.8)
    for study, drafts in enumerate(sample(decoder, memory, config)):
        alone = sample(decoder, memory.select(torch.tensor([study])), config)[0]
        assert [one.tokens for one in alone] == [one.tokens for one in drafts]
        for one in drafts:
            assert one.log_prob == pytest.approx(
                own_score(decoder, study, one.tokens, one.finished), abs=1e-4
            )


def test_an_old_search_still_loads() -> None:
    """As a run of before wrote it."""
    old = b'{"beams":3,"max_tokens":110,"length_power":1.0,"block_ngram":0,"forbidden":[0,1,3],"samples":16}'
    config = msgspec.json.decode(old, type=SearchConfig)
    assert config == SearchConfig(length_power=1.0, samples=16)
    assert (config.nucleus, config.consensus, config.consistent) == (1.0, (), False)
    whole = SearchConfig(nucleus=0.9, consensus=(("cider_d", 1.0), ("head", 0.5)), consistent=True)
    assert msgspec.json.decode(msgspec.json.encode(whole), type=SearchConfig) == whole
