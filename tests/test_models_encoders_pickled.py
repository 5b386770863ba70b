from __future__ import annotations

import io
import pickle
import random
import sys
import warnings
from collections import OrderedDict
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from hilum.errors import InputError
from hilum.models.encoders import files, pickled
from hilum.models.encoders.pickled import Made, Name, UnreadablePickle


class OldModel(nn.Module):
    """With everything that a published model brings: shared and strided tensors, half precision, other attributes."""

    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Sequential(
            OrderedDict(conv0=nn.Conv2d(1, 4, 3, bias=False), norm0=nn.BatchNorm2d(4), relu0=nn.ReLU())
        )
        self.classifier = nn.Linear(4, 18).half()
        self.register_buffer("op_threshs", None)
        self.register_buffer("turned", torch.arange(6).view(2, 3).T)
        self.register_buffer("part", torch.arange(10.0)[3:5])
        self.pathologies, self.seen = ["Cardiomegaly"], {"NIH"}
        self.table, self.free = np.arange(3.0), torch.ones(2, dtype=torch.float64)


@pytest.fixture(scope="module")
def old(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, OldModel]:
    """A whole model as PyTorch wrote it before version 1.6, its class in a module that is gone when it is read."""
    path = tmp_path_factory.mktemp("old") / "best.pt"
    published = ModuleType("torchxrayvision.models")
    published.OldModel = OldModel  # type: ignore[attr-defined]
    torch.manual_seed(0)
    model = OldModel()
    with pytest.MonkeyPatch.context() as there, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        there.setitem(sys.modules, "torchxrayvision", ModuleType("torchxrayvision"))
        there.setitem(sys.modules, "torchxrayvision.models", published)
        there.setattr(OldModel, "__module__", "torchxrayvision.models")
        torch.save(model, path, _use_new_zipfile_serialization=False)
    return path, model


def test_a_whole_model_of_before_pytorch_1_6(old: tuple[Path, OldModel]) -> None:
    path, model = old
    assert pickled.is_old(path)
    with pytest.raises(pickle.UnpicklingError):
        torch.load(path, weights_only=True)
    for state in (pickled.model_state(path), files.tensors(path)):
        wanted = model.state_dict()
        assert set(state) == set(wanted)
        for name, tensor in wanted.items():
            assert state[name].dtype == tensor.dtype and torch.equal(state[name], tensor), name


@settings(max_examples=50)
@given(st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner) | st.tuples(inner, inner, inner, inner)
    | st.tuples(inner) | st.tuples(),
    max_leaves=12,
))  # fmt: skip
def test_plain_data_is_read_as_python_reads_it(value: object) -> None:
    data = pickle.dumps(value, protocol=2)
    file = io.BytesIO(data + b"rest")
    assert pickled.read(file) == value
    assert file.read() == b"rest"


def test_what_a_pickle_names_is_never_called() -> None:
    class Evil:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return sys.exit, ("run",)

    said = pickled.read(io.BytesIO(pickle.dumps([Evil()], protocol=2)))
    (made,) = said
    assert isinstance(made, Made) and made.of == Name("sys.exit") and made.arguments == ("run",)


def test_damage_is_said_and_nothing_else_happens(old: tuple[Path, OldModel], tmp_path: Path) -> None:
    """Cut anywhere, or with bytes changed: it reads, or it says so; no other error, whatever the bytes are."""
    data, rng, path = old[0].read_bytes(), random.Random(0), tmp_path / "bad.pt"
    refused = 0
    for trial in range(120):
        bad = bytearray(data[: rng.randrange(len(data))] if trial % 2 else data)
        for _ in range(0 if trial % 2 else 3):
            bad[rng.randrange(len(bad))] = rng.randrange(256)
        path.write_bytes(bad)
        try:
            pickled.model_state(path)
        except UnreadablePickle:
            refused += 1
    assert refused > 60
    path.write_bytes(data[:-100])
    with pytest.raises(
        InputError, match=r"bad\.pt: it cannot be read as a model of before .*its end is missing"
    ):
        files.tensors(path)


def test_modules_within_themselves_are_refused() -> None:
    module = Made(Name("M"), ())
    module.state["_modules"] = {"again": module}
    with pytest.raises(UnreadablePickle, match="without end"):
        dict(pickled._named(module, ""))


def test_a_tensor_stays_within_its_storage() -> None:
    stored = pickled.Stored(("storage", Name("torch.FloatStorage"), "0", "cpu", 4, None))
    storages = {"0": torch.arange(4.0)}
    assert pickled._tensor(storages, stored, 1, (3,), (1,)).tolist() == [1.0, 2.0, 3.0]
    for offset, size, stride in ((2, (3,), (1,)), (0, (1000,), (0,)), (-1, (2,), (1,)), (0, (2,), (1, 1))):
        with pytest.raises(UnreadablePickle, match="outside its storage"):
            pickled._tensor(storages, stored, offset, size, stride)
