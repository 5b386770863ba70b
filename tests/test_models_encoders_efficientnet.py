from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from hilum.models import encoders
from hilum.models.encoders import efficientnet, weights


@pytest.mark.parametrize(("name", "widths", "blocks"), [
    ("efficientnet-lite0", (112, 320), 16), ("efficientnet-lite1", (112, 320), 21),
    ("efficientnet-lite2", (120, 352), 21),
])  # fmt: skip
def test_published_weights_load_whole_and_see(name: str, widths: tuple[int, int], blocks: int) -> None:
    start = weights.find(name)
    encoder = efficientnet.lite(name)
    assert encoder.widths == widths and len(encoder._blocks) == blocks
    encoder.load_state_dict(start.state)
    (packaged,) = weights.of_encoder(name)
    published = torch.load(weights.from_package(packaged), weights_only=True)
    unused = set(published) - set(encoder.state_dict())
    assert {part.split(".")[0] for part in unused} == {"_conv_head", "_bn1", "_fc"}
    assert start.origin.sha256 == packaged.main.sha256 and start.origin.trained_on == "ImageNet"
    # Trained features spread; those of a random net of this depth collapse.
    with torch.no_grad():
        ramp = torch.linspace(0, 1, 224).expand(224, 224)
        features = encoder.eval()(torch.stack([ramp, ramp.T, torch.zeros(224, 224)]))[-1]
    assert features.flatten(1).std(1).min() > 0.1
    assert (features[0] - features[1]).abs().mean() > 0.05


def test_the_fine_map_is_the_last_at_stride_16() -> None:
    for name in efficientnet.SCALES:
        encoder = encoders.build(name).eval()
        assert isinstance(encoder, efficientnet.EfficientNetLite)
        with torch.no_grad():
            after = encoder._blocks[encoder.fine + 1](torch.zeros(1, encoder.widths[0], 4, 4))
        assert after.shape[-1] == 2


def test_same_padding_puts_the_odd_pixel_at_the_lower_right() -> None:
    """TensorFlow's rule written out: total = (ceil(n / s) - 1) s + k - n, the larger half after."""
    conv = efficientnet._SamePadConv(1, 1, 3, 2, bias=False)
    film = torch.rand(1, 1, 8, 11)
    # 8: (4 - 1) 2 + 3 - 8 = 1 -> 0 above, 1 below; 11: (6 - 1) 2 + 3 - 11 = 2 -> 1 and 1.
    wanted = F.conv2d(F.pad(film, [1, 1, 0, 1]), conv.weight, stride=2)
    torch.testing.assert_close(conv(film), wanted)
