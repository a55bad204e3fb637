"""How many rows of a log went where: printed, and kept with the samples."""

from __future__ import annotations


class Counts:
    """Counts in the order in which they were found, each with what it counts."""

    def __init__(self) -> None:
        self.values: dict[str, int] = {}

    def add(self, what: str, count: int) -> None:
        """Adds to the count of `what`, which reads as the end of a line: "1,234 gifts"."""
        self.values[what] = self.values.get(what, 0) + count

    def lines(self) -> list[str]:
        """One line a count; zeros too, so that what was looked for is seen."""
        return [f"{count:>12,} {what}" for what, count in self.values.items()]
