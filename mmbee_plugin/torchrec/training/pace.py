"""Training throughput in samples per second of wall-clock time, pauses excluded."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager


class Pace:
    """Counts samples and seconds, since the last reading and in total."""

    def __init__(self) -> None:
        self.samples, self.seconds = 0, 0.0
        self._new = 0
        self._since = time.perf_counter()

    def start(self) -> None:
        """Starts the clock; drops samples added since the last reading."""
        self._new, self._since = 0, time.perf_counter()

    def add(self, samples: int) -> None:
        """Counts samples as trained on."""
        self._new += samples

    def read(self) -> float:
        """Samples per second since the last reading."""
        now = time.perf_counter()
        passed, done = now - self._since, self._new
        self.samples, self.seconds = self.samples + done, self.seconds + passed
        self._new, self._since = 0, now
        return done / passed

    @property
    def mean(self) -> float | None:
        """Samples per second over all readings; None before the first."""
        return self.samples / self.seconds if self.seconds else None

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Excludes the time spent inside, such as on saving a checkpoint."""
        begun = time.perf_counter()
        try:
            yield
        finally:
            self._since += time.perf_counter() - begun
