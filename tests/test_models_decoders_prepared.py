from __future__ import annotations

import pytest
import torch

from hilum.decoding import SearchConfig, beam_search, sample
from hilum.models.decoders import NAMES, prepared
from tests.contracts import make_decoder, make_memory

VOCABULARY = 23
recurrent = pytest.mark.parametrize("name", [name for name in NAMES if name != "transformer"])


@recurrent
@pytest.mark.parametrize("beams", [1, 3])
@pytest.mark.parametrize("condition", [0, 4])
def test_it_steps_as_the_decoder_does(name: str, beams: int, condition: int) -> None:
    """Also where a search reorders its rows on the way, and lets a study go."""
    decoder, memory = make_decoder(name, condition=condition), make_memory(condition=condition)
    ready = prepared(decoder)
    plain, fast = decoder.start(memory, beams), ready.start(memory, beams)
    generator = torch.Generator().manual_seed(1)
    for step in range(6):
        studies = len(memory.features_BND)
        tokens = torch.randint(4, VOCABULARY, (studies * beams,), generator=generator)
        with torch.no_grad():
            *wanted, plain = decoder.step(tokens, plain, memory)
        *got, fast = ready.step(tokens, fast, memory)
        torch.testing.assert_close(got, wanted, atol=1e-5, rtol=1e-5)
        torch.testing.assert_close(fast.rows[: len(plain.rows)], plain.rows, atol=1e-5, rtol=1e-5)
        within = torch.randint(0, beams, (studies, beams), generator=generator)
        rows = (torch.arange(studies).unsqueeze(1) * beams + within).flatten()
        plain, fast = plain.select(rows), fast.select(rows)
        if step == 2:
            keep = torch.tensor([0, 2])
            memory = memory.select(keep)
            plain, fast = plain.keep_studies(keep, beams), fast.keep_studies(keep, beams)


@recurrent
def test_it_reads_a_text_as_the_decoder_does(name: str) -> None:
    decoder, memory = make_decoder(name), make_memory()
    tokens = torch.randint(4, VOCABULARY, (3, 9), generator=torch.Generator().manual_seed(2))
    with torch.no_grad():
        wanted = decoder.forward(tokens, memory)
    torch.testing.assert_close(prepared(decoder).forward(tokens, memory), wanted, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("name", NAMES)
def test_it_drafts_what_the_decoder_drafts(name: str) -> None:
    decoder, memory = make_decoder(name, sharp=3.0), make_memory(studies=5)
    ready, config = prepared(decoder), SearchConfig(3, 12, 0.6, 3, samples=4)
    for search in (beam_search, sample):
        for one, other in zip(search(decoder, memory, config), search(ready, memory, config), strict=True):
            assert [draft.tokens for draft in one] == [draft.tokens for draft in other]
            assert [draft.log_prob for draft in one] == pytest.approx(
                [draft.log_prob for draft in other], abs=1e-4
            )


@recurrent
def test_its_weights_are_those_of_when_it_was_made(name: str) -> None:
    decoder, memory = make_decoder(name), make_memory()
    tokens, old = torch.full((3, 2), 5), prepared(decoder)
    before, _ = old.forward(tokens, memory)
    with torch.no_grad():
        for parameter in decoder.parameters():
            parameter.mul_(1.5)
        after, _ = decoder.forward(tokens, memory)
    torch.testing.assert_close(prepared(decoder).forward(tokens, memory)[0], after, atol=1e-5, rtol=1e-5)
    assert not torch.allclose(before, after, atol=0.1)
    with pytest.raises(ValueError, match="training mode"):
        prepared(decoder.train())
