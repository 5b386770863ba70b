from __future__ import annotations

import pickle
import sys
from collections import OrderedDict
from pathlib import Path
from types import ModuleType

import pytest
import safetensors.torch
import torch
from torch import Tensor, nn

from hilum.errors import InputError
from hilum.models.encoders import files


def state() -> dict[str, Tensor]:
    torch.manual_seed(0)
    return {"features.conv0.weight": torch.randn(4, 1, 3, 3), "classifier.bias": torch.randn(2)}


def same(one: dict[str, Tensor], other: dict[str, Tensor]) -> bool:
    return set(one) == set(other) and all(torch.equal(one[name], other[name]) for name in one)


@pytest.mark.parametrize("zipped", [True, False], ids=["zip", "before PyTorch 1.6"])
def test_states_and_checkpoints(tmp_path: Path, zipped: bool) -> None:
    for name, content in (
        ("state.pth", state()),
        ("ordered.pth", OrderedDict(state())),
        ("checkpoint.pth.tar", {"epoch": 3, "state_dict": state(), "optimizer": {"state": {}}}),
        ("nested.pt", {"model": {"state_dict": state()}}),
    ):
        torch.save(content, tmp_path / name, _use_new_zipfile_serialization=zipped)
        assert same(files.tensors(tmp_path / name), state())


def test_safetensors(tmp_path: Path) -> None:
    safetensors.torch.save_file(state(), tmp_path / "weights.safetensors")
    assert same(files.tensors(tmp_path / "weights.safetensors"), state())
    (tmp_path / "cut.safetensors").write_bytes((tmp_path / "weights.safetensors").read_bytes()[:50])
    with pytest.raises(InputError, match=r"cut\.safetensors: it cannot be read"):
        files.tensors(tmp_path / "cut.safetensors")


class DenseNet(nn.Module):
    """Under the name of torchxrayvision's, when it is pickled."""

    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Sequential(
            OrderedDict(conv0=nn.Conv2d(1, 4, 3, bias=False), norm0=nn.BatchNorm2d(4), relu0=nn.ReLU())
        )
        self.classifier = nn.Linear(4, 18)
        self.register_buffer("op_threshs", None)
        self.pathologies = ["Cardiomegaly"]


@pytest.fixture
def pickled_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, dict[str, Tensor]]:
    """A whole model, as torchxrayvision publishes it; the package itself is not there when it is read."""
    published = ModuleType("torchxrayvision.models")
    published.DenseNet = DenseNet  # type: ignore[attr-defined]
    with monkeypatch.context() as there:
        there.setitem(sys.modules, "torchxrayvision", ModuleType("torchxrayvision"))
        there.setitem(sys.modules, "torchxrayvision.models", published)
        there.setattr(DenseNet, "__module__", "torchxrayvision.models")
        model = DenseNet()
        torch.save(model, tmp_path / "best.pt")
    return tmp_path / "best.pt", model.state_dict()


def test_a_whole_pickled_model_of_torchxrayvision(pickled_model: tuple[Path, dict[str, Tensor]]) -> None:
    path, wanted = pickled_model
    assert "torchxrayvision" not in sys.modules
    assert same(files.tensors(path), wanted)
    assert not any(isinstance(tensor, nn.Parameter) for tensor in files.tensors(path).values())


class Evil:
    """Pickled code: unpickling it would write a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, tuple[object, ...]]:
        return Path.touch, (self.path,)


def test_nothing_in_a_file_is_run(tmp_path: Path) -> None:
    torch.save({"state_dict": state(), "note": Evil(tmp_path / "run")}, tmp_path / "evil.pt")
    (tmp_path / "evil.pkl").write_bytes(pickle.dumps({"w": Evil(tmp_path / "run")}, protocol=2))
    for name in ("evil.pt", "evil.pkl"):
        with pytest.raises(InputError, match=r"evil\.\w+: it ") as caught:
            files.tensors(tmp_path / name)
        assert "\n" not in str(caught.value) and "weights_only" not in str(caught.value)
        assert not (tmp_path / "run").exists()


def test_what_holds_no_tensors_is_one_line(tmp_path: Path) -> None:
    torch.save([torch.zeros(2)], tmp_path / "list.pt")
    (tmp_path / "page.pt").write_text("<html>404</html>")
    (tmp_path / "empty.pt").write_bytes(b"")
    torch.save(state(), tmp_path / "whole.pt")
    (tmp_path / "cut.pt").write_bytes((tmp_path / "whole.pt").read_bytes()[:300])
    for name in ("list", "page", "empty", "cut"):
        with pytest.raises(InputError, match=rf"{name}\.pt: it ") as caught:
            files.tensors(tmp_path / f"{name}.pt")
        assert "\n" not in str(caught.value)


def test_half_precision_and_missing_counters_are_filled_in() -> None:
    wanted = {"a": torch.zeros(2), "n.num_batches_tracked": torch.zeros((), dtype=torch.long)}
    found = files.fitted({"a": torch.ones(2).half()}, wanted, "x.", Path("f"), "expected")
    assert found["a"].dtype == torch.float32 and found["n.num_batches_tracked"].dtype == torch.long
