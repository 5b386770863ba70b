from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from hilum import checkpoints
from hilum.checkpoints import RunInfo
from hilum.decoding import SearchConfig
from hilum.errors import RunError
from hilum.metrics.frequencies import Frequencies
from hilum.models import decoders
from hilum.models.report_model import ReportModel
from hilum.text.tokenizer import Tokenizer
from tests.test_models_report_model import CONFIG


@pytest.fixture
def run(tmp_path: Path) -> Path:
    tokenizer = Tokenizer.train(["the heart is normal . no effusion ."], min_count=1)
    torch.manual_seed(0)
    config = replace(CONFIG, vocabulary=len(tokenizer))
    info = RunInfo(
        name="made", model=config, search=SearchConfig(), trained_on="nothing", data_sha256="0" * 64, split="clean",
        simulated=True, thresholds={"Cardiomegaly": (0.1, 0.5)},
    )  # fmt: skip
    checkpoints.save(tmp_path / "run", info, ReportModel(config), tokenizer)
    return tmp_path / "run"


def test_round_trip(run: Path) -> None:
    one, two = checkpoints.load(run), checkpoints.load(run)
    assert one.info == two.info and one.info.thresholds == {"Cardiomegaly": (0.1, 0.5)}
    assert one.tokenizer == two.tokenizer
    for (name, left), (_, right) in zip(
        one.model.state_dict().items(), two.model.state_dict().items(), strict=True
    ):
        torch.testing.assert_close(left, right, msg=name)
    assert not one.model.training


def test_a_run_from_before_there_was_a_choice_of_decoder_still_loads(run: Path) -> None:
    described = json.loads((run / "config.json").read_text())
    for name in ("decoder", "layers", "heads"):
        del described["model"][name]
    (run / "config.json").write_text(json.dumps(described))
    loaded = checkpoints.load(run)
    assert loaded.info.model.decoder == "soft-lstm" and "decoder.cell.weight_ih" in loaded.model.state_dict()


@pytest.mark.parametrize("name", decoders.NAMES)
def test_every_decoder_comes_back_and_its_card_names_it(tmp_path: Path, name: str) -> None:
    tokenizer = Tokenizer.train(["the heart is normal . no effusion ."], min_count=1)
    shape = replace(CONFIG, vocabulary=len(tokenizer), decoder=name)
    model = ReportModel(shape).eval()
    info = RunInfo(
        name="made", model=shape, search=SearchConfig(), trained_on="nothing", data_sha256="0" * 64, split="clean",
        simulated=True, thresholds={},
    )  # fmt: skip
    checkpoints.save(tmp_path / "run", info, model, tokenizer)
    loaded, tokens = checkpoints.load(tmp_path / "run"), torch.randint(4, len(tokenizer), (2, 5))
    said = decoders.described(name, embedding=16, hidden=24, layers=3, heads=4)
    assert f"| decoder | {said}, {len(tokenizer)} words |" in (tmp_path / "run" / "README.md").read_text()
    seen = (
        torch.randn(2, 1, 16, 32),
        torch.ones(2, 1, 16, dtype=torch.bool),
        torch.zeros(2, 1, dtype=torch.long),
    )
    with torch.no_grad():
        one, other = (m.decoder.forward(tokens, m.remember(*seen)[0])[0] for m in (model, loaded.model))
    assert torch.equal(one, other)


def test_the_frequencies_come_back_and_an_older_run_has_none(run: Path) -> None:
    assert checkpoints.load(run).frequencies is None
    older = checkpoints.load(run)
    frequencies = Frequencies.of(["no effusion .", "no effusion or edema .", "edema ."])
    checkpoints.save(run, older.info, older.model, older.tokenizer, frequencies)
    assert checkpoints.load(run).frequencies == frequencies
    (run / "frequencies.json").write_bytes(b"{}")
    with pytest.raises(RunError, match=r"frequencies\.json: damaged"):
        checkpoints.load(run)


def test_the_model_card_says_what_it_is_not_for(run: Path) -> None:
    card = (run / "README.md").read_text()
    for words in ("a physician decides", "Simulated pixels", "Not for", "No audit by sex"):
        assert words in card


@pytest.mark.parametrize("name", ["weights.safetensors", "tokenizer.json", "config.json"])
@pytest.mark.parametrize("harm", ["missing", "truncated", "empty", "foreign", "a folder"])
def test_every_damage_is_one_line_that_names_the_file(run: Path, name: str, harm: str) -> None:
    path = run / name
    whole = path.read_bytes()
    path.unlink()
    if harm == "a folder":
        path.mkdir()
    elif harm != "missing":
        path.write_bytes(
            {"truncated": whole[: len(whole) // 2], "empty": b"", "foreign": b'{"a": "\xff"}'}[harm]
        )
    with pytest.raises(RunError, match=name.replace(".", r"\.")) as caught:
        checkpoints.load(run)
    assert "\n" not in str(caught.value)


def test_another_format_and_weights_of_another_shape_are_refused(run: Path) -> None:
    text = (run / "config.json").read_text()
    (run / "config.json").write_text(text.replace("hilum-run-1", "hilum-run-99"))
    with pytest.raises(RunError, match="hilum-run-99"):
        checkpoints.load(run)
    (run / "config.json").write_text(text.replace('"hidden": 24', '"hidden": 32'))
    with pytest.raises(RunError, match="do not fit together"):
        checkpoints.load(run)
    (run / "config.json").write_text(text.replace('"small-cnn"', '"resnet"'))
    with pytest.raises(RunError, match="no encoder 'resnet'"):
        checkpoints.load(run)
    (run / "config.json").write_text(text.replace('"soft-lstm"', '"poet"'))
    with pytest.raises(RunError, match="no decoder 'poet'"):
        checkpoints.load(run)


def test_no_folder(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="no such run folder"):
        checkpoints.load(tmp_path / "nowhere")
    with pytest.raises(RunError, match=r"no config\.json"):
        checkpoints.load(tmp_path)
