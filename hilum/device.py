"""Where tensors are computed on: the processor, or a GPU where there is one.

What is drawn at random is drawn on the processor and moved, so that a seed means the same on every device. Results
agree between devices to rounding, not bit for bit.
"""

from __future__ import annotations

import os
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from functools import cache
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from threadpoolctl import ThreadpoolController
from torch import Tensor

from hilum.errors import InputError

CPU = torch.device("cpu")
SHARE = 0.4
"""An array is held on a GPU where it takes no more than this share of the memory that is free there."""


def choose(name: str = "auto") -> torch.device:
    """The device called ``auto`` (the first GPU where there is one), ``cpu``, ``cuda`` or ``cuda:N``.

    A GPU is told to compute the same twice (deterministic algorithms where it has them, no TF32). Several processes
    of one training (``torchrun``) take a GPU each. Raises InputError for another name, or a GPU that is not there.
    """
    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if name == "cpu" or (name == "auto" and not count):
        return CPU
    if name != "auto" and not re.fullmatch(r"cuda(:\d+)?", name):
        raise InputError(f"no device {name!r}", fix="there is: auto, cpu, cuda, cuda:N")
    index = int(name.partition(":")[2] or os.environ.get("LOCAL_RANK", "0"))
    if index >= count:
        what = f"PyTorch finds {count} GPUs" if count else "PyTorch finds no GPU that it can use"
        raise InputError(f"no device cuda:{index}: {what}", fix="give --device cpu, or see `hilum doctor`")
    # cuBLAS reads this when its first handle is made.
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    backends: Any = torch.backends
    for library in (backends.cuda.matmul, backends.cudnn.conv, backends.cudnn.rnn):
        library.fp32_precision = "ieee"
    torch.cuda.set_device(index)
    return torch.device("cuda", index)


def compute_alike(device: torch.device) -> None:
    """Asks for deterministic algorithms: on the processor always, on a GPU where there is one for an operation."""
    # What ``use_deterministic_algorithms`` sets, without the compiler that it imports (seconds).
    torch.set_deterministic_debug_mode("error" if device.type == "cpu" else "warn")


def free_bytes(device: torch.device) -> int:
    """Memory of a GPU that is not in use; 0 for the processor."""
    return torch.cuda.mem_get_info(device)[0] if device.type == "cuda" else 0


def lookup(array: NDArray[Any], device: torch.device) -> Callable[[Tensor], Tensor]:
    """A function from rows (any shape, int64, on the processor) to those rows of ``array``, on ``device``.

    On a GPU the whole array is held where it fits (``SHARE``); else rows are copied as they are asked for.
    """
    if array.nbytes <= SHARE * free_bytes(device):
        held = torch.from_numpy(np.array(array)).to(device)
        return lambda rows: held[rows.to(device)]
    return lambda rows: torch.from_numpy(array[rows.numpy()]).to(device)


@contextmanager
def one_thread() -> Iterator[None]:
    """Within it PyTorch and NumPy compute on one core. Where every operation is small, threads that meet after each
    one take longer than one alone: a draft of one study is a hundred such steps. And those of OpenBLAS wait for more
    in a loop, which takes a core from the encoder of the next study.

    Several threads may be within at once: each leaves with as many as there were before the first of them came.
    """
    limiting = _WITHIN.enter()
    try:
        with _linear_algebra().limit(limits=1, user_api="blas") if limiting else nullcontext():
            yield
    finally:
        _WITHIN.leave(limiting)


class _Within:
    """How many threads there are outside ``one_thread``, and whether somebody within has limited the libraries.

    PyTorch keeps a number a thread, but a thread that is new begins with the last one set anywhere: born while
    another is within, it would keep 1 for good. The libraries have one number for all: what a second caller found
    would be what the first has set. So only one at a time takes note and limits the libraries; whoever comes after it
    has left finds all as it was, since nobody within sets 1 again.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._threads = 1
        self._limited = False

    def enter(self) -> bool:
        """Whether the caller is to limit the libraries: nobody else does."""
        with self._lock:
            # Asked by each: what a thread sets before it has asked does not last.
            threads = torch.get_num_threads()
            limiting = not self._limited
            if limiting:
                self._threads, self._limited = threads, True
            torch.set_num_threads(1)
            return limiting

    def leave(self, limited: bool) -> None:
        """``limited`` as ``enter`` said."""
        with self._lock:
            torch.set_num_threads(self._threads)
            if limited:
                self._limited = False


_WITHIN = _Within()
"""The process's one, as the numbers that it looks after are the process's."""


@cache
def _linear_algebra() -> ThreadpoolController:
    """The libraries that NumPy and SciPy have loaded: looked for once, which takes milliseconds."""
    return ThreadpoolController()


def on_cpu(state: Any) -> Any:  # noqa: ANN401 - a tree of anything
    """``state`` (dicts, lists, tuples of anything) with its tensors on the processor: what is written to a file."""
    if isinstance(state, Tensor):
        return state.detach().to(CPU)
    if isinstance(state, dict):
        return {name: on_cpu(part) for name, part in state.items()}
    if isinstance(state, list | tuple):
        return type(state)(on_cpu(part) for part in state)
    return state
