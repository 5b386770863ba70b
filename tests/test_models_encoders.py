from __future__ import annotations

import pytest
import torch

from hilum.models import encoders
from hilum.models.encoders.densenet import XRAY
from hilum.models.encoders.protocol import EncoderShape, as_channels, norm_buffers
from tests.contracts import check_encoder

TINY_DINOV2 = EncoderShape(
    transformer={
        "hidden_size": 24, "num_hidden_layers": 2, "num_attention_heads": 2, "image_size": 56, "patch_size": 14,
        "mlp_ratio": 2,
    }
)  # fmt: skip


@pytest.mark.parametrize(
    ("name", "shape", "size"),
    [
        ("efficientnet-lite0", EncoderShape(), 64),
        ("efficientnet-lite1", EncoderShape(), 64),
        ("efficientnet-lite2", EncoderShape(), 64),
        ("densenet-121", EncoderShape(), 64),
        ("densenet-121", XRAY, 64),
        ("dinov2", TINY_DINOV2, 70),
        ("small-cnn", EncoderShape(), 64),
    ],
)
def test_contract(name: str, shape: EncoderShape, size: int) -> None:
    torch.manual_seed(0)
    check_encoder(encoders.build(name, shape), size)


def test_every_encoder_has_a_contract() -> None:
    (mark,) = test_contract.pytestmark  # type: ignore[attr-defined]
    assert {name for name, *_ in mark.args[1]} == set(encoders.NAMES)


def test_an_unknown_name_is_refused() -> None:
    with pytest.raises(ValueError, match="no encoder 'resnet'"):
        encoders.build("resnet")


def test_a_film_fills_every_channel_less_mean_over_deviation() -> None:
    film = torch.rand(2, 4, 5)
    mean, std = norm_buffers((0.5, 0.2), (0.25, 2.0))
    channels = as_channels(film, mean, std)
    torch.testing.assert_close(channels, torch.stack([(film - 0.5) / 0.25, (film - 0.2) / 2.0], 1))
    for mean_C, std_C in (((0.5,), (0.1, 0.1)), ((), ()), ((0.5,), (0.0,))):
        with pytest.raises(ValueError, match="no normalisation"):
            norm_buffers(mean_C, std_C)


def test_xray_pixels_run_from_minus_1024_to_1024() -> None:
    black_and_white = torch.tensor([[[0.0, 1.0, 0.5]]])
    mapped = as_channels(black_and_white, *norm_buffers(XRAY.mean, XRAY.std))
    assert mapped.flatten().tolist() == [-1024.0, 1024.0, 0.0]
