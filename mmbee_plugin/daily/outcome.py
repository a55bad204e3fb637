"""What a day of the loop came to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class DayOutcome:
    """What a day came to."""

    day: str
    """YYYY-MM-DD"""
    bundle: str
    """id of the bundle that was built"""
    served: str | None
    """id of the bundle that CURRENT names after the day; None if nothing was published yet"""
    opens: bool
    """whether the gate opened"""
    reason: str
    """of the gate, in one line"""
    alarms: tuple[str, ...]
    """shifts of the log, a line each"""
    start: str
    """what training started from, in one line"""
    cold: bool
    """whether it started from nothing"""
    cpu_seconds: Mapping[str, float]
    """of each stage"""
    report: Path

    @property
    def published(self) -> bool:
        """Whether CURRENT names the day's bundle: not if the gate closed, nor found again once another one serves."""
        return self.served == self.bundle
