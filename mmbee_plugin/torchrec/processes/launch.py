"""Process group and device of a job's process."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta

import torch
import torch.distributed as dist

from mmbee_plugin.errors import InputError


@dataclass(frozen=True)
class Process:
    """Rank, group size and device of this process."""

    rank: int
    world_size: int
    device: torch.device


@contextmanager
def process_group(timeout: float) -> Iterator[Process]:
    """Joins torchrun's process group, or creates one of this process alone.

    Tensors on GPUs are sent by nccl, others by gloo.

    Args:
        timeout: seconds this process waits for the others.

    Raises:
        InputError: more processes on this machine than GPUs.
    """
    wait = timedelta(seconds=timeout)
    local_rank = int(os.environ.get("LOCAL_RANK", 0))
    device = torch.device("cpu")
    if torch.cuda.is_available():
        if local_rank >= torch.cuda.device_count():
            raise InputError(
                f"{local_rank + 1} processes, but {torch.cuda.device_count()} GPUs on this machine; "
                "start one process a GPU, or hide the GPUs with CUDA_VISIBLE_DEVICES="
            )
        device = torch.device("cuda", local_rank)
        torch.cuda.set_device(device)
    backend = "cpu:gloo,cuda:nccl" if device.type == "cuda" else "gloo"
    if "RANK" in os.environ:
        dist.init_process_group(backend, timeout=wait)
    else:
        dist.init_process_group(backend, timeout=wait, store=dist.HashStore(), rank=0, world_size=1)
    try:
        yield Process(dist.get_rank(), dist.get_world_size(), device)
    except BaseException:
        if device.type == "cpu":
            dist.destroy_process_group()  # the others see the connection close; with nccl this may wait for them
        raise
    dist.destroy_process_group()
