"""Files of published weights to tensors by name; what such a file brings is read, never run."""

from __future__ import annotations

import pickle
import warnings
from collections.abc import Mapping
from pathlib import Path

import safetensors
import safetensors.torch
import torch
from torch import Tensor

from hilum.errors import InputError
from hilum.models.encoders import pickled

_MODULES = {
    "torch.nn.modules": (
        "activation.ReLU", "batchnorm.BatchNorm2d", "container.Sequential", "conv.Conv2d", "linear.Linear",
        "pooling.AvgPool2d", "pooling.MaxPool2d",
    ),
    "torchxrayvision.models": ("DenseNet", "_DenseBlock", "_DenseLayer", "_Transition"),
}  # fmt: skip
"""What torchxrayvision's published files are made of: they hold a whole model and not its state."""
NESTED = ("state_dict", "model_state_dict", "model")
"""Where checkpoints keep the state among optimiser and epoch."""


class _Shell:
    """Stands for a module in a pickled model: it takes the module's attributes and can do nothing."""


def tensors(path: Path) -> dict[str, Tensor]:
    """Every named tensor of a ``.safetensors`` file or a PyTorch checkpoint, on the CPU.

    A checkpoint is read with ``weights_only=True``; where it holds a whole model of torchxrayvision, empty shells
    stand for its modules, and where PyTorch will not read it so, since it is too old, its pickle is read as data
    (``pickled``). Raises InputError where the file holds no tensors by name or anything else that would
    have to be run.
    """
    if path.suffix == ".safetensors":
        try:
            return dict(safetensors.torch.load_file(path))
        except (safetensors.SafetensorError, ValueError) as error:
            raise InputError(f"it cannot be read ({_line(error)})", where=path) from None
    shells = [(_Shell, f"{module}.{name}") for module, names in _MODULES.items() for name in names]
    try:
        with torch.serialization.safe_globals(shells), warnings.catch_warnings():  # type: ignore[arg-type]
            warnings.simplefilter("ignore")  # of old formats: what matters is said below
            loaded = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        if pickled.is_old(path):
            return _old_model(path)
        raise InputError(
            f"it is no plain file of weights ({_reason(error)})",
            where=path,
            fix="where the program that wrote it is installed, save `model.state_dict()` instead",
        ) from None
    except (RuntimeError, EOFError, ValueError, KeyError, AttributeError, TypeError) as error:
        raise InputError(f"it cannot be read as a PyTorch file ({_line(error)})", where=path) from None
    found = _named(loaded)
    if not found:
        raise InputError("it holds no tensors by name", where=path)
    return found


def fitted(
    given: Mapping[str, Tensor], wanted: Mapping[str, Tensor], prefix: str, where: Path, expected: str
) -> dict[str, Tensor]:
    """The tensors of ``given`` that ``wanted`` (a state dict) asks for, in float32.

    Counters of batches, which old files lack, are 0. Raises InputError, with what was ``expected``, where one is
    missing or has another shape, or where ``given`` holds more under ``prefix``.
    """
    state: dict[str, Tensor] = {}
    for name, like in wanted.items():
        if name.endswith("num_batches_tracked"):
            state[name] = torch.zeros((), dtype=torch.long)
            continue
        tensor = given.get(name)
        if tensor is None or tensor.shape != like.shape:
            found = "missing" if tensor is None else f"of {_size(tensor)}"
            raise InputError(f"{name} is {found}, not of {_size(like)}", where=where, fix=expected)
        if not torch.isfinite(tensor).all():
            raise InputError(f"{name} holds what is no number", where=where, fix="obtain the file anew")
        state[name] = tensor.float()
    further = sorted(name for name in given if name.startswith(prefix) and name not in wanted)
    if further:
        raise InputError(f"it holds {further[0]}, which is too much", where=where, fix=expected)
    return state


def _old_model(path: Path) -> dict[str, Tensor]:
    try:
        return pickled.model_state(path)
    except pickled.UnreadablePickle as error:
        raise InputError(
            f"it cannot be read as a model of before PyTorch 1.6 ({error})", where=path
        ) from None


def _named(loaded: object) -> dict[str, Tensor]:
    if isinstance(loaded, _Shell):
        return _state_of(loaded)
    if not isinstance(loaded, Mapping):
        return {}
    found = {str(name): value for name, value in loaded.items() if isinstance(value, Tensor)}
    if found:
        return found
    for name in NESTED:
        if name in loaded and (inner := _named(loaded[name])):
            return inner
    return {}


def _state_of(module: _Shell, prefix: str = "") -> dict[str, Tensor]:
    """The state dict of a module whose shell is all that is left."""
    state: dict[str, Tensor] = {}
    for kind in ("_parameters", "_buffers"):
        for name, value in (getattr(module, kind, None) or {}).items():
            if isinstance(value, Tensor):
                state[prefix + name] = value.detach()
    for name, child in (getattr(module, "_modules", None) or {}).items():
        if isinstance(child, _Shell):
            state |= _state_of(child, f"{prefix}{name}.")
    return state


def _size(tensor: Tensor) -> str:
    return " x ".join(map(str, tensor.shape)) or "one number"


def _reason(error: Exception) -> str:
    """What PyTorch's unpickler stumbled over, out of its page of advice (part of which is to run the file)."""
    text = str(error).partition("WeightsUnpickler error:")[2] or str(error)
    first = next((line for line in text.splitlines() if line.strip()), type(error).__name__)
    return first.strip().partition(". Please use")[0][:200]


def _line(error: Exception) -> str:
    return " ".join(str(error).split())[:200] or type(error).__name__
