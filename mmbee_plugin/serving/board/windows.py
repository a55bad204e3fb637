"""The newest received segments of each live author, independent of the bundle that encodes them."""

from __future__ import annotations

import math
import threading
import time
from bisect import bisect_left
from collections.abc import Sequence
from pathlib import Path

from mmbee_plugin.errors import one_line
from mmbee_plugin.serving.board.journal import ENOUGH, Journal, NotKept
from mmbee_plugin.serving.board.segment import Segment
from mmbee_plugin.serving.bundle.source import LiveContent

SWEEP = 10_000
"""segments after which, at the earliest, windows are dropped again"""
ACCEPTED, LATE, DUPLICATE = "accepted", "late", "duplicate"


class Windows:
    """At most L segments of each author, sorted by start; thread-safe.

    An author whose newest segment is too old is dropped; its next segment finds those that a bundle seeds.

    Args:
        content: gives L, the shapes of features, and how long authors stay on the board.
        journal: folder of the file that segments are kept in and taken from; None keeps none.
        keep: seconds that an author's segments are kept after the end of the newest, if it is off the board.

    Attributes:
        changes: number of segments accepted so far.
    """

    def __init__(self, content: LiveContent, journal: Path | None = None, keep: float = math.inf) -> None:
        self.content, self.keep, self.changes = content, keep, 0
        self._newest, self._sweep = -math.inf, SWEEP
        self._of: dict[str, list[Segment]] = {}
        self._changed: dict[str, int] = {}
        self._held, self._enough = 0, ENOUGH
        self._lock = threading.Lock()
        self._journal: Journal | None = None
        if journal is not None:
            kept = Journal(journal, content)
            for author, segment in kept.read():
                self.add(author, segment)
            self._journal = kept
            self._drop()

    def __contains__(self, author: str) -> bool:
        return author in self._of

    @property
    def clock(self) -> float:
        """End of the newest segment, in seconds since the epoch, at most now; -inf before the first. It is not the
        machine's time, since a simulated stream has its own."""
        return min(self._newest, time.time())

    def of(self, author: str) -> list[Segment]:
        """The author's segments, oldest first."""
        with self._lock:
            return list(self._of.get(author, ()))

    def changed(self, since: int = -1, ended: float = -math.inf) -> list[str]:
        """Authors with segments accepted after change number ``since``, by default all, whose newest has ended at
        ``ended`` or later."""
        with self._lock:
            return [
                author
                for author, change in self._changed.items()
                if change > since and self._of[author][-1].end >= ended
            ]

    def add(self, author: str, segment: Segment) -> str:
        """Inserts a segment by start, dropping the oldest beyond L.

        Returns:
            ``accepted``, ``duplicate`` (the author has a segment of that start, which is kept), or ``late`` (older than
            all L kept).

        Raises:
            NotKept: the journal cannot be written; nothing was added.
        """
        with self._lock:
            place = self._place(author, segment)
            if isinstance(place, str):
                return place
            self._keep(author, segment)
            self._insert(author, place, segment)
            self.changes += 1
            self._changed[author] = self.changes
            self._newest = max(self._newest, segment.end)
            if self.changes >= self._sweep:
                self._drop()
            return ACCEPTED

    def seed(self, author: str, segments: Sequence[Segment]) -> None:
        """Inserts a bundle's own segments of an author, without counting them as changes."""
        with self._lock:
            if segments:  # an author without one has no window to encode
                self._changed.setdefault(author, 0)
            for segment in segments:
                place = self._place(author, segment)
                if not isinstance(place, str):
                    self._insert(author, place, segment)

    def _place(self, author: str, segment: Segment) -> int | str:
        """Where the segment belongs among the author's, or why it does not."""
        own = self._of.get(author, [])
        place = bisect_left(own, segment.start, key=lambda one: one.start)
        if place < len(own) and own[place].start == segment.start:
            return DUPLICATE
        return LATE if place == 0 and len(own) >= self.content.length else place

    def _insert(self, author: str, place: int, segment: Segment) -> None:
        own = self._of.setdefault(author, [])
        self._held -= len(own)
        own.insert(place, segment)
        del own[: -self.content.length]
        self._held += len(own)

    def _drop(self) -> None:
        """Drops who is off the air too long; each time takes as many segments as there are authors, or `SWEEP`."""
        oldest = self.clock - max(self.keep, self.content.stays)
        for author in [author for author, own in self._of.items() if own[-1].end < oldest]:
            self._held -= len(self._of.pop(author))
            del self._changed[author]
        self._sweep = self.changes + max(SWEEP, len(self._of))

    def _keep(self, author: str, segment: Segment) -> None:
        """Writes a segment to the journal, which is written anew at twice what the windows hold."""
        if self._journal is None:
            return
        if self._journal.count >= max(self._enough, 2 * self._held):
            self._write_anew(self._journal)
        try:
            self._journal.append(author, segment)
        except OSError as error:
            raise NotKept(
                f"{self._journal.path}: cannot be written ({one_line(error)}); send it again"
            ) from None

    def _write_anew(self, journal: Journal) -> None:
        """Where there is no space for that, the journal goes on as it is until it is twice as long."""
        try:
            journal.write_anew((author, segment) for author, own in self._of.items() for segment in own)
            self._enough = ENOUGH
        except OSError:
            self._enough = 2 * journal.count
