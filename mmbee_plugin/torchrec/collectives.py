"""What processes of a job tell each other outside of the tables: rows, whole numbers, small values."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

import numpy as np
import torch
import torch.distributed as dist
from numpy.typing import NDArray

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
