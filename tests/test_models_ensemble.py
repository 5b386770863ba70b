from __future__ import annotations

import torch

from hilum.decoding import SearchConfig, beam_search
from hilum.models.decoders import SoftAttentionRNN
from hilum.models.ensemble import Ensemble
from tests.contracts import make_memory

VOCABULARY = 19


def make(seed: int) -> SoftAttentionRNN:
    torch.manual_seed(seed)
    return SoftAttentionRNN(VOCABULARY, 16, 4, 12, 20, 9, dropout=0.0).eval()


def test_steps_are_forward_and_both_are_the_mean_probability() -> None:
    members = tuple((make_memory(seed=3), make(seed)) for seed in (0, 1, 2))
    ensemble, memory = Ensemble(members), members[0][0]
    tokens = torch.randint(4, VOCABULARY, (3, 5), generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        logits, attention = ensemble.forward(tokens, memory)
        wanted = sum(decoder(tokens, own)[0].softmax(-1) for own, decoder in members) / 3
        torch.testing.assert_close(logits.exp(), wanted)
        torch.testing.assert_close(attention.sum(-1), torch.ones(3, 5))
        state = ensemble.start(memory)
        for place in range(5):
            stepped, looked, state = ensemble.step(tokens[:, place], state, memory)
            torch.testing.assert_close(stepped, logits[:, place])
            torch.testing.assert_close(looked, attention[:, place])


def test_copies_of_one_decoder_find_what_it_finds_alone() -> None:
    decoder, memory = make(0), make_memory(studies=4)
    search = SearchConfig(beams=3, max_tokens=9, length_power=1.0)
    alone = beam_search(decoder, memory, search)
    together = beam_search(Ensemble(((memory, decoder), (memory, decoder))), memory, search)
    assert [[one.tokens for one in found] for found in together] == [
        [one.tokens for one in found] for found in alone
    ]


def test_a_search_lets_studies_go_for_every_member() -> None:
    """Members with other memories: what is found in a batch is what is found alone."""
    members = tuple((make_memory(studies=4, seed=seed), make(seed)) for seed in (0, 1))
    members = (
        (members[0][0], members[0][1]),
        (members[1][0]._replace(present_BN=members[0][0].present_BN), members[1][1]),
    )
    search = SearchConfig(beams=2, max_tokens=12)
    together = beam_search(Ensemble(members), members[0][0], search)
    for study in range(4):
        row = torch.tensor([study])
        own = tuple((memory.select(row), decoder) for memory, decoder in members)
        alone = beam_search(Ensemble(own), own[0][0], search)[0]
        assert [one.tokens for one in alone] == [one.tokens for one in together[study]]
