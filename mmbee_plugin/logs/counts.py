"""How many rows of a log went where: printed, and kept with the samples."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from mmbee_plugin.errors import InputError


@dataclass
class Dropped:
    """The rows of one table that were left out.

    Args:
        rows: of the table, good ones included.
        reasons: why rows were left out, to how many.
        example: of each reason, what shows its first row.
    """

    rows: int = 0
    reasons: dict[str, int] = field(default_factory=dict)
    example: dict[str, Callable[[], str]] = field(default_factory=dict)

    @property
    def left_out(self) -> int:
        """Rows that were left out for any reason."""
        return sum(self.reasons.values())


class Counts:
    """Counts in the order in which they were found, each with what it counts; and what tables lost."""

    def __init__(self) -> None:
        self.values: dict[str, int] = {}
        self.dropped: dict[str, Dropped] = {}
        self.remarks: list[str] = []

    def say(self, remark: str) -> None:
        """Adds a line that is no count."""
        self.remarks.append(remark)

    def add(self, what: str, count: int) -> None:
        """Adds to the count of `what`, which reads as the end of a line: "1,234 gifts"."""
        self.values[what] = self.values.get(what, 0) + count

    def drop(self, table: str, reason: str, count: int, example: Callable[[], str]) -> None:
        """Counts rows of `table` that are left out; `example` shows the first of them where it is asked for."""
        self.add(f"{table} left out: {reason}", count)
        dropped = self.dropped.setdefault(table, Dropped())
        dropped.reasons[reason] = dropped.reasons.get(reason, 0) + count
        dropped.example.setdefault(reason, example)

    def read(self, table: str, rows: int) -> None:
        """Counts rows of `table` as the files have them, good or not."""
        self.dropped.setdefault(table, Dropped()).rows += rows

    def check_dropped(self, most: float) -> None:
        """Raises InputError for a table that lost all rows, or more than the share `most` of them."""
        for table, dropped in self.dropped.items():
            lost = dropped.left_out
            if not lost or (lost < dropped.rows and lost <= most * dropped.rows):
                continue
            reason = max(dropped.reasons, key=lambda each: dropped.reasons[each])
            limit = f"at most {most:.1%} may be (--max-dropped)" if lost < dropped.rows else "none is left"
            raise InputError(
                f"{table}: {lost:,} of {dropped.rows:,} ({lost / dropped.rows:.1%}) are left out, {limit}; "
                f"most often, {dropped.reasons[reason]:,} times: {reason}; first {dropped.example[reason]()}"
            )

    def lines(self) -> list[str]:
        """One line a count; zeros too, so that what was looked for is seen."""
        return [*(f"{count:>12,} {what}" for what, count in self.values.items()), *self.remarks]

    def notes(self) -> list[str]:
        """A sentence a reason for which rows of a table were left out, and the remarks."""
        lost = [
            f"{count:,} of {dropped.rows:,} {table} were left out: {reason}"
            for table, dropped in self.dropped.items()
            for reason, count in dropped.reasons.items()
        ]
        return [*lost, *self.remarks]
