"""Visits and gifts become rows: one a gifted window, or one at the exit of a visit without a gift.

The rule (MMBee, section 4.1): a room is cut into windows of 30 s from its start on. Each window of a visit with a gift
in it is a positive row, and the visit's other windows are dropped; a visit that ends without a gift is one negative
row, the window of its exit.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
import polars as pl

from mmbee_plugin.data.writer import SPLITS
from mmbee_plugin.logs.counts import Counts
from mmbee_plugin.logs.folder import LogFolder
from mmbee_plugin.logs.period import Period
from mmbee_plugin.logs.settings import SampleSettings
from mmbee_plugin.mixing import mix

VISIT = ("user_id", "room_id", "enter")
"""What tells visits apart."""


def sample_rows(log: LogFolder, period: Period, settings: SampleSettings, counts: Counts) -> pl.DataFrame:
    """All rows of the three parts, ordered by part, time, user and room.

    Returns:
        user_id, author_id, room_id, enter, exit, time (of the first gift in the window, or of the exit), window
        (int32, from the room's start; of a room without one in the log, from its first visit), window_end, amount
        (of all gifts in the window; 0 for a negative), part (0 training, 1 validation, 2 test); times in ms.
    """
    size = settings.window * 1000
    given, near = _gifts_in_visits(log, period, size, counts)
    settled = pl.concat([given.select(VISIT), near]).unique()
    quiet = _quiet_visits(log, period, settings, settled, counts)
    rows = pl.concat([given, quiet], how="diagonal").with_columns(pl.col("amount").fill_null(0.0))
    rows = rows.join(_origins(log, rows.select("room_id").unique()), on="room_id", how="left")
    rows = rows.with_columns(((pl.col("time") - pl.col("origin")) // size).cast(pl.Int32).alias("window"))
    early = rows.filter(pl.col("window") < 0).height
    counts.add("gifts and exits before their room's start; kept", early)
    # A window across the end of a part is a row of both, so that neither knows of the other's gifts.
    merged = rows.group_by(*VISIT, "window", "part").agg(
        pl.col("author_id", "exit", "origin").first(), pl.col("time").min(), pl.col("amount").sum()
    )
    counts.add("gifts after another in the same visit and window; one row for all", len(rows) - len(merged))
    window_end = pl.col("origin") + (pl.col("window").cast(pl.Int64) + 1) * size
    return merged.with_columns(window_end.alias("window_end")).drop("origin").sort("part", "time", *VISIT)


def _gifts_in_visits(
    log: LogFolder, period: Period, size: int, counts: Counts
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Each gift of the period with the visit it was made in, and the visits that gifts lie just outside of.

    A gift within two visits belongs to the one that began last. A visit with a gift up to a window before its enter
    or after its exit is no sure negative; it is the second table, of VISIT alone.
    """
    everything = log.scan("gifts").select("user_id", "room_id", "time", "amount")
    gifts = everything.with_columns(period.part(pl.col("time")).alias("part")).collect(engine="streaming")
    counts.add("gifts", len(gifts))
    counts.add("gifts outside the period; left out", gifts["part"].null_count())
    gifts = gifts.drop_nulls("part").with_row_index("gift")

    pair = ("user_id", "room_id")
    visits, time = log.scan("visits"), pl.col("time")
    around = time.is_between(pl.col("enter") - size, pl.col("exit") + size)
    known, candidates = pl.collect_all(
        [
            visits.join(gifts.lazy().select(pair).unique(), on=pair, how="semi").select(pair).unique(),
            visits.join(gifts.lazy(), on=pair, how="inner").filter(around),
        ],
        engine="streaming",
    )
    within = time.is_between(pl.col("enter"), pl.col("exit"))
    given = candidates.filter(within).sort("enter", "exit").unique("gift", keep="last")
    outside = gifts.join(given, on="gift", how="anti")
    unvisited = outside.join(known, on=pair, how="anti").height
    counts.add("gifts by a user with no visit to the room; left out", unvisited)
    counts.add("gifts outside the user's visits to the room; left out", len(outside) - unvisited)
    same_part = period.part(pl.col("exit")) == pl.col("part")
    near = candidates.join(given, on="gift", how="anti").filter(same_part).select(VISIT).unique()
    near = near.join(given, on=VISIT, how="anti")
    counts.add("visits without a gift but with one just outside; left out", len(near))
    return given.drop("gift"), near


def _quiet_visits(
    log: LogFolder, period: Period, settings: SampleSettings, settled: pl.DataFrame, counts: Counts
) -> pl.DataFrame:
    """The drawn ones of the visits that ended without a gift, one row each at the exit."""
    visits = log.scan("visits").select("user_id", "author_id", "room_id", "enter", "exit")
    part = period.part(pl.col("exit")).alias("part")
    quiet = visits.join(settled.lazy(), on=VISIT, how="anti").with_columns(part)
    shares = np.array([settings.train_negatives, settings.test_negatives, settings.test_negatives])
    drawn = quiet.filter(pl.col("part").is_not_null())
    if shares.min() < 1:
        users = log.scan("visits").select(pl.col("user_id").unique()).collect(engine="streaming")
        tokens = users["user_id"].to_numpy().astype(object)
        keys = users.with_columns(pl.Series("key", pd.util.hash_array(tokens, categorize=False)))
        limits = pl.Series((shares * 2.0**53).astype(np.uint64))
        fields = pl.struct("key", "enter")
        number = fields.map_batches(
            lambda batch: _numbers(batch, settings.seed), return_dtype=pl.UInt64, is_elementwise=True
        )
        limit = pl.col("part").replace_strict([0, 1, 2], limits, return_dtype=pl.UInt64)
        drawn = drawn.join(keys.lazy(), on="user_id", how="left").filter(number < limit).drop("key")
    total, by_part, rows = pl.collect_all(
        [visits.select(pl.len()), quiet.group_by("part").len(), drawn], engine="streaming"
    )
    counts.add("visits", total.item())
    found = dict(by_part.iter_rows())
    counts.add("visits without a gift, with their exit outside the period; left out", found.pop(None, 0))
    once = rows.sort("exit").unique(VISIT, keep="first")
    for number_of_part, name in enumerate(SPLITS):
        kept = once.filter(pl.col("part") == number_of_part).height
        counts.add(f"visits without a gift in {name}", found.get(number_of_part, 0))
        counts.add(f"of them drawn as {name} negatives, at {shares[number_of_part]:g}", kept)
    counts.add("visits drawn but there twice; one row for both", len(rows) - len(once))
    return once.with_columns(pl.col("exit").alias("time"))


def _numbers(batch: pl.Series, seed: int) -> pl.Series:
    """Even whole numbers below 2^53, each a function of the seed, the user and the moment of entering."""
    fields = batch.struct
    places = fields.field("key").to_numpy() ^ fields.field("enter").to_numpy().astype(np.uint64)
    return pl.Series(mix(seed, places) >> np.uint64(11))


def _origins(log: LogFolder, rooms: pl.DataFrame) -> pl.DataFrame:
    """room_id, origin: the room's start, or where the log has none the first visit to it."""
    starts = log.scan("rooms").join(rooms.lazy(), on="room_id", how="semi")
    known = starts.group_by("room_id").agg(pl.col("start").min().alias("origin")).collect(engine="streaming")
    others = rooms.join(known, on="room_id", how="anti").lazy()
    visits = log.scan("visits").join(others, on="room_id", how="semi")
    first = visits.group_by("room_id").agg(pl.col("enter").min().alias("origin")).collect(engine="streaming")
    return pl.concat([known, first])
