"""Small stand-ins for published weights, in the layouts they are published in."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from hilum.models.encoders.densenet import IMAGENET, XRAY, DenseNet121
from hilum.models.encoders.protocol import EncoderShape

PATCH = 14


def densenet_state(shape: EncoderShape = IMAGENET, seed: int = 0) -> dict[str, Tensor]:
    """A DenseNet-121 with random weights whose norms have seen films in the range of ``shape``."""
    torch.manual_seed(seed)
    net = DenseNet121(shape)
    with torch.no_grad():
        for part in net.modules():
            if isinstance(part, torch.nn.BatchNorm2d):
                part.momentum = None  # the mean of all that is seen
                part.weight.uniform_(0.8, 1.2)
                part.bias.uniform_(-0.2, 0.2)
        films = torch.nn.functional.interpolate(torch.rand(6, 1, 8, 8), size=(64, 64), mode="bicubic")
        net.train()(films[:, 0].clamp(0, 1))
    return net.state_dict()


def torchvision_layout(state: dict[str, Tensor], *, old: bool) -> dict[str, Tensor]:
    """With a classifier of 1,000; ``old``: the spelling of the files that are online, without batch counters."""
    named = dict(state)
    if old:
        named = {
            name.replace("norm1.", "norm.1.").replace("norm2.", "norm.2.").replace("conv1.", "conv.1.")
            .replace("conv2.", "conv.2.") if "denselayer" in name else name: tensor
            for name, tensor in state.items() if not name.endswith("num_batches_tracked")
        }  # fmt: skip
    return named | {"classifier.weight": torch.zeros(1000, 1024), "classifier.bias": torch.zeros(1000)}


def chexnet_checkpoint(state: dict[str, Tensor]) -> dict[str, Any]:
    """As arnoweng/CheXNet's: of a DataParallel, among what else training keeps."""
    named = torchvision_layout(state, old=True)
    del named["classifier.weight"], named["classifier.bias"]
    inner = {f"module.densenet121.{name}": tensor for name, tensor in named.items()}
    inner["module.densenet121.classifier.0.weight"] = torch.zeros(14, 1024)
    inner["module.densenet121.classifier.0.bias"] = torch.zeros(14)
    return {"epoch": 7, "state_dict": inner, "best_AUROC": 0.84, "optimizer": {"state": {}}}


def xrv_state(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """As torchxrayvision's state: one channel, 18 outputs and their operating points."""
    assert state["features.conv0.weight"].shape[1] == len(XRAY.mean)
    return state | {
        "classifier.weight": torch.zeros(18, 1024), "classifier.bias": torch.zeros(18),
        "op_threshs": torch.full((18,), 0.5),
    }  # fmt: skip


def dinov2_folder(folder: Path, *, side: int = 4, seed: int = 0) -> Path:
    """A tiny Dinov2Model with random weights, positions for ``side`` x ``side`` patches, as a hub's folder has it."""
    import transformers

    torch.manual_seed(seed)
    config = transformers.Dinov2Config(
        hidden_size=24, num_hidden_layers=3, num_attention_heads=3, image_size=side * PATCH, patch_size=PATCH,
        mlp_ratio=2,
    )  # fmt: skip
    model = transformers.Dinov2Model(config)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    model.save_pretrained(folder)
    pixels = {
        "image_mean": [0.5307] * 3,
        "image_std": [0.2583] * 3,
        "rescale_factor": 1 / 255,
        "do_rescale": True,
    }
    (folder / "preprocessor_config.json").write_text(json.dumps(pixels))
    return folder
