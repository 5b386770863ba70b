"""Reading a PyTorch file from before version 1.6 that holds a whole model: its pickle as data, nothing of it called.

Such a file is four pickles (a magic number, a protocol, sizes, the model), the list of its storages and then their
bytes. PyTorch reads a state out of it with ``weights_only=True``, and refuses a model, whose classes are written down
with their source code. What torchxrayvision publishes was written so.
"""

from __future__ import annotations

import math
import pickletools
import struct
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import torch
from torch import Tensor

MAGIC = 0x1950A86A20F9469CFC6C
"""What such a file begins with."""
DEEPEST = 20
_DTYPES = {
    "DoubleStorage": np.float64, "FloatStorage": np.float32, "HalfStorage": np.float16, "LongStorage": np.int64,
    "IntStorage": np.int32, "ShortStorage": np.int16, "CharStorage": np.int8, "ByteStorage": np.uint8,
    "BoolStorage": np.bool_,
}  # fmt: skip
_CONSTANTS = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False}
_VALUES = (
    "BININT", "BININT1", "BININT2", "LONG1", "LONG4", "BINFLOAT", "BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8",
    "SHORT_BINSTRING", "BINSTRING", "BINBYTES", "SHORT_BINBYTES",
)  # fmt: skip
_EMPTY: dict[str, Callable[[], Any]] = {
    "EMPTY_DICT": dict, "EMPTY_LIST": list, "EMPTY_SET": set, "EMPTY_TUPLE": tuple
}  # fmt: skip
_TUPLES = {"TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3}


@dataclass(frozen=True, slots=True)
class Name:
    """A class or function that the pickle names; it is never looked up."""

    path: str


@dataclass(frozen=True, slots=True)
class Stored:
    """What the pickle keeps outside itself: a storage, or a class with its source code."""

    id: tuple[Any, ...]


@dataclass(slots=True, eq=False)
class Made:
    """What the pickle would have made by a call: of what, out of what, and the state and items it was given."""

    of: Any
    arguments: Any
    state: dict[str, Any] = field(default_factory=dict)
    items: dict[Any, Any] = field(default_factory=dict)


class UnreadablePickle(ValueError):  # noqa: N818 - the file is at fault
    """The pickle is damaged, or says something that no model's does."""


def is_old(path: Path) -> bool:
    """Whether the file at ``path`` begins as PyTorch's did before version 1.6."""
    with path.open("rb") as file:
        try:
            return bool(read(BytesIO(file.read(64))) == MAGIC)
        except UnreadablePickle:
            return False


def model_state(path: Path) -> dict[str, Tensor]:
    """The state dict of the model in such a file, by the names of its modules, parameters and buffers.

    Raises UnreadablePickle where it is damaged or holds no model.
    """
    with path.open("rb") as file:
        if read(file) != MAGIC:
            raise UnreadablePickle("it does not begin as such a file does")
        read(file), read(file)
        stored: list[Stored] = []
        model, keys = read(file, stored), read(file)
        if not isinstance(model, Made) or not isinstance(keys, list):
            raise UnreadablePickle("it holds no model")
        found = dict(_named(model, ""))
        dtypes = {str(one.id[2]): _dtype(one) for one in stored if one.id[0] == "storage"}
        storages: dict[str, Tensor] = {}
        for key in keys:
            head = file.read(8)
            if len(head) != 8:
                raise UnreadablePickle("its end is missing")
            (count,) = struct.unpack("<q", head)
            if str(key) not in dtypes:
                raise UnreadablePickle("it holds a storage that nothing uses")
            dtype = np.dtype(dtypes[str(key)])
            data = file.read(count * dtype.itemsize) if 0 <= count < 1 << 40 else b""
            if len(data) != count * dtype.itemsize:
                raise UnreadablePickle("its end is missing")
            storages[str(key)] = torch.from_numpy(np.frombuffer(data, dtype).copy())
    return {name: _tensor(storages, *parts) for name, parts in found.items()}


def read(file: BinaryIO, stored: list[Stored] | None = None) -> Any:  # noqa: ANN401 - a pickle holds anything
    """The next pickle of ``file`` as data: numbers, texts, lists, dicts, tuples, ``Name``, ``Stored`` and ``Made``.

    What is kept outside of it is also added to ``stored``.

    Raises UnreadablePickle where it is damaged or uses what PyTorch's old files do not.
    """
    stack: list[Any] = []
    marks: list[int] = []
    memo: dict[Any, Any] = {}

    def since_mark() -> list[Any]:
        start = marks.pop()
        some = stack[start:]
        del stack[start:]
        return some

    try:
        for opcode, argument, _ in pickletools.genops(file):
            name = opcode.name
            if name in _VALUES:
                stack.append(argument)
            elif name in _CONSTANTS:
                stack.append(_CONSTANTS[name])
            elif name in _EMPTY:
                stack.append(_EMPTY[name]())
            elif name in _TUPLES:
                stack[-_TUPLES[name] :] = [tuple(stack[-_TUPLES[name] :])]
            elif name == "MARK":
                marks.append(len(stack))
            elif name == "TUPLE":
                stack.append(tuple(since_mark()))
            elif name in ("BINPUT", "LONG_BINPUT"):
                memo[argument] = stack[-1]
            elif name in ("BINGET", "LONG_BINGET"):
                stack.append(memo[argument])
            elif name == "GLOBAL":
                stack.append(Name(str(argument).replace(" ", ".")))
            elif name == "BINPERSID":
                stack.append(Stored(tuple(stack.pop())))
                if stored is not None:
                    stored.append(stack[-1])
            elif name in ("REDUCE", "NEWOBJ"):
                arguments = stack.pop()
                stack[-1] = Made(stack[-1], arguments)
            elif name == "BUILD":
                state = stack.pop()
                if isinstance(state, dict):
                    stack[-1].state.update(state)
            elif name in ("SETITEM", "SETITEMS"):
                flat = since_mark() if name == "SETITEMS" else [stack.pop(-2), stack.pop()]
                target = stack[-1].items if isinstance(stack[-1], Made) else stack[-1]
                target.update(zip(flat[::2], flat[1::2], strict=True))
            elif name in ("APPEND", "APPENDS"):
                some = since_mark() if name == "APPENDS" else [stack.pop()]
                stack[-1].extend(some)
            elif name == "STOP":
                return stack.pop()
            elif name != "PROTO":
                raise UnreadablePickle(f"it uses {name}")
    except UnreadablePickle:
        raise
    except (IndexError, KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
        raise UnreadablePickle(f"it is damaged ({type(error).__name__})") from None
    raise UnreadablePickle("its end is missing")


_Parts = tuple[Stored, int, tuple[int, ...], tuple[int, ...]]
"""A tensor: its storage, where in it it begins, its size and its strides."""


def _named(module: Made, prefix: str) -> Iterable[tuple[str, _Parts]]:
    if prefix.count(".") > DEEPEST:
        raise UnreadablePickle("its modules are nested without end")
    for kind in ("_parameters", "_buffers"):
        for name, value in _entries(module.state.get(kind)):
            if isinstance(value, Made):
                yield f"{prefix}{name}", _parts(value)
    for name, child in _entries(module.state.get("_modules")):
        if isinstance(child, Made):
            yield from _named(child, f"{prefix}{name}.")


def _entries(value: object) -> Iterable[tuple[Any, Any]]:
    """Of a dict, or an OrderedDict that was never made."""
    return (value.items if isinstance(value, Made) else value if isinstance(value, dict) else {}).items()


def _parts(value: Made) -> _Parts:
    """Of a tensor, or of the tensor in a parameter."""
    match value:
        case Made(of=Name(path="torch._utils._rebuild_parameter"), arguments=(Made() as inner, *_)):
            return _parts(inner)
        case Made(
            of=Name(path="torch._utils._rebuild_tensor_v2" | "torch._utils._rebuild_tensor"),
            arguments=(Stored() as storage, int() as offset, tuple() as size, tuple() as stride, *_),
        ):
            return storage, offset, size, stride
        case Made(of=Stored() | Name(), arguments=(Made() as inner, *_)):
            return _parts(inner)
    raise UnreadablePickle(f"it makes a tensor by {value.of}")


def _dtype(stored: Stored) -> type[np.generic]:
    match stored.id:
        case ("storage", Name(path=path), _, _, _, None) if path.rpartition(".")[2] in _DTYPES:
            return _DTYPES[path.rpartition(".")[2]]
    raise UnreadablePickle(f"it stores numbers as {stored.id[:2]}")


def _tensor(
    storages: dict[str, Tensor], stored: Stored, offset: int, size: tuple[int, ...], stride: tuple[int, ...]
) -> Tensor:
    storage = storages.get(str(stored.id[2]))
    last = offset + sum((length - 1) * step for length, step in zip(size, stride, strict=False))
    if (
        storage is None or len(size) != len(stride) or min((offset, *size, *stride)) < 0
        or last >= len(storage) or math.prod(size) > len(storage)
    ):  # fmt: skip
        raise UnreadablePickle("a tensor lies outside its storage")
    return storage.as_strided(size, stride, offset).clone()
