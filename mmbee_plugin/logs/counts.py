"""Counts of rows read, kept and left out; printed, and stored with a log or dataset."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from mmbee_plugin.errors import InputError


@dataclass
class Dropped:
    """Rows of one table that were left out.

    Args:
        rows: all rows of the table.
        reasons: reason to the number of rows left out for it.
        example: reason to a function that shows the first of these rows.
    """

    rows: int = 0
    reasons: dict[str, int] = field(default_factory=dict)
    example: dict[str, Callable[[], str]] = field(default_factory=dict)

    @property
    def left_out(self) -> int:
        """Number of rows left out for any reason."""
        return sum(self.reasons.values())


class Counts:
    """Counts in order of their first use, rows left out of tables, and remarks."""

    def __init__(self) -> None:
        self.values: dict[str, int] = {}
        self.dropped: dict[str, Dropped] = {}
        self.remarks: list[str] = []

    def say(self, remark: str) -> None:
        """Adds a remark, a line without a count."""
        self.remarks.append(remark)

    def add(self, what: str, count: int) -> None:
        """Adds to the count of `what`, which is printed after the number: "1,234 gifts"."""
        self.values[what] = self.values.get(what, 0) + count

    def drop(self, table: str, reason: str, count: int, example: Callable[[], str]) -> None:
        """Counts rows of `table` left out for `reason`; `example` shows the first, if an error needs it."""
        self.add(f"{table} left out: {reason}", count)
        dropped = self.dropped.setdefault(table, Dropped())
        dropped.reasons[reason] = dropped.reasons.get(reason, 0) + count
        dropped.example.setdefault(reason, example)

    def read(self, table: str, rows: int) -> None:
        """Counts rows of `table` in the files, good or bad."""
        self.dropped.setdefault(table, Dropped()).rows += rows

    def check_dropped(self, most: float) -> None:
        """Raises InputError for a table that lost all rows, or more than a share `most`."""
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
        """One line per count, zeros included, then the remarks."""
        return [*(f"{count:>12,} {what}" for what, count in self.values.items()), *self.remarks]

    def notes(self) -> list[str]:
        """One line per table and reason for which rows were left out, then the remarks."""
        lost = [
            f"{count:,} of {dropped.rows:,} {table} were left out: {reason}"
            for table, dropped in self.dropped.items()
            for reason, count in dropped.reasons.items()
        ]
        return [*lost, *self.remarks]
