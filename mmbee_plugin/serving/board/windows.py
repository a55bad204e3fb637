"""The newest segments of each live author as they came in, whichever bundle encodes them."""

from __future__ import annotations

import threading
from bisect import bisect_left
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from mmbee_plugin.serving.bundle.source import LiveContent

ACCEPTED, LATE, DUPLICATE = "accepted", "late", "duplicate"


@dataclass(frozen=True)
class Segment:
    """A stretch of a live room.

    Attributes:
        start, end: seconds since the epoch.
        values: per modality (F, D) as stored; without an entry the segment lacks the modality.
    """

    start: float
    end: float
    values: Mapping[str, NDArray] = field(default_factory=dict)


class Windows:
    """At most L segments an author, sorted by start. Threads may share one.

    Args:
        content: how segments are read; L, and what their features look like.

    Attributes:
        changes: how many segments were taken.
    """

    def __init__(self, content: LiveContent) -> None:
        self.content, self.changes = content, 0
        self._of: dict[str, list[Segment]] = {}
        self._changed: dict[str, int] = {}
        self._lock = threading.Lock()

    def of(self, author: str) -> list[Segment]:
        """The author's segments, oldest first."""
        with self._lock:
            return list(self._of.get(author, ()))

    def changed(self, since: int = -1) -> list[str]:
        """Authors of whom segments were taken since there were so many changes; all authors by default."""
        with self._lock:
            return [author for author, change in self._changed.items() if change > since]

    def add(self, author: str, segment: Segment) -> str:
        """Takes a segment at its place in time, the oldest one makes way; or tells why not.

        Returns:
            ``accepted``, ``duplicate`` (the author has a segment of that start: the first stays), or ``late`` (older
            than all L that are kept).
        """
        with self._lock:
            became = self._put(author, segment)
            if became == ACCEPTED:
                self.changes += 1
                self._changed[author] = self.changes
            return became

    def seed(self, author: str, segments: Sequence[Segment]) -> None:
        """Puts behind what came in what a bundle has from before; that is no change."""
        with self._lock:
            self._changed.setdefault(author, 0)
            for segment in segments:
                self._put(author, segment)

    def _put(self, author: str, segment: Segment) -> str:
        own = self._of.setdefault(author, [])
        place = bisect_left(own, segment.start, key=lambda one: one.start)
        if place < len(own) and own[place].start == segment.start:
            return DUPLICATE
        if place == 0 and len(own) >= self.content.length:
            return LATE
        own.insert(place, segment)
        del own[: -self.content.length]
        return ACCEPTED


def stored_segments(
    starts: NDArray, ends: NDArray, values: Mapping[str, NDArray], present: Mapping[str, NDArray]
) -> list[Segment]:
    """A bundle's window (L,) of one author as segments; arguments as in
    :class:`~mmbee_plugin.serving.bundle.source.Windows`, of one row."""
    return [
        Segment(
            float(starts[place]),
            float(ends[place]),
            {name: np.array(rows[place]) for name, rows in values.items() if present[name][place]},
        )
        for place in range(len(starts))
        if not np.isnan(starts[place])
    ]
