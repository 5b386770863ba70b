"""What a stage reads of a film: pixels and caches give the same."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from hilum import readers
from hilum.data import batches
from hilum.data.films import Films
from hilum.models.report_model import ReportModel
from tests import made


@pytest.fixture
def batch(tmp_path: Path, model: ReportModel) -> tuple[batches.Batch, Films]:
    return made.batch(tmp_path, model)


@pytest.fixture(scope="module")
def model() -> ReportModel:
    return made.untrained_run().model


def test_films_and_cached_features_read_the_same(
    batch: tuple[batches.Batch, Films], model: ReportModel, tmp_path: Path
) -> None:
    one, films = batch
    cached = readers.cached_features(model, films, tmp_path / "cache")
    with torch.no_grad():
        seen = readers.film_reader(model, films.pixels_MHW)(one.rows_BI, None)
    read = readers.feature_reader(cached)(one.rows_BI, None)
    torch.testing.assert_close(read, seen, atol=2e-3, rtol=2e-3)
    assert (read[one.rows_BI < 0] == 0).all()


def test_the_cache_of_features_knows_the_weights_that_made_it(
    batch: tuple[batches.Batch, Films], tmp_path: Path
) -> None:
    _, films = batch
    model = made.untrained_run().model
    readers.cached_features(model, films, tmp_path / "cache")
    before = set((tmp_path / "cache").glob("features-*"))
    readers.cached_features(model, films, tmp_path / "cache")
    assert set((tmp_path / "cache").glob("features-*")) == before
    with torch.no_grad():
        next(model.each()[0].encoder.parameters()).add_(0.1)
    readers.cached_features(model, films, tmp_path / "cache")
    assert len(set((tmp_path / "cache").glob("features-*"))) == 2


def test_features_are_cached_of_films_that_have_a_report(
    batch: tuple[batches.Batch, Films], model: ReportModel, tmp_path: Path
) -> None:
    _, films = batch
    whole = readers.cached_features(model, films, tmp_path / "cache")
    some = readers.cached_features(model, replace(films, reported=2), tmp_path / "cache")
    assert len(whole) == films.reported == len(films.pixels_MHW)
    assert len(some) == 2 and np.array_equal(some, whole[:2])
    assert readers.cached_features(model, films, tmp_path / "cache").shape == whole.shape


def test_a_frozen_encoder_is_read_out_of_its_cached_maps(
    batch: tuple[batches.Batch, Films], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, films = batch
    free = made.untrained_run().model
    model = ReportModel(replace(free.config, trainable=0)).eval()
    model.load_state_dict(free.state_dict())
    cache = tmp_path / "cache"
    straight = readers.film_reader(model, films.pixels_MHW)(one.rows_BI, None)
    from_pixels = readers.cached_features(model, films, tmp_path / "other")
    read = readers.encoder_reader(model, films, cache)
    monkeypatch.setattr(model, "look", None)  # from here on nothing is looked at
    torch.testing.assert_close(read(one.rows_BI, torch.Generator()), straight, atol=1e-3, rtol=1e-3)
    assert (read(one.rows_BI, None)[one.rows_BI < 0] == 0).all()
    model.zero_grad()
    read(one.rows_BI, None).square().sum().backward()
    assert all(parameter.grad is not None for parameter in model.each()[0].neck.parameters())
    assert all(parameter.grad is None for parameter in model.each()[0].encoder.parameters())
    features = readers.cached_features(model, films, cache)
    assert np.abs(features.astype(np.float32) - from_pixels.astype(np.float32)).max() < 2e-3
