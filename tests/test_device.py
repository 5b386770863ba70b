from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from threadpoolctl import threadpool_info, threadpool_limits

from hilum import checkpoints, device, training
from hilum.data import manifest
from hilum.errors import InputError
from hilum.models import retrieval
from hilum.recipes import tiny
from hilum.reporter import Reporter
from hilum.summary import training as summary_training
from hilum.summary.requests import Request
from hilum.summary.summariser import Summariser
from tests import elsewhere, made


def test_a_device_is_chosen_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    assert device.choose("cpu") == device.CPU
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert device.choose("auto") == device.CPU
    with pytest.raises(InputError, match="no device cuda:0: PyTorch finds no GPU"):
        device.choose("cuda")
    for name in ("gpu", "cuda:", "cuda:x", "cpu:0", "", "mps"):
        with pytest.raises(InputError, match="there is: auto, cpu, cuda, cuda:N"):
            device.choose(name)


def test_one_thread_and_then_as_many_as_before() -> None:
    def blas() -> list[int]:
        return [library["num_threads"] for library in threadpool_info() if library["user_api"] == "blas"]

    with threadpool_limits(2, user_api="blas"):
        before = torch.get_num_threads(), blas()
        with pytest.raises(RuntimeError, match="no"), device.one_thread():
            assert torch.get_num_threads() == 1
            assert set(blas()) == {1}
            raise RuntimeError("no")
        assert (torch.get_num_threads(), blas()) == before


def test_threads_on_one_core_at_once_leave_as_many_as_before() -> None:
    """The second is born and comes while the first is within, and leaves last."""
    first_within, second_within, first_left = threading.Event(), threading.Event(), threading.Event()

    def blas() -> set[int]:
        return {library["num_threads"] for library in threadpool_info() if library["user_api"] == "blas"}

    def first() -> int:
        with device.one_thread():
            first_within.set()
            assert second_within.wait(10)
        first_left.set()
        return torch.get_num_threads()

    def second() -> tuple[int, int]:
        with device.one_thread():
            second_within.set()
            assert first_left.wait(10)
            within = torch.get_num_threads()
        return within, torch.get_num_threads()

    before, libraries = torch.get_num_threads(), blas()
    try:
        torch.set_num_threads(2)
        with ThreadPoolExecutor(2) as pool:
            one = pool.submit(first)
            assert first_within.wait(10)
            other = pool.submit(second)
            assert one.result(timeout=20) == 2
            assert other.result(timeout=20) == (1, 2)
        assert torch.get_num_threads() == 2 and blas() == libraries
    finally:
        torch.set_num_threads(before)


def test_of_several_gpus_each_process_takes_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "set_device", lambda _: None)
    monkeypatch.delenv("LOCAL_RANK", raising=False)
    monkeypatch.setenv("CUBLAS_WORKSPACE_CONFIG", ":16:8")
    assert device.choose("auto") == device.choose("cuda") == torch.device("cuda:0")
    assert device.choose("cuda:1") == torch.device("cuda:1")
    monkeypatch.setenv("LOCAL_RANK", "1")
    assert device.choose("auto") == device.choose("cuda") == torch.device("cuda:1")
    with pytest.raises(InputError, match="no device cuda:2: PyTorch finds 2 GPUs"):
        device.choose("cuda:2")


