"""Assigns gifts to visits, and finds the visits that are no safe negatives because of a gift."""

from __future__ import annotations

import polars as pl

from mmbee_plugin.logs.counts import Counts
from mmbee_plugin.logs.folder import Tables
from mmbee_plugin.logs.period import Period
from mmbee_plugin.logs.settings import SampleSettings

VISIT = ("user_id", "room_id", "enter")
"""key of a visit"""
PAIR = ("user_id", "room_id")


def read_gifts(log: Tables, period: Period, counts: Counts) -> pl.DataFrame:
    """Gifts of the period: gift (a number), user_id, room_id, time (ms), amount and part."""
    everything = log.scan("gifts").select(*PAIR, "time", "amount")
    gifts = everything.with_columns(period.part(pl.col("time")).alias("part")).collect(engine="streaming")
    counts.add("gifts", len(gifts))
    counts.add("gifts outside the period; left out", gifts["part"].null_count())
    return gifts.drop_nulls("part").with_row_index("gift")


def gifts_in_visits(
    log: Tables, gifts: pl.DataFrame, period: Period, settings: SampleSettings, counts: Counts
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Assigns each gift to a visit; also returns the settled visits, which are no negatives.

    A gift belongs to the visit that contains it, of several to the one that began last; otherwise to the nearest visit
    within `settings.gift_tolerance`. Settled are the visits with a gift, other visits that contain a gift, and visits
    with an unassigned gift of the same part up to a window before or after them. Gifts of a part later than that of the
    visit's exit do not settle it.

    Returns:
        user_id, author_id, room_id, enter, exit, time, amount and part of each assigned gift; VISIT of the settled.
    """
    size, tolerance = settings.window * 1000, round(settings.gift_tolerance * 1000)
    visits, time = log.scan("visits"), pl.col("time")
    before, after = pl.col("enter") - time, time - pl.col("exit")
    apart = pl.max_horizontal(before, after, pl.lit(0)).alias("apart")
    known, found = pl.collect_all(
        [
            visits.join(gifts.lazy().select(PAIR).unique(), on=PAIR, how="semi").select(PAIR).unique(),
            visits.join(gifts.lazy(), on=PAIR, how="inner")
            .with_columns(apart)
            .filter(pl.col("apart") <= max(size, tolerance)),
        ],
        engine="streaming",
    )
    # The nearest visit; of those that are as near, the one that began last.
    nearest = found.sort("apart", -pl.col("enter"), -pl.col("exit")).unique("gift", keep="first")
    given = nearest.filter(pl.col("apart") <= tolerance)
    _count(gifts, known, nearest, given, found.filter(pl.col("apart") == 0), tolerance, size, counts)

    part_of_exit = period.part(pl.col("exit"))
    earlier = (part_of_exit < pl.col("part")).fill_null(False)  # the gift is in the visit's future
    others = found.join(given, on=("gift", "enter"), how="anti").filter(~earlier)
    inside = others.filter(pl.col("apart") == 0).select(VISIT)
    strays = others.join(given, on="gift", how="anti")
    near = strays.filter((pl.col("apart") <= size) & (part_of_exit == pl.col("part"))).select(VISIT)
    own = given.filter(~earlier).select(VISIT).unique()
    for what, frame in (("one just outside", near), ("one that is of an overlapping visit", inside)):
        more = frame.unique().join(own, on=VISIT, how="anti")
        counts.add(f"visits without a gift but with {what}; left out", len(more))
    # Sums of amounts are rounded in this order, whatever that of the files.
    given = given.drop("gift", "apart").sort("time", "amount")
    return given, pl.concat([own, near, inside]).unique()


def _count(
    gifts: pl.DataFrame,
    known: pl.DataFrame,
    nearest: pl.DataFrame,
    given: pl.DataFrame,
    inside: pl.DataFrame,
    tolerance: int,
    size: int,
    counts: Counts,
) -> None:
    """Counts the gifts of the period by their assignment."""
    visits = inside.unique(("gift", "enter")).group_by("gift").len()
    counts.add("gifts in one visit of the user to the room", int((visits["len"] == 1).sum()))
    counts.add(
        "gifts in several visits, which overlap; of the one that began last", int((visits["len"] > 1).sum())
    )
    at_enter = given.filter(pl.col("time") == pl.col("enter"))
    counts.add("of these two, at the very moment that the visit began", len(at_enter))
    if tolerance:
        seconds = f"up to {tolerance / 1000:g} s"
        counts.add(
            f"gifts {seconds} before a visit; of it", given.filter(pl.col("time") < pl.col("enter")).height
        )
        counts.add(
            f"gifts {seconds} after a visit; of it", given.filter(pl.col("time") > pl.col("exit")).height
        )
    outside = gifts.join(given, on="gift", how="anti")
    unvisited = outside.join(known, on=PAIR, how="anti").height
    counts.add("gifts by a user with no visit to the room; left out", unvisited)
    counts.add("gifts outside the user's visits to the room; left out", len(outside) - unvisited)
    left = nearest.join(given, on="gift", how="anti").filter(pl.col("apart") <= size)
    counts.add(f"of these, up to {size / 1000:g} s before or after a visit", len(left))
