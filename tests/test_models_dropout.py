from __future__ import annotations

import pytest
import torch

from hilum.models.dropout import Dropout


@pytest.mark.parametrize("p", [0.05, 0.3, 0.5, 0.9])
def test_as_much_is_dropped_as_was_asked_and_the_mean_stays(p: float) -> None:
    torch.manual_seed(0)
    x = torch.ones(400, 1003)  # no multiple of four
    found = Dropout(p).train()(x)
    assert found.shape == x.shape and found.unique().tolist() == pytest.approx([0.0, 1 / (1 - p)], rel=1e-4)
    count = x.numel()
    assert (found == 0).double().mean().item() == pytest.approx(
        p, abs=5 * (p * (1 - p) / count) ** 0.5 + 1e-5
    )
    assert found.mean().item() == pytest.approx(1.0, abs=5 * (p / (1 - p) / count) ** 0.5 + 1e-5)


def test_coins_are_independent() -> None:
    """Neighbours come from one random number; each pair falls together as often as chance has it."""
    torch.manual_seed(1)
    kept = Dropout(0.3).train()(torch.ones(250_000, 4)) > 0
    for first in range(4):
        for second in range(first):
            both = (kept[:, first] & kept[:, second]).double().mean().item()
            assert both == pytest.approx(0.49, abs=0.005)
    for column in kept.T:
        assert (column[1:] & column[:-1]).double().mean().item() == pytest.approx(0.49, abs=0.005)


def test_what_is_kept_alone_gets_a_gradient() -> None:
    torch.manual_seed(2)
    x = torch.ones(50, 7, dtype=torch.float64, requires_grad=True)
    found = Dropout(0.4).train()(x)
    (gradient,) = torch.autograd.grad(found.sum(), x)
    torch.testing.assert_close(gradient, found.detach())


def test_the_same_seed_gives_the_same_and_the_state_moves_on() -> None:
    drop, x = Dropout(0.5).train(), torch.ones(30, 30)
    torch.manual_seed(3)
    first, second = drop(x), drop(x)
    torch.manual_seed(3)
    assert torch.equal(drop(x), first) and not torch.equal(first, second)


def test_nothing_is_dropped_where_nothing_is_learnt_or_nothing_was_asked() -> None:
    x = torch.ones(3)
    assert Dropout(0.5).eval()(x) is x
    assert Dropout(0.0).train()(x) is x


@pytest.mark.parametrize("p", [-0.1, 1.0, float("nan")])
def test_no_other_probability(p: float) -> None:
    with pytest.raises(ValueError, match="not in"):
        Dropout(p)
