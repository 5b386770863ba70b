"""What the ablation trains, and what it takes from runs that are there."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from benchmarks import ablation
from hilum import checkpoints
from hilum.configuration import TrainConfig
from hilum.recipes import tiny, variant
from hilum.retrieval import RetrievalConfig
from tests import made


def small() -> TrainConfig:
    """A recipe of one epoch a stage, with evidence."""
    base = tiny()
    one = replace(base.decoder, epochs=1)
    return replace(
        base, name="small", encoder=one, decoder=one, reward_stage=one, retrieval=RetrievalConfig()
    )


def test_what_is_learnt_alike_is_learnt_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data, work = tmp_path / "data", tmp_path / "work"
    made.dataset(data, 30)
    names = ("decoder", "beams", "gru", "reward")
    recipes = {"small": small, **{f"small-{name}": partial(variant, small, name) for name in names}}
    monkeypatch.setattr(ablation, "RECIPES", recipes)
    infos = {name: checkpoints.read_info(ablation.trained(name, 0, data, work, "cpu")) for name in recipes}
    whole, decoder, beams, gru, reward = infos.values()
    assert whole.weights_sha256 == decoder.weights_sha256 == beams.weights_sha256
    assert decoder.search.samples == 16 and beams.search.samples == 0
    assert whole.bank_sha256 and not decoder.bank_sha256
    assert gru.training["encoder_from"] in (whole.weights_sha256, decoder.weights_sha256)
    assert reward.training["start"] == decoder.weights_sha256
    assert reward.search == decoder.search and reward.weights_sha256 != decoder.weights_sha256
    stages = [line["stage"] for line in checkpoints.read_log(work / "small-gru-0")]
    assert stages == ["encoder", "decoder"]
    other = checkpoints.read_info(ablation.trained("small-gru", 1, data, work, "cpu"))
    assert "encoder_from" not in other.training and ablation.minutes(work / "small-gru-1") > 0
