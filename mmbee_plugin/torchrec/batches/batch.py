"""A batch of one process: ids to look up in the tables, and tensors read from the shards.

All bags of a batch share one stride, equal on all processes, since row-wise sharding exchanges whole batches. The users
or authors fill the first bags of their features; the rest are empty.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields, is_dataclass, replace
from typing import Any

import torch
from torchrec.sparse.jagged_tensor import KeyedJaggedTensor
from torchrec.streamable import Pipelineable

from mmbee_plugin.modules.batch import AuthorSide, Targets, UserSide


@dataclass
class Batch(Pipelineable):
    """Ids and tensors of one process's part of a global batch."""

    sequences: KeyedJaggedTensor
    bags: KeyedJaggedTensor | None
    pools: KeyedJaggedTensor | None
    users: UserSide | None = None
    """None for a batch without users; as ``authors`` without the vectors from tables."""
    authors: AuthorSide | None = None
    paired: torch.Tensor | None = None
    """(B,) place of each row's author in ``authors``, where rows are scored pair by pair."""
    targets: Targets | None = None
    pool: torch.Tensor | None = None
    """(C,) author rows of the pool that all processes share, in the order of `interleave`."""

    def to(self, device: torch.device, non_blocking: bool = False) -> Batch:
        """The batch on another device."""
        return _each(self, lambda part: part.to(device=device, non_blocking=non_blocking))

    def pin_memory(self) -> Batch:
        """The batch in page-locked memory, for asynchronous copies."""
        return _each(self, lambda part: part.pin_memory())

    def record_stream(self, stream: torch.Stream) -> None:
        """Marks the tensors as used by a stream, for the allocator."""

        def record(part: Any) -> Any:
            part.record_stream(stream)
            return part

        _each(self, record)


def _each(value: Any, change: Callable[[Any], Any]) -> Any:
    """`value` with every tensor in it replaced by ``change(tensor)``."""
    if isinstance(value, torch.Tensor | KeyedJaggedTensor):
        return change(value)
    if isinstance(value, dict):
        return {key: _each(part, change) for key, part in value.items()}
    if is_dataclass(value) and not isinstance(value, type):
        return replace(
            value, **{part.name: _each(getattr(value, part.name), change) for part in fields(value)}
        )
    return value
