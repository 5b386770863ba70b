"""What computes the encoder when a study is reported: PyTorch, or ONNX Runtime, which is faster on a CPU.

Films go in, features of each come out (``ReportModel.see``); what follows is PyTorch's either way. The graph is
exported once a set of weights and kept in the user's cache under their digest. Choosing a backend changes no draft
but by rounding: features differ by less than ``TOLERANCE``, which is checked on made films before a graph is kept.
"""

from __future__ import annotations

import hashlib
import logging
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor, nn

from hilum import atomic
from hilum.data import fetch
from hilum.errors import HilumError, MissingDependencyError
from hilum.models.report_model import ReportModel

Name = Literal["torch", "onnx", "auto"]
NAMES: tuple[Name, ...] = ("torch", "onnx", "auto")
TOLERANCE = 1e-4
"""How far a feature may differ from PyTorch's; they are of order one, and kept in half precision (5e-4 of that)."""
NEEDED = ("onnxruntime", "onnxscript")


@dataclass(frozen=True, slots=True)
class Backend:
    """``see`` maps films (M, H, W), float in [0, 1], to features (M, G, D). ``name`` says what computes it, and
    ``why`` what was wanted and could not be had (empty: nothing)."""

    name: str
    see: Callable[[Tensor], Tensor]
    why: str = ""


def choose(name: Name, model: ReportModel, cache: Path | None = None) -> Backend:
    """The backend ``name`` for ``model``; ``auto`` is ONNX Runtime where it is installed and agrees, else PyTorch.

    Raises MissingDependencyError where ``onnx`` is asked for and a package is missing, HilumError where its features
    are not those of PyTorch. ``cache`` None: the user's (``$XDG_CACHE_HOME/hilum``, ``~/.cache/hilum``).
    """
    if name == "torch":
        return Backend("PyTorch", model.see)
    try:
        return Backend("ONNX Runtime", _onnx(model, cache or fetch.cache()))
    except HilumError as error:
        if name == "onnx":
            raise
        return Backend("PyTorch", model.see, f"PyTorch reads the films, and not ONNX Runtime: {error}")


def digest(model: ReportModel) -> str:
    """SHA-256 of all that ``see`` depends on: names and values of its weights, shapes, versions of the exporter."""
    shape = model.config
    # How films are brought into the encoder's pixels is no weight, and in the graph all the same.
    seen = (shape.encoder, shape.image_size, shape.encoder_shape, shape.trainable == 0, torch.__version__)
    found = hashlib.sha256(repr(seen).encode())
    for part in model.seeing():
        for name, tensor in sorted(part.state_dict().items()):
            found.update(f"{name}{tuple(tensor.shape)}".encode())
            found.update(tensor.contiguous().cpu().numpy().tobytes())
    return found.hexdigest()


def _onnx(model: ReportModel, cache: Path) -> Callable[[Tensor], Tensor]:
    missing = [package for package in NEEDED if find_spec(package) is None]
    if missing:
        raise MissingDependencyError(
            f"{' and '.join(missing)} not installed", where="onnx", fix="pip install 'hilum[onnx]'"
        )
    path = cache / f"encoder-{digest(model)[:24]}.onnx"
    made = None if path.is_file() else _exported(model)
    session = _session(path.read_bytes() if made is None else made)
    given = session.get_inputs()[0].name

    def see(images_MHW: Tensor) -> Tensor:
        (features_MGD,) = session.run(None, {given: images_MHW.contiguous().cpu().numpy()})
        return torch.from_numpy(features_MGD)

    if made is not None:
        _hold_against(model, see)
        atomic.write_bytes(path, made)
    return see


def _hold_against(model: ReportModel, see: Callable[[Tensor], Tensor]) -> None:
    side = model.config.image_size
    # Films with every value, and with edges.
    ramp_HW = torch.linspace(0.0, 1.0, side).expand(side, side)
    films_MHW = torch.stack([ramp_HW, (ramp_HW < ramp_HW.square().T).float(), ramp_HW.T])
    with torch.no_grad():
        apart = float((model.see(films_MHW.to(model.device)).cpu() - see(films_MHW)).abs().max())
    if not apart <= TOLERANCE:
        raise HilumError(
            f"its features differ from PyTorch's by {apart:.1e}, more than {TOLERANCE}", where="ONNX Runtime"
        )


class _See(nn.Module):
    """``ReportModel.see`` as a module, for the exporter."""

    def __init__(self, model: ReportModel) -> None:
        super().__init__()
        self.model = model

    def forward(self, images_MHW: Tensor) -> Tensor:
        return self.model.see(images_MHW)


def _exported(model: ReportModel) -> bytes:
    """The graph, for any number of films. Raises HilumError where the exporter cannot make one."""
    side = model.config.image_size
    films = torch.export.Dim("films", min=1, max=512)
    with _quiet(), torch.no_grad():
        try:
            program = torch.onnx.export(
                _See(model).eval(), (torch.zeros(2, side, side, device=model.device),), dynamo=True, verbose=False,
                dynamic_shapes={"images_MHW": {0: films}},
            )  # fmt: skip
        except Exception as error:  # the exporter raises what its parts raise
            what = f"{type(error).__name__}: {error}".split("\n", maxsplit=1)[0]
            raise HilumError(f"the encoder could not be exported ({what[:200]})", where="onnx") from None
    if program is None:
        raise HilumError("the encoder could not be exported", where="onnx")
    data: bytes = program.model_proto.SerializeToString()
    return data


@contextmanager
def _quiet() -> Iterator[None]:
    """The exporter speaks of packages that it looks for, and of its own deprecated parts."""
    logger = logging.getLogger("torch.onnx")
    before = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(before)


def _session(graph: bytes) -> Any:  # noqa: ANN401 - no types for it
    """As many threads as PyTorch uses. Raises HilumError for a graph that cannot be read."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    # Its threads would wait for more work in a loop, and take the cores from what PyTorch does next.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.log_severity_level = 3
    try:
        return onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # its exceptions share no base class but this
        raise HilumError(
            f"an exported encoder cannot be read ({type(error).__name__})", where=fetch.cache(),
            fix="delete the folder: it is made anew",
        ) from None  # fmt: skip
