"""Converts the times of released logs, numbers or dates, to milliseconds since 1970 (UTC)."""

from __future__ import annotations

from typing import NamedTuple

import polars as pl

from mmbee_plugin.logs.checks import EARLIEST, LATEST

HOUR, DAY = 3_600_000, 86_400_000
# Words for a missing time; numbers of 0 or less and dates of 1970 mean the same.
_MISSING = ("null", "none", "nan", "nat", "na", "n/a", "\\n", "-")
_DATE = (
    r"^(?<year>\d{4})[-/.](?<month>\d{1,2})[-/.](?<day>\d{1,2})(?:[Tt]|\s+)"
    r"(?<hour>\d{1,2}):(?<minute>\d{1,2})(?::(?<second>\d{1,2})(?:[.,](?<fraction>\d+))?)?"
    r"\s*(?:(?<utc>[Zz]|UTC|GMT)|(?<sign>[+-])(?<ahead>\d{1,2})(?::?(?<minutes>\d{2}))?)?$"
)


class Time(NamedTuple):
    """A column of times: `value`, int64 ms or null, and `there`, whether the field holds other than a missing value."""

    value: pl.Expr
    there: pl.Expr


def in_range(value: pl.Expr) -> pl.Expr:
    """Whether milliseconds lie in the years 2000 to 2100."""
    return value.is_between(EARLIEST, LATEST).fill_null(False)


class Forms(NamedTuple):
    """Forms of times that occur in a text column: whole numbers, fractions, other; absent ones need no parsing."""

    whole: bool
    fraction: bool
    other: bool


ALL_FORMS = Forms(True, True, True)


def forms_of(frame: pl.LazyFrame, columns: list[str]) -> dict[str, Forms]:
    """Forms in each of the text columns, found in one pass."""
    tests: dict[str, pl.Expr] = {}
    for column in columns:
        text = pl.col(column).cast(pl.String, strict=False).str.strip_chars()
        whole = text.cast(pl.Int64, strict=False).is_not_null()
        number = text.cast(pl.Float64, strict=False).is_not_null()
        tests |= {
            f"{column} whole": whole.any(),
            f"{column} fraction": (number & ~whole).any(),
            f"{column} other": (~number & (text != "")).any(),
        }
    if not tests:
        return {}
    found = frame.select(**tests).collect(engine="streaming").row(0, named=True)
    return {
        column: Forms(*(bool(found[f"{column} {field}"]) for field in Forms._fields)) for column in columns
    }


def as_time(column: pl.Expr, kind: pl.DataType, zone: float, has: Forms = ALL_FORMS) -> Time:
    """Reads a column of any type as times.

    A number counts seconds, milliseconds, microseconds or nanoseconds since 1970, whichever puts it between 2000 and
    2100; only one can. A date needs a time of day, such as `2025-05-04 12:30:00`; `/`, `.`, `T`, a fraction and a zone
    (`Z`, `+08:00`), which overrides `zone`, are allowed.

    Args:
        kind: the column's type in the file.
        zone: hours ahead of UTC of dates without a zone.
        has: forms that occur in a text column.
    """
    offset = round(zone * HOUR)
    if isinstance(kind, pl.Datetime):
        found = column.dt.epoch("ms") - (0 if kind.time_zone else offset)
        there = column.is_not_null() & (column.dt.year() > 1970)
    elif kind.is_numeric():
        column = column.fill_nan(None) if kind.is_float() else column
        found, there = _from_number(column), column.is_not_null() & ~(column <= 0)
    else:
        text = column.cast(pl.String, strict=False).str.strip_chars()
        forms, nothing = [pl.lit(None, pl.Int64)], text == ""
        if has.whole:
            number = text.cast(pl.Int64, strict=False)
            forms.append(_from_number(number))
            nothing = nothing | (number <= 0).fill_null(False)
        if has.fraction:
            number = text.cast(pl.Float64, strict=False)
            forms.append(_from_number(number.fill_nan(None)))
            nothing = nothing | ((number <= 0) | number.is_nan()).fill_null(False)
        if has.other:
            forms.append(_from_date(text, offset))
            nothing = nothing | text.str.to_lowercase().is_in(_MISSING) | text.str.starts_with("1970")
        found, there = pl.coalesce(forms), column.is_not_null() & ~nothing
    return Time(found, there)


