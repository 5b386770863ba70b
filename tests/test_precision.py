from __future__ import annotations

import pytest
import torch
from torch import nn

from hilum.device import CPU
from hilum.precision import Arithmetic

GPU = torch.device("cuda", 0)


def test_what_auto_means(monkeypatch: pytest.MonkeyPatch) -> None:
    assert Arithmetic.choose("auto", CPU).dtype is torch.float32
    assert Arithmetic.choose("bfloat16", CPU).dtype is torch.bfloat16
    scalers = []
    monkeypatch.setattr(torch.amp, "GradScaler", lambda *given, enabled: scalers.append((*given, enabled)))
    for able, dtype in ((True, torch.bfloat16), (False, torch.float16)):
        monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda able=able: able)
        assert Arithmetic.choose("auto", GPU).dtype is dtype
        assert Arithmetic.choose("float32", GPU).dtype is torch.float32
    assert scalers == [("cuda", False), ("cuda", False), ("cuda", True), ("cuda", False)]


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_gradients_are_those_of_float32_but_for_rounding(dtype: torch.dtype) -> None:
    """A loss so small that its gradient in float16 is zero without scaling."""
    torch.manual_seed(0)
    layer, inputs = nn.Linear(8, 8), torch.randn(4, 8)
    wanted = torch.autograd.grad(1e-7 * layer(inputs).square().mean(), layer.weight)[0]
    arithmetic = Arithmetic.of(dtype, CPU)
    optimiser = torch.optim.SGD(layer.parameters(), lr=1.0)
    with arithmetic.forward():
        loss = 1e-7 * layer(inputs).float().square().mean()
    arithmetic.backward(loss)
    arithmetic.scaler.unscale_(optimiser)
    assert layer.weight.grad is not None and layer.weight.dtype is torch.float32
    size = wanted.abs().max()
    assert (layer.weight.grad - wanted).abs().max() <= (0 if dtype is torch.float32 else 0.05) * size


def test_a_step_with_an_infinite_gradient_is_left_out() -> None:
    layer = nn.Linear(2, 1)
    before = layer.weight.clone()
    arithmetic = Arithmetic.of(torch.float16, CPU)
    optimiser = torch.optim.SGD(layer.parameters(), lr=1.0)
    arithmetic.backward(layer(torch.full((1, 2), 1e38)).sum())
    arithmetic.scaler.unscale_(optimiser)
    arithmetic.scaler.step(optimiser)
    arithmetic.scaler.update()
    assert torch.equal(layer.weight, before) and arithmetic.scaler.get_scale() < 2.0**16
