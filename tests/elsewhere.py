"""A device that is not there: a tensor made in the wrong place fails on a machine without a GPU as it would with one.

Within ``pretended()`` there is a ``cuda:0``. What is made on it or moved to it is an ``Elsewhere``: a tensor that
computes on the processor, says that it lies on the GPU, refuses to become an array, and refuses to meet a tensor of
the processor (one with axes; a number is welcome anywhere, as in CUDA). Random numbers for it cannot come from a
generator of the processor.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

GPU = torch.device("cuda", 0)
GRADIENT = Tensor.grad.__get__
WELCOME = {"__get__", "__set__", "__repr__", "copy_"}
"""What may be asked of tensors of both places: their properties, and to be copied from one to the other."""


class Elsewhere(Tensor):
    """A tensor that says it is on a GPU."""

    @property
    def device(self) -> torch.device:  # type: ignore[override]
        return GPU

    @property
    def is_cuda(self) -> bool:  # type: ignore[override]
        return True

    def numpy(self, *_: Any, **__: Any) -> Any:
        raise TypeError("can't convert cuda:0 device type tensor to numpy")

    def __array__(self, *_: Any, **__: Any) -> Any:
        raise TypeError("can't convert cuda:0 device type tensor to numpy")

    def cpu(self) -> Tensor:  # type: ignore[override]
        return here(self)

    @classmethod
    def __torch_function__(
        cls, func: Callable[..., Any], types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        kwargs = kwargs or {}
        name = getattr(func, "__name__", "")
        with torch._C.DisableTorchFunctionSubclass():
            given = [one for one in tensors((args, kwargs)) if one.dim()]
        if name in ("__getitem__", "__setitem__") and isinstance(args[0], Elsewhere):
            given = given[:1]  # indexes of the processor are welcome
        if name not in WELCOME and {isinstance(one, Elsewhere) for one in given} == {True, False}:
            raise RuntimeError(f"Expected all tensors to be on the same device ({name})")
        answer = super().__torch_function__(func, types, args, kwargs)
        return there(answer) if func == GRADIENT and answer is not None else answer


def tensors(tree: Any) -> Iterator[Tensor]:
    if isinstance(tree, Tensor):
        yield tree
    elif isinstance(tree, dict):
        yield from tensors(list(tree.values()))
    elif isinstance(tree, list | tuple):
        for one in tree:
            yield from tensors(one)


def there(tensor: Tensor) -> Tensor:
    with torch._C.DisableTorchFunctionSubclass():
        return tensor if isinstance(tensor, Elsewhere) else tensor.as_subclass(Elsewhere)


def here(tensor: Tensor) -> Tensor:
    with torch._C.DisableTorchFunctionSubclass():
        return tensor.as_subclass(Tensor)


class _Moving(TorchFunctionMode):
    """Answers every request for the GPU that is not there."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = dict(kwargs or {})
        name = getattr(func, "__name__", "")
        if name == "to" and isinstance(args[0], Tensor):
            goal, dtype = args[0].device, None
            for one in (*args[1:], *kwargs.values()):
                like = isinstance(one, Tensor)
                goal = one.device if like else _place(one) or goal
                dtype = one.dtype if like else one if isinstance(one, torch.dtype) else dtype
            moved = here(args[0]) if goal == args[0].device else here(args[0]).clone()
            moved = moved if dtype is None else func(moved, dtype)
            return there(moved) if goal == GPU else moved
        place = _place(kwargs.get("device"))
        if place is not None:
            if place == GPU and kwargs.get("generator") is not None:
                raise RuntimeError("Expected a 'cuda' device type for generator but found 'cpu'")
            kwargs["device"] = "cpu"
            made = func(*(here(one) if isinstance(one, Tensor) else one for one in args), **kwargs)
            return there(made) if place == GPU else made
        return func(*args, **kwargs)


def _place(given: Any) -> torch.device | None:
    if isinstance(given, torch.device):
        return given
    if isinstance(given, str) and given.partition(":")[0] in ("cpu", "cuda"):
        return GPU if given.startswith("cuda") else torch.device("cpu")
    return None


@contextmanager
def pretended(monkeypatch: pytest.MonkeyPatch, free: int = 0) -> Iterator[torch.device]:
    """Within it there is a GPU with ``free`` bytes, as far as tensors are concerned. Modules can be moved to it."""
    with monkeypatch.context() as patch, _Moving():
        patch.setattr(torch.nn.Module, "_apply", _apply)
        patch.setattr(torch.backends.cudnn, "is_acceptable", lambda _: False)
        patch.setattr(torch.cuda, "mem_get_info", lambda _: (free, 2 * free))
        yield GPU


def _apply(
    module: torch.nn.Module,
    change: Callable[[Tensor], Tensor],
    recurse: bool = True,
    made: dict[Tensor, torch.nn.Parameter] | None = None,
) -> Any:
    """``Module._apply`` that replaces parameters: assigning to their data would keep their class. One that stands in
    two places still does."""
    made = {} if made is None else made
    for child in module.children():
        _apply(child, change, recurse, made)
    for name, parameter in module._parameters.items():
        if parameter is not None:
            if parameter not in made:
                changed = torch.nn.Parameter(change(parameter.detach()), parameter.requires_grad)
                made[parameter] = made[changed] = changed
            module._parameters[name] = made[parameter]
    for name, buffer in module._buffers.items():
        if buffer is not None:
            module._buffers[name] = change(buffer)
    return module
