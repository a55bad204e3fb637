"""Missing or noisy content at test time: context managers that change a trained model's content tables."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch

from mmbee_plugin.errors import InputError
from mmbee_plugin.recbole.data.content import SegmentTable
from mmbee_plugin.recbole.data.modalities import BagTable

UNITS = ("author", "segment")


class Units:
    """Seeded draws of the authors or segments to degrade, nested: a higher rate adds to those of a lower one.

    Args:
        network: an MMBee model with content.
        by: ``author`` degrades all segments of an author or none; ``segment`` each independently.

    Raises:
        InputError: unknown unit, or segments for static items.
    """

    def __init__(self, network: Any, by: str = "author", seed: int = 0) -> None:
        if by not in UNITS:
            raise InputError(f"--by {by!r}: one of {', '.join(UNITS)} is expected")
        windows = network.content.windows
        if by == "segment" and windows is None:
            raise InputError("--by segment: the data are static items, which have no segments")
        rows = len(next(iter(network.content.tables.values())).present)
        self.drawn = torch.rand(rows, generator=torch.Generator().manual_seed(seed)).to(network.device)
        if by == "author" and windows is not None:
            none = torch.tensor([rows - 1], device=network.device)  # the last row means no segment
            self.drawn = self.drawn[torch.cat([windows.first, none])]

    def hit(self, rate: float) -> torch.Tensor:
        """(rows,) bool mask of the content tables' rows to degrade at this rate."""
        return self.drawn < rate


@contextmanager
def without(network: Any, modalities: Sequence[str], gone: torch.Tensor | None = None) -> Iterator[None]:
    """Removes modalities, everywhere or in the rows ``gone`` of the content tables; restores them on exit."""
    tables = [network.content.tables[name] for name in modalities]
    kept = [table.present for table in tables]
    try:
        for table in tables:
            table.present = torch.zeros_like(table.present) if gone is None else table.present & ~gone
        yield
    finally:
        for table, present in zip(tables, kept, strict=True):
            table.present = present


@contextmanager
def with_noise(network: Any, modalities: Sequence[str], level: float, seed: int = 0) -> Iterator[None]:
    """Adds normal noise of ``level`` times each column's deviation to modalities; restores them on exit.

    Raises:
        InputError: a modality is a bag of words.
    """
    tables = [network.content.tables[name] for name in modalities]
    for name, table in zip(modalities, tables, strict=True):
        if isinstance(table, BagTable):
            raise InputError(f"noise: {name} is a bag of words, which has no numbers to put noise on")
    kept = [table.values for table in tables]
    draw = np.random.default_rng(seed)
    try:
        for table in tables:
            noise = torch.from_numpy(draw.standard_normal(table.values.shape, dtype=np.float32)) * level
            noise = noise.to(table.values.device)
            if isinstance(table, SegmentTable):
                noise = noise * table.deviation  # other tables store standardised values
            table.values = table.values.float() + noise
        yield
    finally:
        for table, values in zip(tables, kept, strict=True):
            table.values = values
