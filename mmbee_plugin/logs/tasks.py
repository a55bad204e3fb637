"""Further tasks of a log beside gifting: clicks to rank, clicks to tell from impressions, watch times and prices.

They are those that KuaiLive was published with. Clicks are visits; what is clicked is an author, since a room is over
when it ends.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl

from mmbee_plugin.data.writer import SPLITS, DatasetContent, Interactions, write_folder
from mmbee_plugin.errors import InputError
from mmbee_plugin.logs.folder import LogFolder
from mmbee_plugin.logs.negatives import IMPRESSION
from mmbee_plugin.logs.period import Period, days_of

WATCH, PRICE = "watch", "price"
"""amounts of a log: seconds of a visit, price of a gift"""
HELD_OUT = 3
"""authors that a user must have clicked to have one in validation and one in test"""


def by_days(log: LogFolder) -> Period:
    """The whole log: its last day is for test, the one before for validation. Raises InputError for under three."""
    days = days_of(log)
    if len(days) < 3:
        raise InputError(f"{log.path}: {len(days)} days; training, validation and test need three")
    return Period.of(log, days[-1] - days[0], 1, 1)


def write_clicks(log: LogFolder, folder: Path, *, force: bool = False) -> None:
    """Writes each user's authors in order of the first click: the last is for test, the one before for validation.

    A user of fewer than :data:`HELD_OUT` authors is in training alone.
    """
    first = log.scan("visits").group_by("user_id", "author_id").agg(pl.col("enter").min().alias("time"))
    rows = first.sort("user_id", "time", "author_id").collect(engine="streaming")
    left = pl.len().over("user_id") - 1 - pl.int_range(pl.len()).over("user_id")  # clicks still to come
    held = pl.when(pl.len().over("user_id") >= HELD_OUT).then(2 - left).otherwise(0)
    rows = rows.with_columns(held.clip(0).alias("part"), pl.lit(1.0).alias("rating"))
    note = "clicks: a user's last author is for test, the one before for validation"
    _write(log, folder, rows.sort("part", "time", "user_id"), note, rated=False, force=force)


def write_clickthrough(log: LogFolder, folder: Path, *, force: bool = False) -> None:
    """Writes visits, rated 1, and impressions without one, rated 0, split :func:`by_days`.

    Raises InputError for a log without impressions (feedback of the kind "negative").
    """
    period = by_days(log)
    clicks = log.scan("visits").select("user_id", "author_id", time="enter", rating=pl.lit(1.0))
    shown = log.scan("feedback").filter(pl.col("kind") == IMPRESSION)
    passed = shown.select("user_id", "author_id", "time", rating=pl.lit(0.0))
    if not len(passed.head(1).collect()):
        raise InputError(
            f"{log.path}: no feedback of the kind {IMPRESSION!r}, rooms that were shown and not entered"
        )
    rows = pl.concat([clicks, passed]).with_columns(period.part(pl.col("time")).alias("part"))
    every = rows.collect(engine="streaming")
    ordered = every.drop_nulls("part").sort("part", "time", "user_id", "author_id")
    note = "clicks against impressions: rating 1 is a visit, 0 a room that was shown and not entered; split by days"
    if len(every) > len(ordered):
        note += f"; {len(every) - len(ordered):,} rows outside the log's days were left out"
    _write(log, folder, ordered, note, rated=True, force=force)


def amounts(log: LogFolder, kind: str) -> pl.DataFrame:
    """user_id, author_id, value and part (0 to 2, split :func:`by_days`) of each visit or gift.

    Args:
        kind: :data:`WATCH`, seconds of a visit, or :data:`PRICE`, of a gift.
    """
    period = by_days(log)
    if kind == WATCH:
        rows, time, value = log.scan("visits"), pl.col("enter"), (pl.col("exit") - pl.col("enter")) / 1000
    else:
        rows, time, value = log.scan("gifts"), pl.col("time"), pl.col("amount")
    found = rows.select("user_id", "author_id", value=value, part=period.part(time)).drop_nulls("part")
    return found.collect(engine="streaming")


def _write(log: LogFolder, folder: Path, rows: pl.DataFrame, note: str, *, rated: bool, force: bool) -> None:
    tokens = {name: rows[name].unique().sort() for name in ("user_id", "author_id")}
    numbers = {
        name: found.search_sorted(rows[name]).to_numpy().astype(np.int64) for name, found in tokens.items()
    }
    times, ratings = rows["time"].to_numpy() / 1000, rows["rating"].to_numpy() if rated else None
    parts = {}
    for place, split in enumerate(SPLITS):
        own = (rows["part"] == place).to_numpy()
        parts[split] = Interactions(
            *(numbers["user_id"][own], numbers["author_id"][own]),
            None if ratings is None else ratings[own],
            times[own],
        )
    users, items = (tokens[name].to_list() for name in ("user_id", "author_id"))
    content = DatasetContent(
        log.info.source, log.info.kind, users, items, parts, notes=[*log.info.notes, note]
    )
    write_folder(folder, content, force=force)
