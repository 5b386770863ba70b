from __future__ import annotations

import importlib
import json
from pathlib import Path

import pytest
import safetensors.torch
import torch

from hilum.errors import InputError, MissingDependencyError
from hilum.models.encoders import dinov2
from tests import encoders_made as made

HUB_NAMES = (
    ("attention.q_proj", "attention.attention.query"), ("attention.k_proj", "attention.attention.key"),
    ("attention.v_proj", "attention.attention.value"), ("attention.o_proj", "attention.output.dense"),
)  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return made.dinov2_folder(tmp_path_factory.mktemp("dinov2"))


def loaded(folder: Path) -> dinov2.Dinov2:
    state, shape, _ = dinov2.read(folder)
    encoder = dinov2.Dinov2(shape)
    encoder.load_state_dict(state)
    return encoder.eval()


@pytest.mark.parametrize("side", [56, 98], ids=["as trained", "larger: positions interpolated"])
def test_equals_transformers_own(folder: Path, side: int) -> None:
    import transformers

    theirs = transformers.Dinov2Model.from_pretrained(folder).eval()
    encoder = loaded(folder)
    films = torch.rand(2, side, side)
    pixels = ((films - 0.5307) / 0.2583).unsqueeze(1).expand(-1, 3, -1, -1)
    with torch.no_grad():
        (ours,) = encoder(films)
        tokens = theirs(pixel_values=pixels).last_hidden_state
    cells = side // made.PATCH
    assert ours.shape == (2, 24, cells, cells) and encoder.widths == (24,) and encoder.stride == made.PATCH
    for row in range(cells):
        for column in range(cells):
            expected = tokens[:, 1 + row * cells + column]
            torch.testing.assert_close(ours[:, :, row, column], expected, atol=1e-5, rtol=1e-5)
    assert ours.std() > 0.1


def test_the_names_of_the_hubs_files_are_read(folder: Path, tmp_path: Path) -> None:
    """RAD-DINO's file was written by an earlier transformers; the names of its attention are older."""
    tensors = safetensors.torch.load_file(folder / "model.safetensors")
    older = {}
    for name, tensor in tensors.items():
        for new, old in HUB_NAMES:
            name = name.replace(new, old)  # noqa: PLW2901
        older[name] = tensor
    assert "encoder.layer.2.attention.attention.query.weight" in older
    for name in ("config.json", "preprocessor_config.json"):
        (tmp_path / name).write_bytes((folder / name).read_bytes())
    safetensors.torch.save_file(older, tmp_path / "model.safetensors", {"format": "pt"})
    state, _, _ = dinov2.read(folder)
    again, _, _ = dinov2.read(tmp_path)
    assert set(again) == set(state) and all(torch.equal(again[name], state[name]) for name in state)


def test_a_folder_of_pytorch_reads_the_same(folder: Path, tmp_path: Path) -> None:
    for name in ("config.json", "preprocessor_config.json"):
        (tmp_path / name).write_bytes((folder / name).read_bytes())
    tensors = safetensors.torch.load_file(folder / "model.safetensors")
    torch.save(tensors, tmp_path / "pytorch_model.bin")
    state, shape, main = dinov2.read(tmp_path)
    wanted, wanted_shape, _ = dinov2.read(folder)
    assert main.name == "pytorch_model.bin" and shape == wanted_shape
    assert all(torch.equal(state[name], wanted[name]) for name in wanted)


def test_its_shape_builds_it_without_the_folder(folder: Path) -> None:
    _, shape, _ = dinov2.read(folder)
    assert shape.mean == (0.5307,) * 3 and shape.std == (0.2583,) * 3
    kept = json.loads(json.dumps(shape.transformer))
    assert kept["hidden_size"] == 24 and kept["patch_size"] == 14 and "transformers_version" not in kept
    assert set(kept) <= set(dinov2.ARCHITECTURE)


def test_what_is_no_dinov2_is_one_line(folder: Path, tmp_path: Path) -> None:
    config = json.loads((folder / "config.json").read_text())
    pixels = json.loads((folder / "preprocessor_config.json").read_text())
    weights = (folder / "model.safetensors").read_bytes()
    tensors = safetensors.torch.load(weights)
    short = safetensors.torch.save(
        {name: tensor for name, tensor in tensors.items() if "layer.1.mlp.fc1.weight" not in name},
        {"format": "pt"},
    )
    cases = {
        "other": ({**config, "model_type": "vit"}, pixels, weights, "its model_type is 'vit'"),
        "grey": ({**config, "num_channels": 1}, pixels, weights, "1 channels, not 3"),
        "pixels": (config, {}, weights, "no image_mean and image_std"),
        "one mean": (config, {"image_mean": [0.5], "image_std": [0.5]}, weights, "1 values, not 3"),
        "scale": (config, pixels | {"rescale_factor": 1.0}, weights, "rescale_factor is 1.0"),
        "short": (config, pixels, short, "layer.1.mlp.fc1.weight is missing"),
        "broken": (config, pixels, weights[:1000], "cannot be read"),
        "larger": ({**config, "hidden_size": 48}, pixels, weights, "cannot be read|another size"),
        "none": (config, pixels, None, "no file of weights in it"),
    }
    for name, (one, two, three, said) in cases.items():
        case = tmp_path / name
        case.mkdir()
        (case / "config.json").write_text(json.dumps(one))
        (case / "preprocessor_config.json").write_text(json.dumps(two))
        if three is not None:
            (case / "model.safetensors").write_bytes(three)
        with pytest.raises(InputError, match=said) as caught:
            dinov2.read(case)
        assert "\n" not in str(caught.value) and dinov2.EXPECTED in str(caught.value)
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match=r"config\.json: it is not there"):
        dinov2.read(tmp_path / "empty")
    (tmp_path / "empty" / "config.json").write_text("{")
    with pytest.raises(InputError, match="it is no JSON"):
        dinov2.read(tmp_path / "empty")
    with pytest.raises(InputError, match="it is no folder"):
        dinov2.read(tmp_path / "nowhere")


def test_without_transformers_it_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    real = importlib.import_module

    def without(name: str) -> object:
        if name == "transformers":
            raise ImportError("No module named 'transformers'")
        return real(name)

    monkeypatch.setattr(importlib, "import_module", without)
    with pytest.raises(MissingDependencyError, match=r"pip install 'hilum\[transformers\]'"):
        dinov2.Dinov2()
