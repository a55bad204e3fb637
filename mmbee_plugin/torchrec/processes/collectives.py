"""Collective operations on rows, whole numbers and small values; every process of the default group calls them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TypeVar

import numpy as np
import torch
import torch.distributed as dist
from numpy.typing import NDArray

from mmbee_plugin.errors import InputError
from mmbee_plugin.files import locked

Value = TypeVar("Value")


def send_rows(
    columns: Sequence[NDArray], destination: NDArray[np.int64], device: torch.device
) -> list[NDArray]:
    """Sends each row to the process of its destination.

    Args:
        columns: (n,) each, this process's rows.
        destination: (n,) ranks.
        device: of the tensors sent.

    Returns:
        (m,) each, the rows received, by rank of the sender.
    """
    world_size = dist.get_world_size()
    order = np.argsort(destination, kind="stable")
    going = torch.from_numpy(np.bincount(destination, minlength=world_size)).to(device)
    coming = torch.empty_like(going)
    dist.all_to_all_single(coming, going)
    sizes = coming.tolist(), going.tolist()
    received = []
    for column in columns:
        rows = torch.from_numpy(column[order]).to(device)
        arrived = rows.new_empty(sum(sizes[0]))
        dist.all_to_all_single(arrived, rows, *sizes)
        received.append(arrived.cpu().numpy())
    return received


def add_up(numbers: Sequence[int] | NDArray[np.int64], device: torch.device) -> NDArray[np.int64]:
    """Sums whole numbers (k,) over the processes."""
    total = torch.as_tensor(np.asarray(numbers, dtype=np.int64)).to(device)
    dist.all_reduce(total)
    return total.cpu().numpy()


def gather(value: Value) -> list[Value]:
    """Gathers a picklable value of every process, by rank."""
    values: list = [None] * dist.get_world_size()
    dist.all_gather_object(values, value)
    return values


def from_first(action: Callable[[], Value]) -> Value:
    """Runs an action on rank 0, such as reading a folder, and returns its value on every process.

    Raises:
        InputError: the action raised it; on every process, so that none waits.
    """
    if not dist.is_initialized():
        return action()
    outcome: list = [None, None]
    if dist.get_rank() == 0:
        try:
            outcome[0] = action()
        except InputError as error:
            outcome[1] = str(error)
    dist.broadcast_object_list(outcome, src=0)
    if outcome[1] is not None:
        raise InputError(outcome[1])
    return outcome[0]


@contextmanager
def alone(lock: Path, complaint: str) -> Iterator[None]:
    """Holds a lock on the file ``lock`` during the block, on rank 0 for all processes of a job.

    Raises:
        InputError: another job holds it (``complaint``); on every process.
    """
    with ExitStack() as held:
        from_first(lambda: held.enter_context(locked(lock, complaint)))
        yield
