"""A batch of one process: the ids for the tables, and beside them what is read from the shards as it is.

All bags of a batch share one stride, equal on all processes: row-wise sharding exchanges whole batches. Users fill the
first rows of their features, authors the first of theirs, and empty bags the rest.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, fields, is_dataclass, replace
from typing import Any

import torch
from torchrec.sparse.jagged_tensor import KeyedJaggedTensor
from torchrec.streamable import Pipelineable


@dataclass
class UserPart:
    """What is known of ``B`` users beside their ids; fields as in :class:`~mmbee_plugin.modules.batch.UserSide`."""

    count: int
    """B."""
    longest: int
    """H, behaviours of the longest history, at least 1."""
    gap: torch.Tensor | None = None
    """(B, H) int64."""
    category: torch.Tensor | None = None
    """(B, H) int64, of the behaviours' authors."""
    neighbour_count: torch.Tensor | None = None
    """(B, P)."""
    attributes: torch.Tensor | None = None
    """(B, P, D)."""
    peer_weights: torch.Tensor | None = None
    """(B, K)."""
    reach_ids: torch.Tensor | None = None
    """(B, K) author rows, ascending."""
    reach_weights: torch.Tensor | None = None
    """(B, K)."""


@dataclass
class AuthorPart:
    """What is known of ``C`` authors beside their ids; fields as in :class:`~mmbee_plugin.modules.batch.AuthorSide`."""

    count: int
    """C."""
    ids: torch.Tensor
    """(C,) author rows."""
    seen: torch.Tensor
    """(C,) bool."""
    category: torch.Tensor | None = None
    """(C,) int64."""
    place: torch.Tensor | None = None
    """(B,) which of them each user is paired with, where rows are scored pair by pair."""
    raw: dict[str, torch.Tensor] = field(default_factory=dict)
    """per dense modality (C, L, F, D_m)."""
    present: dict[str, torch.Tensor] = field(default_factory=dict)
    """per modality (C, L) bool."""
    neighbour_count: torch.Tensor | None = None
    """(C, P)."""
    attributes: torch.Tensor | None = None
    """(C, P, D)."""
    peer_weights: torch.Tensor | None = None
    """(C, K)."""


@dataclass
class Targets:
    """What the loss compares the scores with, for the ``B`` rows of this process.

    One of three kinds: labelled samples (``labels``); a row's own candidates (``position`` (B, 1 + M), the positive
    first); one pool for all rows of all processes (``allowed``, with ``position`` (B,) the column of the positive).
    """

    weights: torch.Tensor
    """(B,) what a row counts; 0 for a row that only fills up. Their sum over all processes is the number of
    processes, since gradients are averaged over these."""
    labels: torch.Tensor | None = None
    """(B,) 0 or 1."""
    tasks: torch.Tensor | None = None
    """(B, T) 0 or 1 for each task of a model of several, the first as ``labels``; any value where unknown."""
    task_weights: torch.Tensor | None = None
    """(B, T) as ``weights``, over the rows in which a task's label is known; 0 where it is not."""
    position: torch.Tensor | None = None
    """(B,) or (B, 1 + M) columns of the pool."""
    allowed: torch.Tensor | None = None
    """(B, C) bool, false for a candidate that is another of the user's training items, or only fills up."""
    log_expected: torch.Tensor | None = None
    """(C,) log of how often a candidate is expected in the pool."""
    pool_ids: torch.Tensor | None = None
    """(C,) author rows of the pool, in the order in which the processes' parts interleave."""


@dataclass
class Batch(Pipelineable):
    """Ids and tensors of one process's part of a global batch."""

    sequences: KeyedJaggedTensor
    bags: KeyedJaggedTensor | None
    pools: KeyedJaggedTensor | None
    users: UserPart | None = None
    authors: AuthorPart | None = None
    targets: Targets | None = None

    def to(self, device: torch.device, non_blocking: bool = False) -> Batch:
        """The batch on another device."""
        return _each(self, lambda part: part.to(device=device, non_blocking=non_blocking))

    def pin_memory(self) -> Batch:
        """The batch in page-locked memory, from which it can be copied beside computation."""
        return _each(self, lambda part: part.pin_memory())

    def record_stream(self, stream: torch.Stream) -> None:
        """Tells the allocator that a stream reads this batch."""

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
