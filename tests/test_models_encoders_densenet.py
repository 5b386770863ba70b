from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor

from hilum.errors import InputError
from hilum.models.encoders import densenet
from hilum.models.encoders.densenet import IMAGENET, XRAY, DenseNet121
from hilum.models.encoders.protocol import EncoderShape
from tests import encoders_made as made

HERE = Path("weights.pt")


@pytest.fixture(scope="module")
def imagenet() -> dict[str, Tensor]:
    return made.densenet_state()


@pytest.fixture(scope="module")
def xray() -> dict[str, Tensor]:
    return made.densenet_state(XRAY)


@pytest.mark.parametrize("shape", [IMAGENET, XRAY], ids=["three channels", "one channel"])
def test_equals_monais(shape: EncoderShape) -> None:
    """The same weights in MONAI's DenseNet121, fed with the pixels that the layout asks for: the same maps.

    In double precision, where 121 layers summed in another order still agree.
    """
    from monai.networks.nets import DenseNet121 as Independent

    state = made.densenet_state(shape)
    independent = Independent(spatial_dims=2, in_channels=len(shape.mean), out_channels=3).double().eval()
    theirs = {re.sub(r"(denselayer\d+)\.", r"\1.layers.", name): tensor for name, tensor in state.items()}
    missing, unexpected = independent.load_state_dict(theirs, strict=False)
    assert not unexpected and {name.split(".")[0] for name in missing} == {"class_layers"}
    caught: list[Tensor] = []
    independent.features.transition3.relu.register_forward_hook(
        lambda *given: caught.append(given[2].clone())
    )
    ours = DenseNet121(shape).double().eval()
    ours.load_state_dict(state)
    films = torch.rand(2, 64, 64, dtype=torch.float64)
    pixels = torch.stack(
        [(films - mean) / std for mean, std in zip(ours.mean_C, ours.std_C, strict=True)], dim=1
    )
    with torch.no_grad():
        fine, coarse = ours(films)
        torch.testing.assert_close(coarse, torch.relu(independent.features(pixels)), atol=1e-9, rtol=1e-9)
    torch.testing.assert_close(fine, caught[0], atol=1e-9, rtol=1e-9)
    assert coarse.std() > 0.05


@pytest.mark.parametrize(("layout", "published"), [
    ("torchvision", lambda state: made.torchvision_layout(state, old=True)),
    ("torchvision", lambda state: made.torchvision_layout(state, old=False)),
    ("chexnet", lambda state: made.chexnet_checkpoint(state)["state_dict"]),
], ids=["torchvision, old names", "torchvision, new names", "chexnet"])  # fmt: skip
def test_three_channel_layouts(
    layout: str, published: Callable[[dict[str, Tensor]], dict[str, Tensor]], imagenet: dict[str, Tensor]
) -> None:
    state, shape, found = densenet.read(published(imagenet), HERE)
    assert found == layout and shape == IMAGENET
    assert set(state) == set(imagenet)
    for name, tensor in imagenet.items():
        if not name.endswith("num_batches_tracked"):
            assert torch.equal(state[name], tensor), name


def test_torchxrayvisions_layout(xray: dict[str, Tensor]) -> None:
    state, shape, layout = densenet.read(made.xrv_state(xray), HERE)
    assert layout == "torchxrayvision" and shape == XRAY
    DenseNet121(shape).load_state_dict(state)


def test_weights_of_other_pixels_are_refused(imagenet: dict[str, Tensor], xray: dict[str, Tensor]) -> None:
    """A one-channel file that learnt from normalised pixels, a three-channel one from -1024 to 1024."""
    grey = imagenet | {"features.conv0.weight": imagenet["features.conv0.weight"].sum(1, keepdim=True)}
    with pytest.raises(
        InputError, match="from -1024 to 1024, but its first norm shows inputs that spread by"
    ):
        densenet.read(grey, HERE)
    colour = xray | {"features.conv0.weight": xray["features.conv0.weight"].expand(-1, 3, -1, -1) / 3}
    with pytest.raises(InputError, match="normalised to about 1, but its first norm"):
        densenet.read(colour, HERE)


def test_the_spread_of_the_pixels_is_read_off_the_first_norm(
    imagenet: dict[str, Tensor], xray: dict[str, Tensor]
) -> None:
    assert 0.05 < densenet._spread(imagenet) < densenet.NORMALISED / 2
    assert densenet._spread(xray) > densenet.NORMALISED * 10


def test_what_is_no_densenet_121_is_one_line(imagenet: dict[str, Tensor]) -> None:
    deeper = imagenet | {"features.denseblock3.denselayer25.norm1.weight": torch.zeros(1)}
    shorter = {name: tensor for name, tensor in imagenet.items() if name != "features.norm5.bias"}
    wider = imagenet | {"features.denseblock1.denselayer1.conv1.weight": torch.zeros(192, 96, 1, 1)}
    broken = imagenet | {"features.norm0.bias": torch.full((64,), torch.nan)}
    for tensors, said in (
        ({"layer1.0.conv1.weight": torch.zeros(64, 64, 1, 1)}, "it holds no DenseNet-121"),
        (deeper, r"it holds features.denseblock3.denselayer25.norm1.weight, which is too much"),
        (shorter, r"features.norm5.bias is missing, not of 1024"),
        (wider, r"conv1.weight is of 192 x 96 x 1 x 1, not of 128 x 64 x 1 x 1"),
        (broken, r"features.norm0.bias holds what is no number"),
    ):
        with pytest.raises(InputError, match=said) as caught:
            densenet.read(tensors, HERE)
        assert "\n" not in str(caught.value) and str(caught.value).startswith("weights.pt: ")
