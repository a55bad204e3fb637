"""What a model costs: its parameters, and the CPU seconds of its work."""

from __future__ import annotations

import resource
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from torch import nn

DIGITS = 4
"""significant, of CPU times in a cell's facts"""


def cpu_seconds() -> float:
    """CPU seconds so far: of this process with all its threads, and of those of its children that have ended."""
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.process_time() + children.ru_utime + children.ru_stime


class CPUClock:
    """CPU seconds, as :func:`cpu_seconds`, over the blocks under :meth:`running`.

    Unlike the clock on the wall it stands still while other processes have the core. What they do to caches and memory
    bandwidth it does count.
    """

    def __init__(self) -> None:
        self.seconds = 0.0

    @contextmanager
    def running(self) -> Iterator[None]:
        """Counts a block."""
        begun = cpu_seconds()
        try:
            yield
        finally:
            self.seconds += cpu_seconds() - begun

    def per(self, count: float, unit: float = 1.0) -> float:
        """The time by ``count`` things, in ``unit`` seconds."""
        return float(f"{self.seconds / count / unit:.{DIGITS}g}")


def parameter_counts(network: nn.Module, users: int, items: int) -> dict[str, int]:
    """Number of trained weights as a cell's facts: ``parameters``, and of them ``embedding_parameters``.

    Args:
        users, items: rows of a table of users and of items, padding included. A weight with so many rows, or with both
            together, is an embedding, as is one of `nn.Embedding` or `nn.EmbeddingBag`.
    """
    of_tables: set[Any] = {
        weight
        for module in network.modules()
        if isinstance(module, nn.Embedding | nn.EmbeddingBag)
        for weight in module.parameters(recurse=False)
    }
    rows = {users, items, users + items}
    trained = [weight for weight in network.parameters() if weight.requires_grad]
    embedded = [
        weight for weight in trained if weight in of_tables or (weight.dim() > 1 and len(weight) in rows)
    ]
    return {
        "parameters": sum(weight.numel() for weight in trained),
        "embedding_parameters": sum(weight.numel() for weight in embedded),
    }
