from __future__ import annotations

import pytest
import torch
from torch import nn

from hilum.averaging import WeightAverage


def model() -> nn.Module:
    torch.manual_seed(0)
    made = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Linear(4, 1))
    made[2].requires_grad_(False)
    return made


def test_the_average_is_what_its_formula_says() -> None:
    made = model()
    average = WeightAverage(made, 0.6)
    by_hand = {name: one.clone() for name, one in made.state_dict().items()}
    optimiser = torch.optim.SGD([one for one in made.parameters() if one.requires_grad], lr=0.1)
    for step in range(20):
        optimiser.zero_grad()
        made(torch.randn(5, 3)).square().mean().backward()
        optimiser.step()
        average.update(step)
        keep = min(0.6, (1 + step) / (10 + step))
        for name, one in made.state_dict().items():
            if one.is_floating_point():
                by_hand[name] = keep * by_hand[name] + (1 - keep) * one
    own = {name: one.clone() for name, one in made.state_dict().items()}
    with average.applied():
        for name, one in made.state_dict().items():
            if name == "1.num_batches_tracked":
                assert one == 20
            else:
                torch.testing.assert_close(one, by_hand[name])
        assert not torch.equal(made.state_dict()["1.running_mean"], own["1.running_mean"])
        assert torch.equal(made.state_dict()["2.weight"], own["2.weight"])  # is not trained
    for name, one in made.state_dict().items():
        assert torch.equal(one, own[name]), name


def test_the_weights_come_back_after_a_failure_too() -> None:
    made = model()
    average = WeightAverage(made, 0.9)
    with torch.no_grad():
        made[0].weight.add_(1.0)
    own = made[0].weight.clone()
    with pytest.raises(RuntimeError, match="while validating"), average.applied():
        assert not torch.equal(made[0].weight, own)
        raise RuntimeError("while validating")
    assert torch.equal(made[0].weight, own)


def test_a_saved_average_is_taken_up_exactly() -> None:
    made = model()
    average, again = WeightAverage(made, 0.9), WeightAverage(made, 0.9)
    with torch.no_grad():
        made[0].weight.add_(1.0)
    average.update(3)
    again.load({name: one.clone() for name, one in average.state().items()})
    for name, one in average.state().items():
        assert torch.equal(again.state()[name], one)
    with pytest.raises(KeyError):
        again.load({})


@pytest.mark.parametrize("decay", [0.0, 1.0, -0.5, 2.0])
def test_a_decay_is_between_0_and_1(decay: float) -> None:
    with pytest.raises(ValueError, match="is not between 0 and 1"):
        WeightAverage(model(), decay)
