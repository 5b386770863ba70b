"""The encoder by ONNX Runtime: PyTorch's features, exported once, and a plain word where it cannot be had."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from hilum import backend
from hilum.errors import HilumError, MissingDependencyError
from hilum.models.encoders import EncoderShape
from hilum.models.report_model import ReportModel
from tests import made

pytest.importorskip("onnxruntime")
pytest.importorskip("onnxscript")


def test_features_are_pytorchs_for_any_number_of_films_and_the_graph_is_kept(
    tmp_path: Path, monkeypatch
) -> None:
    model = made.untrained_run().model
    chosen = backend.choose("onnx", model, tmp_path)
    assert chosen.name == "ONNX Runtime" and not chosen.why
    torch.manual_seed(1)
    for films in (1, 2, 5):
        images = torch.rand(films, made.SIDE, made.SIDE)
        with torch.no_grad():
            wanted = model.see(images)
        torch.testing.assert_close(chosen.see(images), wanted, atol=backend.TOLERANCE, rtol=0)
    (kept,) = tmp_path.iterdir()
    monkeypatch.setattr(backend, "_exported", lambda model: pytest.fail("exported twice"))
    assert backend.choose("auto", model, tmp_path).name == "ONNX Runtime"
    with torch.no_grad():
        next(model.each()[0].encoder.parameters()).mul_(2.0)
    assert backend.digest(model)[:24] not in kept.name  # other weights, another graph
    kept.rename(tmp_path / f"encoder-{backend.digest(model)[:24]}.onnx").write_bytes(b"no graph")
    with pytest.raises(HilumError, match="cannot be read"):
        backend.choose("onnx", model, tmp_path)


def test_a_fallback_is_said(tmp_path: Path, monkeypatch) -> None:
    model = made.untrained_run().model
    monkeypatch.setattr(backend, "find_spec", lambda name: None)
    with pytest.raises(MissingDependencyError, match="hilum\\[onnx\\]"):
        backend.choose("onnx", model, tmp_path)
    fallen = backend.choose("auto", model, tmp_path)
    assert fallen.name == "PyTorch" and "not installed" in fallen.why
    assert backend.choose("torch", model, tmp_path).why == ""


def test_a_graph_that_sees_something_else_is_refused(monkeypatch) -> None:
    model = made.untrained_run().model
    with pytest.raises(HilumError, match="differ"):
        backend._hold_against(model, lambda images: model.see(images) + 0.01)
    backend._hold_against(model, model.see)


def test_another_normalisation_of_films_is_another_graph() -> None:
    model = made.untrained_run().model
    others = [
        replace(model.config, encoder_shape=EncoderShape((0.4,), (0.2,))),
        replace(model.config, trainable=0),
    ]
    digests = {backend.digest(model)}
    for config in others:
        other = ReportModel(config)
        other.load_state_dict(model.state_dict())
        digests.add(backend.digest(other))
    assert len(digests) == 3
