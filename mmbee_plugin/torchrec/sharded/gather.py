"""Gathers encoded rows from all processes, with gradients."""

from __future__ import annotations

from typing import Any

import torch
import torch.distributed as dist


class _Gather(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, own: torch.Tensor) -> torch.Tensor:
        world_size = dist.get_world_size()
        parts = own.new_empty(world_size * own.shape[0], own.shape[1])
        dist.all_gather_into_tensor(parts, own.contiguous())
        return parts

    @staticmethod
    def backward(ctx: Any, gradient: torch.Tensor) -> torch.Tensor:
        own = gradient.new_empty(gradient.shape[0] // dist.get_world_size(), gradient.shape[1])
        dist.reduce_scatter_tensor(own, gradient.contiguous())
        return own


def interleave(own: torch.Tensor) -> torch.Tensor:
    """Gathers the rows of all processes: row k of process r becomes row k * world_size + r.

    The gradient of a process's rows is summed over all processes.

    Shapes:
        - own: (C, h), C equal on all processes
        - output: (world_size · C, h)
    """
    if not dist.is_initialized() or dist.get_world_size() == 1:
        return own
    parts = _Gather.apply(own).unflatten(0, (dist.get_world_size(), -1))
    return parts.transpose(0, 1).flatten(0, 1)
