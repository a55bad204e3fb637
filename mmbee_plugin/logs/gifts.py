"""Which visit a gift was made in, and which visits are no sure negatives because of it."""

from __future__ import annotations

import polars as pl

from mmbee_plugin.logs.counts import Counts
from mmbee_plugin.logs.folder import LogFolder
from mmbee_plugin.logs.period import Period
from mmbee_plugin.logs.settings import SampleSettings

VISIT = ("user_id", "room_id", "enter")
"""What tells visits apart."""
PAIR = ("user_id", "room_id")


def read_gifts(log: LogFolder, period: Period, counts: Counts) -> pl.DataFrame:
    """gift (a number), user_id, room_id, time, amount and part of the gifts of the period."""
    everything = log.scan("gifts").select(*PAIR, "time", "amount")
    gifts = everything.with_columns(period.part(pl.col("time")).alias("part")).collect(engine="streaming")
    counts.add("gifts", len(gifts))
    counts.add("gifts outside the period; left out", gifts["part"].null_count())
    return gifts.drop_nulls("part").with_row_index("gift")


def gifts_in_visits(
    log: LogFolder, gifts: pl.DataFrame, period: Period, settings: SampleSettings, counts: Counts
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Each gift with the one visit it is of, and the visits that are settled: neither a negative of the paper's rule.

    A gift is of the visit it lies in, of several the one that began last; of none, it is of the nearest if that is at
    most `settings.gift_tolerance` away. Settled are the visits with a gift, the others that a gift lies in too, and
    those with a gift of no visit less than a window before or after them, unless that is in a later part.

    Returns:
        user_id, author_id, room_id, enter, exit, time, amount and part of each gift; VISIT of the settled visits.
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
    earlier = (part_of_exit < pl.col("part")).fill_null(False)  # such a visit does not know of the gift
    others = found.join(given, on=("gift", "enter"), how="anti").filter(~earlier)
    inside = others.filter(pl.col("apart") == 0).select(VISIT)
    strays = others.join(given, on="gift", how="anti")
    near = strays.filter((pl.col("apart") <= size) & (part_of_exit == pl.col("part"))).select(VISIT)
    own = given.filter(~earlier).select(VISIT).unique()
    for what, frame in (("one just outside", near), ("one that is of an overlapping visit", inside)):
        more = frame.unique().join(own, on=VISIT, how="anti")
        counts.add(f"visits without a gift but with {what}; left out", len(more))
    return given.drop("gift", "apart"), pl.concat([own, near, inside]).unique()


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
    """Says of every gift of the period what became of it."""
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
