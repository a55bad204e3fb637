"""Segments of live data in a shards folder: memory-mapped features, standardised when read."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import numpy as np
from numpy.typing import NDArray

from mmbee_plugin.data.segments import Scaling, SegmentFeatures
from mmbee_plugin.torchrec.shards.files import ShardWriter


def write_segments(
    writer: ShardWriter, segments: SegmentFeatures, modalities: Iterable[str], until: float
) -> None:
    """Writes the segments' features, and the first and newest segments of their authors.

    Args:
        modalities: those to write.
        until: end of training, in seconds; mean and deviation are of segments that end by then.
    """
    writer.array("segments/first", segments.first.numpy())
    writer.array("segments/newest", segments.newest(until))
    for name in modalities:
        writer.array(f"features/{name}/values", segments.values(name))
        writer.array(f"features/{name}/present", segments.present(name))
        for part, row in segments.scaling(name, until)._asdict().items():
            writer.array(f"features/{name}/{part}", row)


class SegmentStore:
    """The segments of a shards folder.

    Args:
        mapped: maps an array of the folder, by name.
    """

    def __init__(self, mapped: Callable[[str], NDArray]) -> None:
        self._mapped = mapped

    def newest(self, authors: NDArray) -> NDArray[np.int64]:
        """(b,) row of the newest segment of author rows (b,) at the end of training, -1 for none."""
        return self._mapped("segments/newest")[authors]

    def windows(self, rows: NDArray, length: int) -> NDArray[np.int64]:
        """(b, length) rows of the same author's last segments up to rows (b,), oldest first; -1 for none in both."""
        first = self._mapped("segments/first")[np.maximum(rows, 0)] if (rows >= 0).any() else rows
        window = rows[:, None] + np.arange(1 - length, 1)
        return np.where((rows[:, None] >= 0) & (window >= first[:, None]), window, -1)

    def stored(self, modality: str, windows: NDArray) -> tuple[NDArray, NDArray[np.bool_]]:
        """Windows (b, L) of segments -> vectors (b, L, F, D) as they are stored, zero where absent, and presence
        (b, L)."""
        values = self._mapped(f"features/{modality}/values")
        present = windows >= 0
        present[present] = self._mapped(f"features/{modality}/present")[windows[present]]
        found = np.zeros((*windows.shape, *values.shape[1:]), dtype=values.dtype)
        found[present] = values[windows[present]]
        return found, present

    def scaling(self, modality: str) -> Scaling:
        """Mean and deviation that standardise a modality."""
        return Scaling(*(self._mapped(f"features/{modality}/{part}") for part in Scaling._fields))

    def features(self, modality: str, windows: NDArray) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
        """Windows (b, L) of segments -> standardised vectors (b, L, F, D), zero where absent, and presence (b, L)."""
        values, present = self.stored(modality, windows)
        mean, deviation = self.scaling(modality)
        found = np.zeros(values.shape, dtype=np.float32)
        found[present] = (values[present].astype(np.float32) - mean) / deviation
        return found, present
