"""Starts the processes of a test's job as torchrun would start them."""

from __future__ import annotations

import importlib
import multiprocessing
import os
import socket
import time
from typing import Any

PATIENCE = 100.0
"""seconds after which a job counts as hanging."""


def start(module: str, count: int, *arguments: Any) -> list[int | None]:
    """Runs ``main(*arguments)`` of a module beside this one in ``count`` processes, forked from one that has imported
    TorchRec; returns their exit statuses."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(
        ["mmbee_plugin.torchrec.training.loop", "torchrec.distributed.model_parallel"]
    )
    with socket.socket() as free:
        free.bind(("localhost", 0))
        port = free.getsockname()[1]
    started = [
        context.Process(target=one_process, args=(rank, count, port, module, arguments))
        for rank in range(count)
    ]
    for process in started:
        process.start()
    end = time.monotonic() + PATIENCE
    for process in started:
        process.join(timeout=max(0.0, end - time.monotonic()))
    hanging = [rank for rank, process in enumerate(started) if process.is_alive()]
    for rank in hanging:
        started[rank].kill()
        started[rank].join()
    assert not hanging, f"{module}: processes {hanging} did not end"
    return [process.exitcode for process in started]


def one_process(rank: int, count: int, port: int, module: str, arguments: tuple[Any, ...]) -> None:
    """Runs the job in this process, in the environment that torchrun gives it."""
    import torch  # here, so that the extra may be missing where this file is imported

    os.environ |= {
        "RANK": str(rank),
        "LOCAL_RANK": str(rank),
        "WORLD_SIZE": str(count),
        "LOCAL_WORLD_SIZE": str(count),
        "MASTER_ADDR": "localhost",
        "MASTER_PORT": str(port),
    }
    torch.set_num_threads(1)
    importlib.import_module(module).main(*arguments)
