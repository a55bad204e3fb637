"""A segment of a live room, as it is received."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Segment:
    """A segment of a live room.

    Attributes:
        start, end: seconds since the epoch.
        values: modality -> (F, D) as stored; no entry for a missing modality.
    """

    start: float
    end: float
    values: Mapping[str, NDArray] = field(default_factory=dict)


def stored_segments(
    starts: NDArray, ends: NDArray, values: Mapping[str, NDArray], present: Mapping[str, NDArray]
) -> list[Segment]:
    """The segments in one author's window (L,), one row of :class:`~mmbee_plugin.serving.bundle.source.Windows`."""
    return [
        Segment(
            float(starts[place]),
            float(ends[place]),
            {name: np.array(rows[place]) for name, rows in values.items() if present[name][place]},
        )
        for place in range(len(starts))
        if not np.isnan(starts[place])
    ]
