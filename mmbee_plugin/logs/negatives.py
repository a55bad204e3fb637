"""Negatives of the gift task: visits that ended without a gift, and impressions without a visit."""

from __future__ import annotations

import numpy as np
import pandas as pd
import polars as pl

from mmbee_plugin.errors import InputError
from mmbee_plugin.logs.counts import Counts
from mmbee_plugin.logs.folder import Tables
from mmbee_plugin.logs.gifts import PAIR, VISIT
from mmbee_plugin.logs.period import Period
from mmbee_plugin.logs.settings import SampleSettings
from mmbee_plugin.randomness.mixing import mix

IMPRESSION = "negative"
"""kind of feedback of an impression: the room was shown to the user, who did not enter"""
SHOWN = "impressions in the period"


def negatives(
    log: Tables,
    gifts: pl.DataFrame,
    settled: pl.DataFrame,
    period: Period,
    settings: SampleSettings,
    counts: Counts,
) -> pl.DataFrame:
    """Draws the negatives of the kinds `settings.negatives`, one row each.

    Args:
        gifts: as from `read_gifts`.
        settled: VISIT of the visits that are no negatives.

    Returns:
        user_id, author_id, room_id, enter, exit, time and part; time is a visit's exit, and all three times of an
        impression are equal.
    """
    frames = []
    if settings.negatives != "impressions":
        frames.append(_drawn(_quiet_visits(log, settled), "visits without a gift", period, settings, counts))
    if settings.negatives != "visits":
        shown = _impressions(log, gifts, period, counts)
        frames.append(_drawn(shown, "impressions without a visit", period, settings, counts))
    return pl.concat(frames)


def check_impressions(log: Tables, settings: SampleSettings, counts: Counts) -> None:
    """Raises InputError if impressions are wanted and none was in the period."""
    if settings.negatives != "visits" and not counts.values.get(SHOWN):
        raise InputError(
            f"{log.path}: --negatives {settings.negatives} needs feedback of the kind {IMPRESSION!r} in the period; "
            "it has none"
        )


def _quiet_visits(log: Tables, settled: pl.DataFrame) -> pl.LazyFrame:
    visits = log.scan("visits").select("user_id", "author_id", "room_id", "enter", "exit")
    return visits.join(settled.lazy(), on=VISIT, how="anti")


def _impressions(log: Tables, gifts: pl.DataFrame, period: Period, counts: Counts) -> pl.LazyFrame:
    """Impressions as visits of length 0, without those of rooms that the user visited or gifted in the same part.

    Visits in later parts do not matter: they are in the impression's future.
    """
    shown = log.scan("feedback").filter(pl.col("kind") == IMPRESSION).select(*PAIR, "author_id", "time")
    shown = shown.with_columns(period.part(pl.col("time")).alias("part")).filter(pl.col("part").is_not_null())
    visits = log.scan("visits")
    # A visit counts for every part that it reaches.
    entered = [
        visits.filter((pl.col("enter") < end) & (pl.col("exit") >= begin)).select(
            *PAIR, pl.lit(part, pl.Int8).alias("part")
        )
        for part, (begin, end) in enumerate(zip((period.start, *period.ends), period.ends, strict=False))
    ]
    gave = gifts.lazy().select(*PAIR, "part")
    without = shown.join(pl.concat([*entered, gave]).unique(), on=(*PAIR, "part"), how="anti")
    total, kept = pl.collect_all([shown.select(pl.len()), without.select(pl.len())], engine="streaming")
    counts.add(SHOWN, total.item())
    counts.add("of them of rooms that the user was in; left out", total.item() - kept.item())
    moment = pl.col("time")
    return without.select("user_id", "author_id", "room_id", moment.alias("enter"), moment.alias("exit"))


def _drawn(
    candidates: pl.LazyFrame,
    what: str,
    period: Period,
    settings: SampleSettings,
    counts: Counts,
) -> pl.DataFrame:
    """Draws candidates at the share of their part, by a hash of the seed, the user and the time of entering."""
    part = period.part(pl.col("exit")).alias("part")
    quiet = candidates.with_columns(part)
    shares = np.array([settings.train_negatives, settings.test_negatives, settings.test_negatives])
    drawn = quiet.filter(pl.col("part").is_not_null())
    if shares.min() < 1:
        users = quiet.select(pl.col("user_id").unique()).collect(engine="streaming")
        tokens = users["user_id"].to_numpy().astype(object)
        keys = users.with_columns(pl.Series("key", pd.util.hash_array(tokens, categorize=False)))
        limits = pl.Series((shares * 2.0**53).astype(np.uint64))
        fields = pl.struct("key", "enter")
        number = fields.map_batches(
            lambda batch: _numbers(batch, settings.seed), return_dtype=pl.UInt64, is_elementwise=True
        )
        limit = pl.col("part").replace_strict([0, 1, 2], limits, return_dtype=pl.UInt64)
        drawn = drawn.join(keys.lazy(), on="user_id", how="left").filter(number < limit).drop("key")
    by_part, rows = pl.collect_all([quiet.group_by("part").len(), drawn], engine="streaming")
    found = dict(by_part.iter_rows())
    counts.add(f"{what}, with their exit outside the period; left out", found.pop(None, 0))
    once = rows.sort("exit").unique(VISIT, keep="first")
    for number_of_part, name in enumerate(period.parts):
        kept = once.filter(pl.col("part") == number_of_part).height
        counts.add(f"{what} in {name}", found.get(number_of_part, 0))
        counts.add(f"{what} drawn as {name} negatives, at {shares[number_of_part]:g}", kept)
    counts.add(f"{what}, drawn but there twice; one row for both", len(rows) - len(once))
    return once.with_columns(pl.col("exit").alias("time"))


def _numbers(batch: pl.Series, seed: int) -> pl.Series:
    """Uniform whole numbers below 2^53, hashes of the seed, the user and the time of entering."""
    fields = batch.struct
    places = fields.field("key").to_numpy() ^ fields.field("enter").to_numpy().astype(np.uint64)
    return pl.Series(mix(seed, places) >> np.uint64(11))
