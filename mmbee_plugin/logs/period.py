"""Period of the samples: days of training, then of validation, then of test; or a window that ends with a given day."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

import polars as pl

from mmbee_plugin.data.writer import SPLITS
from mmbee_plugin.errors import InputError
from mmbee_plugin.logs.folder import LogFolder

DAY = 86_400_000
HOUR = 3_600_000
EPOCH = date(1970, 1, 1)


@dataclass(frozen=True)
class Period:
    """Stretches of the log's local clock, in milliseconds since 1970 (UTC).

    Attributes:
        start: local midnight before the log's first visit; of a window, its start.
        ends: ends of training, validation and test, excluded; a test part that ends with validation is empty.
        offset: milliseconds by which the local clock is ahead of UTC.
        window: whether what is before `start` is left out, segments too.
        missing: days of a window without a visit, as days since 1970.
    """

    start: int
    ends: tuple[int, int, int]
    offset: int = 0
    window: bool = False
    missing: tuple[int, ...] = ()

    @classmethod
    def of(cls, log: LogFolder, train_days: int, valid_days: int, test_days: int) -> Period:
        """The first `train_days` of the log, of which the last `valid_days` are for validation, and `test_days` more.

        Raises:
            InputError: too few days, or a day without a visit.
        """
        offset, days = offset_of(log), days_of(log)
        wanted = range(days[0], days[0] + train_days + test_days)
        if days[-1] < wanted[-1]:
            raise InputError(
                f"{log.path}: {_visits(days)}; "
                f"{train_days} days of training and {test_days} of test need {len(wanted)}"
            )
        for each in wanted:
            if each not in days:
                raise InputError(
                    f"{log.path}: no visit on {name_of(each)}; every day of the period needs some"
                )
        start = days[0] * DAY - offset
        train, valid = start + (train_days - valid_days) * DAY, start + train_days * DAY
        return cls(start, (train, valid, valid + test_days * DAY), offset)

    @classmethod
    def until(cls, log: LogFolder, day: int, window_days: int, holdout_hours: int) -> Period:
        """A window whose validation part is the last hours of a day, whose training part is the days before them.

        The window starts whole days before its training part ends, at the earliest with the day of the log's first
        visit, so days counted from `start` end with the training part. Its test part is empty.

        Args:
            day: number of the local day, see `day_of`.
            window_days: days of the training part, fewer where the log begins later.
            holdout_hours: hours of the validation part, 24 for the whole day.

        Raises:
            InputError: no visit on the day itself.
        """
        offset, days = offset_of(log), days_of(log)
        end = (day + 1) * DAY - offset
        cut = end - holdout_hours * HOUR
        if day not in days:
            raise InputError(f"{log.path}: no visit on {name_of(day)}; {_visits(days)}")
        first = days[0] * DAY - offset
        if cut <= first:
            raise InputError(
                f"{log.path}: {name_of(day)} is the first day, so a holdout of {holdout_hours} hours leaves nothing "
                "to train on"
            )
        whole = min(window_days, -(-(cut - first) // DAY))
        start = cut - whole * DAY
        window = range(max(days[0], (start + offset) // DAY), day)
        missing = tuple(each for each in window if each not in days)
        return cls(start, (cut, end, end), offset, window=True, missing=missing)

    @property
    def parts(self) -> tuple[str, ...]:
        """Names of the parts that are not empty."""
        return SPLITS if self.ends[2] > self.ends[1] else SPLITS[:2]

    def part(self, time: pl.Expr) -> pl.Expr:
        """Part of each time as int8: 0 training, 1 validation, 2 test, null outside."""
        after = pl.sum_horizontal((time >= end).cast(pl.Int8) for end in self.ends).cast(pl.Int8)
        return pl.when((time >= self.start) & (after < len(self.ends))).then(after)

    def describe(self) -> str:
        """Days of each part, and the missing ones, in one line."""
        starts = (self.start, *self.ends)
        days = []
        for name, first, end in zip(self.parts, starts, self.ends, strict=False):
            if self.window:
                days.append(f"{name} {_moment(first + self.offset)} to {_moment(end + self.offset)}")
                continue
            first, last = (first + self.offset) // DAY, (end + self.offset) // DAY - 1
            days.append(f"{name} {name_of(first)}" + (f" to {name_of(last)}" if last > first else ""))
        if self.missing:
            days.append(f"no visit on {', '.join(map(name_of, self.missing))}")
        return ", ".join(days)


def days_of(log: LogFolder) -> list[int]:
    """The local days with a visit, as days since 1970, ascending."""
    day = ((pl.col("enter") + offset_of(log)) // DAY).alias("day")
    return log.scan("visits").group_by(day).len().collect(engine="streaming")["day"].sort().to_list()


def day_of(log: LogFolder, text: str) -> int:
    """A day written YYYY-MM-DD of the local clock, or counted from 1 of the log, as days since 1970.

    Raises:
        InputError: neither of the two, or a day outside the log.
    """
    days = days_of(log)
    if text.isascii() and text.isdigit() and len(text) <= 6:
        day = days[0] + int(text) - 1
    else:
        try:
            day = (date.fromisoformat(text) - EPOCH).days
        except ValueError:
            raise InputError(
                f"day {text!r}: a date YYYY-MM-DD, or a day's number from 1 of the log, is needed"
            ) from None
    if not days[0] <= day <= days[-1]:
        raise InputError(f"day {text}: {log.path} has {_visits(days)}")
    return day


def name_of(day: int) -> str:
    """A day since 1970 as YYYY-MM-DD."""
    return f"{EPOCH + timedelta(days=day):%Y-%m-%d}"


def offset_of(log: LogFolder) -> int:
    """Milliseconds by which the log's local clock is ahead of UTC."""
    return round(log.info.utc_offset * HOUR)


def _visits(days: list[int]) -> str:
    return f"visits on {days[-1] - days[0] + 1} days, {name_of(days[0])} to {name_of(days[-1])}"


def _moment(time: int) -> str:
    return f"{datetime.fromtimestamp(time / 1000, UTC):%Y-%m-%d %H:%M}"
