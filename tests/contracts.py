"""What every pluggable part must keep, whatever it is: used by the tests of encoders and decoders."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from hilum.models import decoders
from hilum.models.memory import Memory


def make_memory(
    studies: int = 3, positions: int = 8, width: int = 16, condition: int = 4, seed: int = 0
) -> Memory:
    """Random features of which some positions are absent, differently in each study."""
    generator = torch.Generator().manual_seed(seed)
    present = torch.rand(studies, positions, generator=generator) > 0.3
    present[:, 0] = True
    return Memory(
        torch.randn(studies, positions, width, generator=generator),
        present,
        torch.randn(studies, condition, generator=generator),
    )


def make_decoder(
    name: str = "soft-lstm",
    vocabulary: int = 23,
    condition: int = 4,
    dropout: float = 0.0,
    sharp: float = 1.0,
) -> decoders.AnyDecoder:
    """A small decoder for ``make_memory``, in evaluation mode; ``sharp`` above 1 makes its choices clearer."""
    torch.manual_seed(3)
    decoder = decoders.build(
        name, vocabulary=vocabulary, width=16, condition=condition, embedding=12, hidden=20, attention=9,
        layers=2, heads=2, dropout=dropout,
    )  # fmt: skip
    with torch.no_grad():
        for place, parameter in decoder.named_parameters():
            if f".{place}".endswith(".out.weight"):
                parameter.mul_(sharp)
    return decoder.eval()


def check_gradients(module: nn.Module, loss: Tensor) -> None:
    """Every parameter gets a finite gradient that is not all zero."""
    module.zero_grad()
    loss.backward()
    for name, parameter in module.named_parameters():
        assert parameter.grad is not None, name
        assert torch.isfinite(parameter.grad).all(), name
        assert parameter.grad.abs().sum() > 0, name


def check_decoder(decoder: nn.Module, memory: Memory, vocabulary: int) -> None:
    """Stepping equals teacher forcing, attention sums to 1 over what is present, absent positions change nothing,
    rows share a memory as if each had its own."""
    decoder.eval()
    generator = torch.Generator().manual_seed(1)
    studies = memory.features_BND.shape[0]
    tokens_BT = torch.randint(4, vocabulary, (studies, 6), generator=generator)
    with torch.no_grad():
        logits_BTV, attention_BTN = decoder(tokens_BT, memory)
        state = decoder.start(memory)
        for position in range(6):
            logits_BV, attention_BN, state = decoder.step(tokens_BT[:, position], state, memory)
            torch.testing.assert_close(logits_BV, logits_BTV[:, position])
            torch.testing.assert_close(attention_BN, attention_BTN[:, position])
        torch.testing.assert_close(attention_BTN.sum(-1), torch.ones(studies, 6))
        assert (attention_BTN[~memory.present_BN.unsqueeze(1).expand_as(attention_BTN)] == 0).all()

        noisy = memory._replace(
            features_BND=torch.where(memory.present_BN.unsqueeze(-1), memory.features_BND, torch.tensor(9.0))
        )
        torch.testing.assert_close(decoder(tokens_BT, noisy)[0], logits_BTV)

        beams = 3
        shared = decoder.start(memory, beams)
        own = memory.select(torch.arange(studies).repeat_interleave(beams))
        tokens_R = torch.randint(4, vocabulary, (studies * beams,), generator=generator)
        together, _, _ = decoder.step(tokens_R, shared, memory)
        alone, _, _ = decoder.step(tokens_R, decoder.start(own), own)
        torch.testing.assert_close(together, alone)


def check_encoder(encoder: nn.Module, size: int) -> None:
    """Maps of the widths and strides it states, in order; a gradient for every parameter; groups that hold all of
    it once; in evaluation mode a film alone as in a batch, and a black or a white one without what is no number."""
    generator = torch.Generator().manual_seed(2)
    films = torch.rand(3, size, size, generator=generator)
    maps = encoder.train()(films)
    loss = torch.zeros(())
    for scale, (features, width) in enumerate(zip(maps, encoder.widths, strict=True)):
        side = size // (encoder.stride * 2**scale)
        assert features.shape == (3, width, side, side)
        assert features.dtype == torch.float32 and torch.isfinite(features).all()
        loss = loss + (features * torch.randn(features.shape, generator=generator)).sum()
    check_gradients(encoder, loss)

    grouped = [parameter for group in encoder.groups() for layer in group for parameter in layer.parameters()]
    assert len(grouped) == len({id(parameter) for parameter in grouped})
    assert {id(parameter) for parameter in grouped} == {id(parameter) for parameter in encoder.parameters()}

    encoder.eval()
    with torch.no_grad():
        together = encoder(films)
        for index in range(3):
            for alone, all_ in zip(encoder(films[index : index + 1]), together, strict=True):
                torch.testing.assert_close(alone, all_[index : index + 1], atol=1e-4, rtol=1e-4)
        for level in (0.0, 1.0):
            assert all(torch.isfinite(one).all() for one in encoder(torch.full((1, size, size), level)))
