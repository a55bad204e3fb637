"""The time left of a long command, from its measured start."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

SHORT = 10.0
"""seconds left that need no telling; of predicted ones so few are lost in what is read and compiled"""
START = 0.05
"""share of the predicted work that measures the rest"""


def in_words(seconds: float) -> str:
    """A rough duration, such as ``about 5 min``."""
    minutes = round(seconds / 60)
    if seconds < 90:
        return f"about {seconds:.0f} s"
    return f"about {minutes} min" if minutes < 120 else f"about {seconds / 3600:.1f} h"


class TimeLeft:
    """Tells how long the rest of some pieces of work will take, by those that are done.

    Args:
        total: pieces of work.
        of: noun for them, such as ``cells``.
        there: pieces that were done before, and took no time now.
        works: (total,) predicted seconds of each, perhaps of another machine, in the order they are done; by default
            all are equal.
        before: seconds that those pieces took then, which are measured too; None if they are not known.
    """

    def __init__(
        self,
        total: int,
        of: str,
        there: int = 0,
        works: Sequence[float] | None = None,
        before: float | None = None,
    ) -> None:
        self.total, self.of = total, of
        self.done = there
        self.works = works or [1.0] * total
        self._least = 0.0 if works is None else START * sum(works) if sum(works) >= SHORT else float("inf")
        self._first = there if before is None else 0
        self._begun = time.monotonic() - (before or 0.0)

    def step(self) -> None:
        """Notes that one more piece is done."""
        self.done += 1

    @property
    def seconds(self) -> float | None:
        """Of the pieces that are not done; None as long as nothing is measured."""
        work = sum(self.works[self._first : self.done])
        if not work or work < self._least:
            return None
        return (time.monotonic() - self._begun) / work * sum(self.works[self.done :])

    def __str__(self) -> str:
        """Such as ``about 12 min left (measured on 2 of 36 cells)``."""
        left = self.seconds
        if left is None:
            return "time left unknown"
        return f"{in_words(left)} left (measured on {self.done - self._first} of {self.total} {self.of})"

    def beside(self, stage: str) -> str:
        """A stage's name, with the time left where there is much."""
        return stage if (self.seconds or 0.0) < SHORT else f"{stage}; {self}"


def with_time_left(show: Callable[[str], None], left: TimeLeft) -> Callable[[str], None]:
    """``show`` that is called with the name of each of the pieces as it starts, and adds the time left."""
    begun = False

    def told(stage: str) -> None:
        nonlocal begun
        if begun:
            left.step()
        begun = True
        show(left.beside(stage))

    return told
