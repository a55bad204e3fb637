"""What processes of a job tell each other outside of the tables: rows, whole numbers, small values."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

import numpy as np
import torch
import torch.distributed as dist
from numpy.typing import NDArray

from mmbee_plugin.errors import InputError

Value = TypeVar("Value")


def send_rows(
    columns: Sequence[NDArray], destination: NDArray[np.int64], device: torch.device
) -> list[NDArray]:
    """Sends every row to the process its destination names.

    Args:
        columns: (n,) each, this process's rows.
        destination: (n,) ranks.
        device: where the group sends tensors from.

    Returns:
        (m,) each, the rows that came to this process.
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
    """Whole numbers (k,), each summed over the processes."""
    total = torch.as_tensor(np.asarray(numbers, dtype=np.int64)).to(device)
    dist.all_reduce(total)
    return total.cpu().numpy()


def gather(value: Value) -> list[Value]:
    """A small value of every process, by rank."""
    values: list = [None] * dist.get_world_size()
    dist.all_gather_object(values, value)
    return values


def from_first(action: Callable[[], Value]) -> Value:
    """What rank 0 gets from an action, such as a look at a folder: every process gets the same, when rank 0 is done.

    Raises:
        InputError: rank 0 met one; on every process, so that none waits for it.
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
