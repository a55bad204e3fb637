"""Period of the samples: days of training, then of validation, then of test."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import polars as pl

from mmbee_plugin.data.writer import SPLITS
from mmbee_plugin.errors import InputError
from mmbee_plugin.logs.folder import LogFolder

DAY = 86_400_000


@dataclass(frozen=True)
class Period:
    """Whole days of the log's local clock, in milliseconds since 1970 (UTC).

    Attributes:
        start: local midnight before the log's first visit.
        ends: ends of training, validation and test, excluded.
        offset: milliseconds by which the local clock is ahead of UTC.
    """

    start: int
    ends: tuple[int, int, int]
    offset: int = 0

    @classmethod
    def of(cls, log: LogFolder, train_days: int, valid_days: int, test_days: int) -> Period:
        """The first `train_days` of the log, of which the last `valid_days` are for validation, and `test_days` more.

        Raises:
            InputError: too few days, or a day without a visit.
        """
        offset = round(log.info.utc_offset * 3_600_000)
        day = ((pl.col("enter") + offset) // DAY).alias("day")
        days = log.scan("visits").group_by(day).len().collect(engine="streaming")["day"].sort().to_list()
        wanted = range(days[0], days[0] + train_days + test_days)
        if days[-1] < wanted[-1]:
            raise InputError(
                f"{log.path}: visits on {days[-1] - days[0] + 1} days, {_name(days[0])} to {_name(days[-1])}; "
                f"{train_days} days of training and {test_days} of test need {len(wanted)}"
            )
        for each in wanted:
            if each not in days:
                raise InputError(f"{log.path}: no visit on {_name(each)}; every day of the period needs some")
        start = days[0] * DAY - offset
        train, valid = start + (train_days - valid_days) * DAY, start + train_days * DAY
        return cls(start, (train, valid, valid + test_days * DAY), offset)

    def part(self, time: pl.Expr) -> pl.Expr:
        """Part of each time as int8: 0 training, 1 validation, 2 test, null outside."""
        after = pl.sum_horizontal((time >= end).cast(pl.Int8) for end in self.ends).cast(pl.Int8)
        return pl.when((time >= self.start) & (after < len(self.ends))).then(after)

    def describe(self) -> str:
        """Days of each part, in one line."""
        starts = (self.start, *self.ends)
        days = []
        for name, first, end in zip(SPLITS, starts, self.ends, strict=False):
            first, last = (first + self.offset) // DAY, (end + self.offset) // DAY - 1
            days.append(f"{name} {_name(first)}" + (f" to {_name(last)}" if last > first else ""))
        return ", ".join(days)


def _name(day: int) -> str:
    return f"{datetime.fromtimestamp(0, UTC) + timedelta(days=day):%Y-%m-%d}"
