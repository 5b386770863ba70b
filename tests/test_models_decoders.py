"""What every decoder keeps, and the recurrent one with either cell."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from hilum.decoding import SearchConfig, greedy
from hilum.models import decoders
from hilum.models.decoders import NAMES, SoftAttentionRNN
from hilum.text.tokenizer import END, PAD, START
from tests.contracts import check_decoder, check_gradients, make_decoder, make_memory

VOCABULARY = 23
every_decoder = pytest.mark.parametrize("name", NAMES)


@every_decoder
@pytest.mark.parametrize("condition", [0, 4])
def test_contract(name: str, condition: int) -> None:
    check_decoder(make_decoder(name, condition=condition), make_memory(condition=condition), VOCABULARY)


@every_decoder
def test_every_parameter_learns(name: str) -> None:
    """From what is trained on: the words and what the decoder adds."""
    decoder = make_decoder(name, dropout=0.2).train()
    tokens = torch.randint(3, VOCABULARY, (3, 40), generator=torch.Generator().manual_seed(0))
    lesson = decoder.teach(tokens, make_memory(), torch.Generator().manual_seed(0))
    words = F.cross_entropy(lesson.logits_BTV.flatten(0, 1), tokens[:, 1:].flatten())
    # Words that do not occur get no gradient for their vectors; the table as a whole does.
    check_gradients(decoder, words + lesson.own)


@every_decoder
def test_every_parameter_matters_when_drafting(name: str) -> None:
    decoder = make_decoder(name)
    logits, attention = decoder.forward(torch.randint(0, VOCABULARY, (3, 5)), make_memory())
    check_gradients(decoder, logits.square().mean() + attention.square().mean())


@every_decoder
def test_batch_order_changes_nothing(name: str) -> None:
    decoder, memory = make_decoder(name), make_memory()
    tokens = torch.randint(0, VOCABULARY, (3, 5))
    order = torch.tensor([2, 0, 1])
    logits, _ = decoder.forward(tokens, memory)
    turned, _ = decoder.forward(tokens[order], memory.select(order))
    torch.testing.assert_close(turned, logits[order])


@every_decoder
def test_later_words_do_not_reach_back(name: str) -> None:
    decoder, memory = make_decoder(name), make_memory()
    tokens = torch.randint(4, VOCABULARY, (3, 6))
    other = tokens.clone()
    other[:, 4:] = 4
    torch.testing.assert_close(
        decoder.forward(tokens, memory)[0][:, :4], decoder.forward(other, memory)[0][:, :4]
    )


@every_decoder
def test_features_condition_and_the_words_before_matter(name: str) -> None:
    decoder, memory = make_decoder(name), make_memory()
    tokens = torch.randint(4, VOCABULARY, (3, 6))
    logits, _ = decoder.forward(tokens, memory)
    for changed in (
        memory._replace(features_BND=memory.features_BND.flip(1)),
        memory._replace(condition_BC=-memory.condition_BC),
    ):
        assert (decoder.forward(tokens, changed)[0] - logits).abs().amax((1, 2)).min() > 1e-3
    other = tokens.clone()
    other[:, 1] = (tokens[:, 1] - 3) % (VOCABULARY - 4) + 4
    assert (decoder.forward(other, memory)[0][:, 5] - logits[:, 5]).abs().max() > 1e-5


@every_decoder
def test_a_state_keeps_its_studies_and_its_rows(name: str) -> None:
    """Hypotheses reordered and studies let go: what is stepped on is what teacher forcing says of those words."""
    decoder, memory, beams = make_decoder(name), make_memory(studies=4), 2
    words = torch.randint(4, VOCABULARY, (8, 5), generator=torch.Generator().manual_seed(2))
    with torch.no_grad():
        state = decoder.start(memory, beams)
        for position in range(3):
            _, _, state = decoder.step(words[:, position], state, memory)
        swapped = torch.tensor([1, 0, 2, 3, 5, 4, 6, 6])
        state, words = state.select(swapped), torch.cat([words[swapped, :3], words[:, 3:]], 1)
        kept = torch.tensor([0, 3])
        state, memory, words = state.keep_studies(kept, beams), memory.select(kept), words[[0, 1, 6, 7]]
        own = memory.select(torch.tensor([0, 0, 1, 1]))
        wanted, looked = decoder.forward(words, own)
        for position in (3, 4):
            logits, attention, state = decoder.step(words[:, position], state, memory)
            torch.testing.assert_close(logits, wanted[:, position])
            torch.testing.assert_close(attention, looked[:, position])


@every_decoder
def test_it_learns_to_say_its_reports_back(name: str) -> None:
    """Four studies, four reports of different lengths, learnt by heart; then drafted from the films alone."""
    memory = make_memory(studies=4, positions=5)
    torch.manual_seed(0)
    decoder = decoders.build(
        name, vocabulary=12, width=16, condition=4, embedding=32, hidden=64, attention=16, layers=2, heads=4,
        dropout=0.0,
    )  # fmt: skip
    generator = torch.Generator().manual_seed(5)
    said = [torch.randint(4, 12, (length,), generator=generator).tolist() for length in (2, 4, 5, 6)]
    tokens = torch.full((4, 8), PAD)
    for row, words in enumerate(said):
        tokens[row, : len(words) + 2] = torch.tensor([START, *words, END])
    optimiser = torch.optim.AdamW(decoder.parameters(), lr=3e-3 if name == "transformer" else 1e-2)
    decoder.train()
    for _ in range(70):
        lesson = decoder.teach(tokens, memory, generator)
        words = F.cross_entropy(lesson.logits_BTV.flatten(0, 1), tokens[:, 1:].flatten(), ignore_index=PAD)
        optimiser.zero_grad()
        (words + lesson.own).backward()
        nn.utils.clip_grad_norm_(decoder.parameters(), 1.0)
        optimiser.step()
    decoder.eval()
    drafts = greedy(decoder, memory, SearchConfig(max_tokens=7))
    assert [list(draft.tokens) for draft in drafts] == said


def test_a_gru_step_written_out() -> None:
    decoder, memory = make_decoder("soft-gru"), make_memory()
    assert isinstance(decoder, SoftAttentionRNN) and isinstance(decoder.cell, nn.GRUCell)
    tokens = torch.randint(4, VOCABULARY, (3,))
    state = decoder.start(memory)
    (hidden,) = state.rows
    with torch.no_grad():
        _, _, after = decoder.step(tokens, state, memory)
        context, _ = decoder.attend(hidden, state.fixed[0], memory)
        inputs = torch.cat([decoder.embed(tokens), context, memory.condition_BC], -1)
        ir, iz, inn = F.linear(inputs, decoder.cell.weight_ih, decoder.cell.bias_ih).chunk(3, -1)
        hr, hz, hn = F.linear(hidden, decoder.cell.weight_hh, decoder.cell.bias_hh).chunk(3, -1)
        reset, update = torch.sigmoid(ir + hr), torch.sigmoid(iz + hz)
        new = torch.tanh(inn + reset * hn)
    torch.testing.assert_close(after.rows, ((1 - update) * new + update * hidden,))


def test_names_are_described_and_others_refused() -> None:
    shape = {"embedding": 12, "hidden": 20, "layers": 2, "heads": 3}
    said = {name: decoders.described(name, **shape) for name in NAMES}
    assert said["soft-lstm"] == "soft-attention LSTM (arXiv 1502.03044), hidden 20"
    assert "hard-attention GRU" in said["hard-gru"] and "2 layers, 3 heads" in said["transformer"]
    assert len(set(said.values())) == len(NAMES)
    with pytest.raises(ValueError, match="no decoder 'rnn', only soft-lstm"):
        make_decoder("rnn")
    with pytest.raises(ValueError, match="no decoder 'rnn'"):
        decoders.described("rnn", **shape)
