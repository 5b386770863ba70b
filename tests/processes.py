"""Several processes of one training, as ``torchrun`` starts them, but from a server that has imported everything."""

from __future__ import annotations

import multiprocessing
import os
import socket
import sys
from collections.abc import Sequence
from multiprocessing.process import BaseProcess
from pathlib import Path

from hilum.configuration import TrainConfig


def begin(
    size: int, config: TrainConfig, data: Path, out: Path, *, resume: bool = False
) -> Sequence[BaseProcess]:
    """Starts the ``size`` processes that train ``config``; what one says goes to ``out``.RANK."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["tests.processes"])
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    processes = [
        context.Process(target=_one, args=(rank, size, port, config, data, out, resume))
        for rank in range(size)
    ]
    for process in processes:
        process.start()
    return processes


def said(out: Path, rank: int) -> str:
    """What process ``rank`` has said on standard error."""
    return out.with_name(f"{out.name}.{rank}").read_text()


def _one(rank: int, size: int, port: int, config: TrainConfig, data: Path, out: Path, resume: bool) -> None:
    import torch

    from hilum import training
    from hilum.errors import HilumError

    torch.set_num_threads(1)
    os.environ.update(
        RANK=str(rank), WORLD_SIZE=str(size), LOCAL_RANK=str(rank), MASTER_ADDR="127.0.0.1",
        MASTER_PORT=str(port),
    )  # fmt: skip
    with out.with_name(f"{out.name}.{rank}").open("w") as sys.stderr:
        try:
            training.train(config, data, out, resume=resume)
        except HilumError as error:  # as the command line does
            print(f"hilum: error: {error}", file=sys.stderr)
            sys.exit(2)
