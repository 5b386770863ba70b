"""DINOv2, and RAD-DINO that was trained like it on chest X-rays: a vision transformer, by ``transformers``."""

from __future__ import annotations

import importlib
import importlib.util
import json
import pickle
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

import safetensors
import torch
from torch import Tensor, nn

from hilum.errors import InputError, MissingDependencyError
from hilum.models.encoders.protocol import EncoderShape, as_channels, norm_buffers

CONFIG = "config.json"
PREPROCESSOR = "preprocessor_config.json"
WEIGHTS = ("model.safetensors", "pytorch_model.bin")
EXPECTED = (
    f"a folder of a Dinov2Model as `save_pretrained` or a model hub has it is expected: {CONFIG}, {PREPROCESSOR} "
    f"and {WEIGHTS[0]} (or {WEIGHTS[1]})"
)
ARCHITECTURE = (
    "attention_probs_dropout_prob", "drop_path_rate", "hidden_act", "hidden_dropout_prob", "hidden_size",
    "image_size", "layer_norm_eps", "layerscale_value", "mlp_ratio", "num_attention_heads", "num_channels",
    "num_hidden_layers", "patch_size", "qkv_bias", "use_swiglu_ffn",
)  # fmt: skip
"""What of a model's configuration a run keeps: its shape, and nothing of the program that wrote it."""
BASE = {"image_size": 518, "patch_size": 14}
"""Where no weights say otherwise: ViT-B/14, as RAD-DINO and DINOv2-base."""
IMAGENET = EncoderShape((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
LEVELS = 255
_UNREADABLE = (OSError, ValueError, RuntimeError, KeyError, TypeError)


class Dinov2(nn.Module):
    """The patches' last hidden states, after the last norm, as one map; ViT-B/14: 768 channels at stride 14.

    Architecture: arXiv 2304.07193; RAD-DINO: arXiv 2401.10815. Positions are interpolated to the size of the
    film, as ``transformers`` does it. Raises MissingDependencyError where that is not installed.
    """

    def __init__(self, shape: EncoderShape = EncoderShape()) -> None:  # noqa: B008 - it is frozen
        super().__init__()
        transformers = _transformers()
        # Masks are for its own training only; a token without a gradient would be no part of ours.
        config = transformers.Dinov2Config(**(BASE | shape.transformer), use_mask_token=False)
        self.model = transformers.Dinov2Model(config)
        mean_C, std_C = norm_buffers(shape.mean or IMAGENET.mean, shape.std or IMAGENET.std)
        self.mean_C: Tensor
        self.std_C: Tensor
        self.register_buffer("mean_C", mean_C, persistent=False)
        self.register_buffer("std_C", std_C, persistent=False)
        self.stride = int(config.patch_size)
        self.widths = (int(config.hidden_size),)

    def forward(self, images_BHW: Tensor) -> tuple[Tensor, ...]:
        """See ``Encoder``."""
        rows, columns = (side // self.stride for side in images_BHW.shape[1:])
        hidden_BND = self.model(as_channels(images_BHW, self.mean_C, self.std_C)).last_hidden_state
        patches_BND = hidden_BND[:, 1:]  # the first is the class token
        return (patches_BND.transpose(1, 2).unflatten(2, (rows, columns)),)

    def groups(self) -> list[list[nn.Module]]:
        """See ``Encoder``: the embeddings, then one group a layer, the last with the last norm."""
        layers = list(self.model.encoder.layer)
        return [
            [self.model.embeddings],
            *([layer] for layer in layers[:-1]),
            [layers[-1], self.model.layernorm],
        ]


def read(folder: Path) -> tuple[dict[str, Tensor], EncoderShape, Path]:
    """A published folder as (state of a ``Dinov2``, its shape, its file of weights).

    Raises InputError where it is no folder of a Dinov2Model with three channels and its own normalisation, and
    MissingDependencyError where ``transformers`` is not installed.
    """
    if not folder.is_dir():
        raise InputError("it is no folder", where=folder, fix=EXPECTED)
    config, pixels = _json(folder / CONFIG), _json(folder / PREPROCESSOR)
    if config.get("model_type") != "dinov2":
        raise InputError(
            f"its model_type is {config.get('model_type')!r}", where=folder / CONFIG, fix=EXPECTED
        )
    if config.get("num_channels", 3) != 3:
        raise InputError(f"{config['num_channels']} channels, not 3", where=folder / CONFIG, fix=EXPECTED)
    weights = next((folder / name for name in WEIGHTS if (folder / name).is_file()), None)
    if weights is None:
        raise InputError("no file of weights in it", where=folder, fix=EXPECTED)
    kept = {name: config[name] for name in ARCHITECTURE if name in config}
    shape = EncoderShape(*_normalisation(pixels, folder / PREPROCESSOR), transformer=kept)
    transformers = _transformers()
    try:
        with _quiet(transformers):
            model, report = transformers.Dinov2Model.from_pretrained(
                folder, local_files_only=True, use_safetensors=weights.suffix == ".safetensors",
                output_loading_info=True, dtype=torch.float32,
            )  # fmt: skip
    except (*_UNREADABLE, safetensors.SafetensorError, pickle.UnpicklingError) as error:
        what = " ".join(str(error).split())[:200]
        raise InputError(f"it cannot be read ({what})", where=weights, fix=EXPECTED) from None
    absent = sorted({*map(str, report["missing_keys"]), *map(str, report["mismatched_keys"])})
    absent = [name for name in absent if name != "embeddings.mask_token"]
    if absent:
        raise InputError(f"{absent[0]} is missing or has another size", where=weights, fix=EXPECTED)
    state = {f"model.{name}": tensor for name, tensor in model.state_dict().items()}
    state.pop("model.embeddings.mask_token", None)
    return state, shape, weights


def available() -> bool:
    """Whether ``transformers`` is installed; it is not imported for that."""
    return importlib.util.find_spec("transformers") is not None


def _transformers() -> ModuleType:
    try:
        return importlib.import_module("transformers")
    except ImportError as error:
        raise MissingDependencyError(
            f"the encoder dinov2 needs the package transformers ({error})",
            fix="pip install 'hilum[transformers]'",
        ) from None


@contextmanager
def _quiet(transformers: ModuleType) -> Iterator[None]:
    """Without the bar and the report of what is loaded: what is wrong with it is said in our own line."""
    log = transformers.utils.logging
    verbosity, bar = log.get_verbosity(), log.is_progress_bar_enabled()
    log.set_verbosity_error()
    log.disable_progress_bar()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        log.set_verbosity(verbosity)
        if bar:
            log.enable_progress_bar()


def _normalisation(pixels: dict[str, Any], where: Path) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and deviation of each channel, over pixels in [0, 1]."""
    try:
        mean, std = (tuple(float(value) for value in pixels[name]) for name in ("image_mean", "image_std"))
        norm_buffers(mean, std)
    except (KeyError, TypeError, ValueError):
        raise InputError(
            "no image_mean and image_std of three channels in it", where=where, fix=EXPECTED
        ) from None
    if len(mean) != 3:
        raise InputError(f"image_mean has {len(mean)} values, not 3", where=where, fix=EXPECTED)
    factor = pixels.get("rescale_factor", 1 / LEVELS)
    if not isinstance(factor, int | float) or abs(factor * LEVELS - 1) > 1e-3:
        raise InputError(f"its rescale_factor is {factor}, not 1/{LEVELS}", where=where, fix=EXPECTED)
    return mean, std


def _json(path: Path) -> dict[str, Any]:
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InputError("it is not there", where=path, fix=EXPECTED) from None
    except (ValueError, UnicodeDecodeError) as error:
        raise InputError(f"it is no JSON ({error})", where=path, fix=EXPECTED) from None
    if not isinstance(value, dict):
        raise InputError("it is no JSON object", where=path, fix=EXPECTED)
    return value