def _from_number(number: pl.Expr) -> pl.Expr:
    """Milliseconds of numbers in any of the four units; other numbers unchanged."""
    return (
        pl.when(number.is_between(EARLIEST / 1e3, LATEST / 1e3))
        .then((number * 1000).round())
        .when(number.is_between(EARLIEST * 1e3, LATEST * 1e3))
        .then(number // 1000)
        .when(number.is_between(EARLIEST * 1e6, LATEST * 1e6))
        .then(number // 1_000_000)
        .otherwise(number)
        .cast(pl.Int64, strict=False)
    )


def _from_date(text: pl.Expr, offset: int) -> pl.Expr:
    """Milliseconds of dates; null for other texts."""
    return text.map_batches(lambda batch: _dates(batch, offset), return_dtype=pl.Int64, is_elementwise=True)


def _dates(batch: pl.Series, offset: int) -> pl.Series:
    """`_from_date` of a batch; batches let each text be parsed once."""
    parts = batch.to_frame("text").select(pl.col("text").str.extract_groups(_DATE)).unnest("text")
    part = pl.col
    day = pl.concat_str([part("year"), part("month"), part("day")], separator="-")
    hour = pl.concat_str(
        [part("hour"), part("minute"), pl.coalesce(part("second"), pl.lit("0"))], separator=":"
    )
    clock = pl.concat_str([day, hour], separator=" ").str.to_datetime(
        "%Y-%m-%d %H:%M:%S", time_unit="ms", strict=False
    )
    milliseconds = part("fraction").str.head(3).str.pad_end(3, "0").cast(pl.Int64).fill_null(0)
    minutes = part("ahead").cast(pl.Int64) * 60 + part("minutes").cast(pl.Int64).fill_null(0)
    ahead = pl.when(part("sign") == "-").then(-minutes).otherwise(minutes) * 60_000
    zone = pl.when(part("utc").is_not_null()).then(0).otherwise(pl.coalesce(ahead, pl.lit(offset)))
    return parts.select(clock.dt.epoch("ms") + milliseconds - zone).to_series()


def without_zone(values: pl.Series) -> bool:
    """Whether these times are dates without a zone, judged by the first that is not null."""
    if isinstance(values.dtype, pl.Datetime):
        return values.dtype.time_zone is None
    if values.dtype != pl.String or not len(there := values.drop_nulls().head(1)):
        return False
    date = there.str.strip_chars().str.extract_groups(_DATE).struct
    return (
        date.field("year").is_not_null().all()
        and (date.field("utc").is_null() & date.field("sign").is_null()).all()
    )


def days_agree(frame: pl.LazyFrame) -> dict[int, float]:
    """Share of rows whose `day` is right, by hours of the clock ahead of UTC, -12 to 14.

    Args:
        frame: `first` and `last`, ms, and `day`, a date as text or number, 20250504 or 2025-05-04. The day is right if
            it is from that of `first` to that of `last`. Rows with a null `first` or `day` do not count.
    """
    digits = pl.col("day").cast(pl.String).str.replace_all(r"\D", "").str.head(8)
    midnight = digits.str.to_date("%Y%m%d", strict=False).cast(pl.Datetime("ms")).dt.epoch("ms")
    # Hours since midnight UTC of the day, clipped to two days around it.
    hours = frame.select(
        ((pl.col(name) - midnight) // HOUR).clip(-48, 72).alias(name) for name in ("first", "last")
    )
    counted = hours.drop_nulls("first").group_by("first", "last").len().collect(engine="streaming")
    first, last = counted["first"], counted["last"].fill_null(72)
    rows, total = counted["len"].to_numpy(), max(int(counted["len"].sum()), 1)
    return {
        ahead: int(rows[((first + ahead < 24) & (last + ahead >= 0)).to_numpy()].sum()) / total
        for ahead in range(-12, 15)
    }
