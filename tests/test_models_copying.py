from __future__ import annotations

import pytest
import torch

from hilum.models.copying import SLOTS, PointerGenerator, Vocabulary
from hilum.models.decoders import SoftAttentionRNN
from hilum.models.memory import Memory
from hilum.text.tokenizer import PAD, UNKNOWN, Tokenizer
from tests.contracts import check_decoder, check_gradients, make_memory

VOCABULARY = 23


def make() -> PointerGenerator:
    torch.manual_seed(0)
    return PointerGenerator(SoftAttentionRNN(VOCABULARY, 16, 4, 12, 20, 9, dropout=0.0), 7)


def source_of(memory: Memory, seed: int = 5) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    shape = memory.present_BN.shape
    words = torch.randint(4, VOCABULARY + 3, shape, generator=generator)
    return words.where(memory.present_BN, PAD)


class Bound(torch.nn.Module):
    """A ``Copying`` as the module that the contract asks for."""

    def __init__(self, pointer: PointerGenerator, source_BN: torch.Tensor) -> None:
        super().__init__()
        self.pointer, self.source_BN = pointer, source_BN

    def forward(self, tokens_BT, memory):
        return self.over(memory).forward(tokens_BT, memory)

    def start(self, memory, beams=1):
        return self.over(memory).start(memory, beams)

    def step(self, tokens_R, state, memory):
        return self.over(memory).step(tokens_R, state, memory)

    def over(self, memory):
        # The contract also asks with each study repeated for each beam.
        times = len(memory.present_BN) // len(self.source_BN)
        return self.pointer.over(self.source_BN.repeat_interleave(times, 0))


def test_contract() -> None:
    memory = make_memory()
    check_decoder(Bound(make(), source_of(memory)), memory, VOCABULARY + 3)


def test_every_parameter_learns() -> None:
    pointer, memory = make(), make_memory()
    logits, _ = pointer.over(source_of(memory)).forward(torch.randint(0, VOCABULARY, (3, 5)), memory)
    check_gradients(pointer, logits[..., : VOCABULARY + 3].square().mean())


def test_the_distribution_written_out() -> None:
    pointer, memory = make().eval(), make_memory()
    source = source_of(memory)
    decoder, tokens = pointer.over(source), torch.tensor([4, 5, 6])
    with torch.no_grad():
        state = decoder.start(memory)
        log_probs, attention, _ = decoder.step(tokens, state, memory)
        inner = pointer.inner.start(memory)
        logits, _, after = pointer.inner.step(tokens, inner, memory)
        context, looked = pointer.point(after.rows[0], pointer.point.keys(memory), memory)
        features = torch.cat([context, after.rows[0], pointer.inner.embed(tokens)], -1)
        share = torch.sigmoid(pointer.choose(features))
        wanted = torch.zeros(3, VOCABULARY + SLOTS)
        for row in range(3):
            for word in range(VOCABULARY):
                wanted[row, word] = share[row, 0] * logits[row].softmax(-1)[word]
            for place in range(memory.present_BN.shape[1]):
                wanted[row, source[row, place]] += (1 - share[row, 0]) * looked[row, place]
    torch.testing.assert_close(attention, looked)
    torch.testing.assert_close(log_probs.exp(), wanted)
    torch.testing.assert_close(log_probs.exp().sum(-1), torch.ones(3))


def test_a_copied_word_goes_on_as_an_unknown_one() -> None:
    pointer, memory = make().eval(), make_memory()
    decoder = pointer.over(source_of(memory))
    with torch.no_grad():
        state = decoder.start(memory)
        strange, _, _ = decoder.step(torch.full((3,), VOCABULARY + 1), state, memory)
        unknown, _, _ = decoder.step(torch.full((3,), UNKNOWN), state, memory)
    torch.testing.assert_close(strange, unknown)


def test_vocabulary_numbers_unknown_words_report_by_report() -> None:
    tokenizer = Tokenizer.train(["the heart is normal ."], min_count=1)
    vocabulary = Vocabulary.of(tokenizer, "the zygomatic heart is zygomatic .", "dextrocardia .")
    first = len(tokenizer)
    assert vocabulary.borrowed == ("zygomatic", "dextrocardia")
    assert vocabulary.encode("zygomatic heart dextrocardia elsewhere") == [
        first, tokenizer.id("heart"), first + 1, UNKNOWN,
    ]  # fmt: skip
    assert vocabulary.decode([first + 1, tokenizer.id("heart"), UNKNOWN, PAD, 4]) == "dextrocardia heart"


def test_vocabulary_lends_no_more_than_there_are_slots() -> None:
    tokenizer = Tokenizer.train(["the heart ."], min_count=1)
    text = " ".join(f"word{number}" for number in range(SLOTS + 5))
    vocabulary = Vocabulary.of(tokenizer, text)
    assert len(vocabulary.borrowed) == SLOTS
    assert max(vocabulary.encode(text)) == len(tokenizer) + SLOTS - 1
    assert vocabulary.encode(f"word{SLOTS}") == [UNKNOWN]


@pytest.mark.parametrize("spelling", ["<end>", "<unk>"])
def test_a_text_cannot_smuggle_in_a_mark(spelling: str) -> None:
    tokenizer = Tokenizer.train(["the heart ."], min_count=1)
    vocabulary = Vocabulary.of(tokenizer, f"the {spelling} heart")
    assert spelling not in vocabulary.decode(vocabulary.encode(f"the {spelling} heart"))