def test_the_device_that_is_not_there_finds_misplaced_tensors(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the tests below rely on."""
    with elsewhere.pretended(monkeypatch) as gpu:
        far, near = torch.ones(3, device=gpu), torch.ones(3)
        assert far.device == gpu and (far * 2 + torch.tensor(1.0)).device == gpu
        assert near.to(far).device == gpu and far.cpu().numpy().tolist() == [1.0, 1.0, 1.0]
        assert far.new_zeros(2).device == gpu and torch.nn.Linear(3, 2).to(gpu)(far).device == gpu
        for wrong in (
            lambda: far + near,
            lambda: torch.cat([near, far]),
            lambda: torch.where(near > 0, far, far),
            far.numpy,
            lambda: near[far.long()],
            lambda: torch.nn.Linear(3, 2)(far),
            lambda: torch.rand(3, generator=torch.Generator(), device=gpu),
        ):
            with pytest.raises((RuntimeError, TypeError)):
                wrong()
        weight = torch.nn.Linear(3, 1).to(gpu)
        weight(far).sum().backward()
        assert weight.weight.grad is not None and weight.weight.grad.device == gpu


def test_rows_are_looked_up_there_or_copied(monkeypatch: pytest.MonkeyPatch) -> None:
    array = np.arange(24, dtype=np.float16).reshape(6, 4)
    rows = torch.tensor([[5, 0], [2, 2]])
    for free in (0, 1000):
        with elsewhere.pretended(monkeypatch, free) as gpu:
            found = device.lookup(array, gpu)(rows)
            assert found.device == gpu and (found.cpu().numpy() == array[rows.numpy()]).all()
    assert (device.lookup(array, device.CPU)(rows).numpy() == array[rows.numpy()]).all()


def test_a_run_on_a_gpu_has_every_tensor_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Training in both stages, with an average of the weights, resumed; then drafts with samples, and their scores:
    on a device that is not there, with the numbers of the processor."""
    data = tmp_path / "data"
    dataset = made.dataset(data, 15)
    stages = {name: replace(getattr(tiny(), name), epochs=1, average=0.9) for name in ("encoder", "decoder")}
    search = replace(tiny().search, max_tokens=12, samples=4)
    config = replace(tiny(), **stages, search=search, precision="float32")
    training.train(config, data, tmp_path / "here")
    with elsewhere.pretended(monkeypatch, 10**9) as gpu:
        training.train(config, data, tmp_path / "there", device=gpu)
        reporter = Reporter.load(tmp_path / "there", gpu)
        assert {type(one) for one in reporter.run.model.state_dict().values()} == {elsewhere.Elsewhere}
        there = reporter.report(dataset.studies[1], data)
        both = reporter.report_all(dataset, dataset.studies[:3])
        assert np.isfinite(reporter.own_features(dataset, dataset.studies[:3])).all()
        films = [made.film(1, None)]
        assert np.isfinite(retrieval.generic_features(iter(films), gpu)).all()
    here = Reporter.load(tmp_path / "here").report(dataset.studies[1], data)
    for other in (both[1], here):
        assert [one.text for one in other.sentences] == [one.text for one in there.sentences]
    weights = [checkpoints.load(tmp_path / name).model.state_dict() for name in ("here", "there")]
    for name, one in weights[0].items():
        # Only the processor gathers gradients over the steps (models.gathered): added up in another order.
        torch.testing.assert_close(one, weights[1][name], rtol=0, atol=1e-5)


def test_a_run_that_was_stopped_goes_on_elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The state of a run lies on no device: begun on the processor, finished on a GPU."""
    data = tmp_path / "data"
    made.dataset(data, 30)
    config = replace(tiny(), precision="float32")
    with made.killed_after(6, monkeypatch):
        training.train(config, data, tmp_path / "run")
    with elsewhere.pretended(monkeypatch) as gpu:
        info = training.train(config, data, tmp_path / "run", resume=True, device=gpu)
    assert info.name == "tiny" and (tmp_path / "run" / "weights.safetensors").is_file()


def test_a_summariser_on_a_gpu_has_every_tensor_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = tmp_path / "data"
    dataset = manifest.read(made.dataset(data, 30).root)
    config = replace(summary_training.impression_tiny(), epochs=2, validate_every=1, word_dropout=0.1)
    summary_training.train(config, data, tmp_path / "here")
    with elsewhere.pretended(monkeypatch) as gpu:
        summary_training.train(config, data, tmp_path / "there", device=gpu)
        summariser = Summariser.load(tmp_path / "there", gpu)
        requests = [Request(one.id, one.report.findings) for one in dataset.studies[:4] if one.report]
        there = summariser.summarise(requests)
    here = Summariser.load(tmp_path / "here").summarise(requests)
    assert [one.text for one in here] == [one.text for one in there]


@pytest.mark.gpu
def test_a_gpu_says_what_the_processor_says(tmp_path: Path) -> None:
    """Trained on the processor, read on both: the same drafts, probabilities to rounding."""
    data = tmp_path / "data"
    dataset = made.dataset(data, 30)
    config = replace(tiny(), search=replace(tiny().search, samples=4))
    training.train(config, data, tmp_path / "run")
    here = Reporter.load(tmp_path / "run")
    there = Reporter.load(tmp_path / "run", device.choose("cuda"))
    for study in dataset.studies[:6]:
        near, far = here.report(study, data), there.report(study, data)
        assert [one.text for one in near.sentences] == [one.text for one in far.sentences]
        for name, found in near.findings.items():
            assert far.findings[name].probability == pytest.approx(found.probability, abs=1e-4)


@pytest.mark.gpu
def test_training_on_a_gpu_learns_the_same(tmp_path: Path) -> None:
    """In float32 the losses of the first epochs agree with the processor's; in bfloat16 they are near; and a second
    run on the GPU is equal to the first."""
    data = tmp_path / "data"
    made.dataset(data, 45)
    losses = {}
    for name, precision, place in (
        ("here", "float32", "cpu"),
        ("there", "float32", "cuda"),
        ("again", "float32", "cuda"),
        ("half", "auto", "cuda"),
    ):
        config = replace(tiny(), precision=precision)
        training.train(config, data, tmp_path / name, device=device.choose(place))
        lines = (tmp_path / name / "log.jsonl").read_text().splitlines()
        losses[name] = [float(line.split('"loss":')[1].split(",")[0]) for line in lines]
    assert losses["there"] == losses["again"]
    assert losses["there"] == pytest.approx(losses["here"], rel=1e-2)
    assert losses["half"] == pytest.approx(losses["here"], rel=0.1)
