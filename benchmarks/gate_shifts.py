"""Shifts that `gate.py` plants into a day of a simulated log."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from mmbee_plugin.logs.folder import LogFolder

HOUR_MS = 3_600_000


@dataclass(frozen=True)
class Shifted:
    """A copy of a log to be changed.

    Attributes:
        more: the same simulation with four times the gifts.
        begin: of the day, ms since the epoch.
    """

    log: Path
    more: Path
    begin: int

    def scan(self, name: str) -> pl.LazyFrame:
        return LogFolder(self.log).scan(name)

    def within(self, column: str, first: int = 0, last: int = 24) -> pl.Expr:
        """Whether a time is from one hour of the day to another."""
        ends = (self.begin + hour * HOUR_MS for hour in (first, last))
        return pl.col(column).is_between(*ends, closed="left")

    def write(self, name: str, table: pl.LazyFrame) -> None:
        """Replaces a table."""
        found = table.collect()
        for file in LogFolder(self.log).files(name):
            file.unlink()
        found.write_parquet(self.log / name / "part-00000.parquet")


def _gifts(day: Shifted, factor: float, first: int = 0, last: int = 24) -> None:
    """In some hours ``factor`` times the gifts: a share of those of a log that has four times as many."""
    inside = day.within("time", first, last)
    own, others = day.scan("gifts"), LogFolder(day.more).scan("gifts")
    kept = pl.col("time").hash(0) < int(factor / 4 * 2**64)
    day.write("gifts", pl.concat([own.filter(~inside), others.filter(inside & kept)]).sort("time"))


def _evening(day: Shifted) -> None:
    """Four of five visits after 18 h are missing, with their gifts."""
    lost = pl.struct("user_id", "room_id").hash(2) % 5 > 0
    for name, column in (("visits", "enter"), ("gifts", "time")):
        day.write(name, day.scan(name).filter(~(day.within(column, 18) & lost)))


def _strangers(day: Shifted) -> None:
    """A third of the day's visits are of users who were never there, and never give."""
    gave = day.scan("gifts").select("user_id", "room_id").unique()
    visits = day.scan("visits")
    quiet = visits.join(gave, on=("user_id", "room_id"), how="anti").filter(
        day.within("enter") & (pl.col("enter").hash(1) % 3 == 0)
    )
    same = ["user_id", "room_id", "enter"]
    renamed = quiet.with_columns(pl.format("stranger-{}", pl.col("enter") % 5000).alias("user_id"))
    day.write("visits", pl.concat([visits.join(quiet, on=same, how="anti"), renamed]).sort("enter"))


def _flood(day: Shifted) -> None:
    """A third of the day's visits are to one room, of an author with few, by users who are there that day."""
    visits = day.scan("visits").collect()
    today = visits.filter(day.within("enter"))
    rooms = today["room_id"].value_counts().sort("count", "room_id", descending=True)
    own = today.filter(pl.col("room_id") == rooms["room_id"][len(rooms) // 4])
    count = len(today) // 2
    users = today["user_id"].sample(count, seed=0)
    more = own.sample(count, with_replacement=True, seed=0).with_columns(users)
    more = more.unique(["user_id", "room_id", "enter"], maintain_order=True)
    day.write("visits", pl.concat([visits, more]).sort("enter").lazy())


def _silent(day: Shifted) -> None:
    """Segments stop at noon."""
    day.write("segments", day.scan("segments").filter(~day.within("start", 12)))


def _features(day: Shifted, change: Callable[[pl.Expr], pl.Expr], names: tuple[str, ...] = ()) -> None:
    """The day's features of some modalities, or of all, are others."""
    names = names or tuple(LogFolder(day.log).modalities)
    changed = [
        pl.when(day.within("start")).then(change(pl.col(name))).otherwise(pl.col(name)).alias(name)
        for name in names
    ]
    day.write("segments", day.scan("segments").with_columns(changed))


def _scaled(values: pl.Expr) -> pl.Expr:
    return values * pl.lit(10, pl.Float32)


SHIFTS: dict[str, Callable[[Shifted], None]] = {
    "nothing": lambda day: None,
    "twice the gifts": lambda day: _gifts(day, 2),
    "half the gifts": lambda day: _gifts(day, 0.5),
    "four times the gifts for two hours": lambda day: _gifts(day, 4, 19, 21),
    "gifts of the last three hours are not in yet": lambda day: _gifts(day, 0, 21),
    "four fifths of the evening's visits are missing": _evening,
    "a third of the visits are of strangers": _strangers,
    "a third of the visits are to one room": _flood,
    "segments stop at noon": _silent,
    "speech is missing": lambda day: _features(day, lambda values: pl.lit(None), ("speech",)),
    "features are ten times as large": lambda day: _features(day, _scaled),
    "features are those of the room's first segment": lambda day: _features(
        day, lambda values: values.first().over("room_id")
    ),
}
