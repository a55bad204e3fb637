"""The time left of a long command, from its measured start."""

from __future__ import annotations

import time


def in_words(seconds: float) -> str:
    """A rough duration, such as ``about 5 min``."""
    minutes = round(seconds / 60)
    if seconds < 90:
        return f"about {seconds:.0f} s"
    return f"about {minutes} min" if minutes < 120 else f"about {seconds / 3600:.1f} h"


class TimeLeft:
    """Tells how long the rest of equal pieces of work will take, by those that are done.

    Args:
        total: pieces of work.
        of: noun for them, such as ``cells``.
        there: pieces that were done before, and took no time now.
    """

    def __init__(self, total: int, of: str, there: int = 0) -> None:
        self.total, self.of, self.there = total, of, there
        self.done = there
        self._begun = time.monotonic()

    def step(self) -> None:
        """Notes that one more piece is done."""
        self.done += 1

    def __str__(self) -> str:
        """Such as ``about 12 min left (measured on 2 of 36 cells)``."""
        measured = self.done - self.there
        if not measured:
            return "time left unknown"
        left = (time.monotonic() - self._begun) / measured * (self.total - self.done)
        return f"{in_words(left)} left (measured on {measured} of {self.total} {self.of})"
