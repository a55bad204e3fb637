"""Settings of log conversion and of sampling."""

from __future__ import annotations

from dataclasses import dataclass

from mmbee_plugin.data.live import KNOWN, WINDOW
from mmbee_plugin.errors import InputError

NEGATIVES = ("visits", "impressions", "both")
"""kinds of negatives: visits that ended without a gift, rooms shown and not entered, or both"""
TASKS = ("comment", "like", "long_watch")
"""labels of rows besides the gift; all but the last are kinds of the table `feedback`"""


@dataclass(frozen=True)
class ConvertSettings:
    """The options of `mmbee data convert` for logs."""

    zone: float | None = None
    """Hours ahead of UTC of dates without a zone; None: UTC, unless the files' own days say otherwise."""
    max_dropped: float = 0.05
    """Share of a table's rows that may be left out."""

    def __post_init__(self) -> None:
        """Raises InputError that names an option out of range."""
        if self.zone is not None and not -12 <= self.zone <= 14:
            raise InputError(f"--zone {self.zone}: hours ahead of UTC, from -12 to 14, are needed")
        if not 0 <= self.max_dropped <= 1:
            raise InputError(f"--max-dropped {self.max_dropped}: a share from 0 to 1 is needed")


@dataclass(frozen=True)
class SampleSettings:
    """The options of `mmbee data samples`."""

    train_days: int = 7
    """Days of the training period, from the log's first."""
    valid_days: int = 1
    """How many of them, the last, are for validation."""
    test_days: int = 1
    """Days after the training period."""
    window: int = 30
    """Seconds of a window."""
    segments: int = 20
    """Newest segments of a sample that are kept for it."""
    segments_known: str = WINDOW
    """One of `KNOWN`: what of its author's segments a sample knows."""
    negatives: str = "visits"
    """One of `NEGATIVES`."""
    train_negatives: float = 1.0
    """Share of the negatives that become training rows."""
    test_negatives: float = 1.0
    """The same for validation and test."""
    gift_tolerance: float = 0.0
    """Seconds before or after a visit in which a gift is still of the visit."""
    long_watch: float = 60.0
    """Seconds after which a visit is a long one."""
    visits: bool = False
    """Whether the visits before the end of training are written too, for `graph.visits`."""
    seed: int = 0
    """Of the draw of negatives."""

    def __post_init__(self) -> None:
        """Raises InputError that names an option out of range."""
        if not 1 <= self.valid_days < self.train_days or self.test_days < 1:
            raise InputError(
                f"--train-days {self.train_days}, --valid-days {self.valid_days}, --test-days {self.test_days}: each "
                "part needs a day, and validation days are the last of the training days"
            )
        for name in ("train_negatives", "test_negatives"):
            if not 0 < getattr(self, name) <= 1:
                raise InputError(
                    f"{_option(name)} {getattr(self, name)}: a share above 0, at most 1, is needed"
                )
        for name, known in (("negatives", NEGATIVES), ("segments_known", KNOWN)):
            if getattr(self, name) not in known:
                raise InputError(
                    f"{_option(name)} {getattr(self, name)!r}: one of {', '.join(known)} is needed"
                )
        if not 0 <= self.gift_tolerance < float("inf"):
            raise InputError(f"--gift-tolerance {self.gift_tolerance}: seconds from 0 are needed")
        for name in ("window", "segments", "long_watch"):
            if not getattr(self, name) > 0:
                raise InputError(f"{_option(name)} {getattr(self, name)}: a number above 0 is needed")
        if not 0 <= self.seed < 2**64:
            raise InputError(f"--seed {self.seed}: a whole number from 0 is needed")


def _option(name: str) -> str:
    return "--" + name.replace("_", "-")
