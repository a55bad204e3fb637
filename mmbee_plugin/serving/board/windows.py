"""The newest received segments of each live author, independent of the bundle that encodes them."""

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
    """A segment of a live room.

    Attributes:
        start, end: seconds since the epoch.
        values: modality -> (F, D) as stored; no entry for a missing modality.
    """

    start: float
    end: float
    values: Mapping[str, NDArray] = field(default_factory=dict)


class Windows:
    """At most L segments of each author, sorted by start; thread-safe.

    Args:
        content: gives L and the shapes of features.

    Attributes:
        changes: number of segments accepted so far.
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
        """Authors with segments accepted after change number ``since``; all authors by default."""
        with self._lock:
            return [author for author, change in self._changed.items() if change > since]

    def add(self, author: str, segment: Segment) -> str:
        """Inserts a segment by start, dropping the oldest beyond L.

        Returns:
            ``accepted``, ``duplicate`` (the author has a segment of that start, which is kept), or ``late`` (older than
            all L kept).
        """
        with self._lock:
            became = self._put(author, segment)
            if became == ACCEPTED:
                self.changes += 1
                self._changed[author] = self.changes
            return became

    def seed(self, author: str, segments: Sequence[Segment]) -> None:
        """Inserts a bundle's own segments of an author, without counting them as changes."""
        with self._lock:
            if segments:  # an author without one has no window to encode
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
