"""Makes sample rows from visits and gifts, by the rule of MMBee, section 4.1.

A room is cut into windows (30 s by default) from its start. Each window of a visit that contains a gift is a positive
row, and the other windows of this visit are dropped; a visit without a gift is one negative row, the window of its
exit. On request, impressions of rooms not entered are negative rows too.
"""

from __future__ import annotations

import numpy as np
import polars as pl

from mmbee_plugin.logs.counts import Counts
from mmbee_plugin.logs.folder import Tables
from mmbee_plugin.logs.gifts import VISIT, gifts_in_visits, read_gifts
from mmbee_plugin.logs.negatives import IMPRESSION, negatives
from mmbee_plugin.logs.period import Period
from mmbee_plugin.logs.settings import SampleSettings


def sample_rows(log: Tables, period: Period, settings: SampleSettings, counts: Counts) -> pl.DataFrame:
    """All rows of the three parts, ordered by part, time, user, room and time of entering.

    Returns:
        user_id, author_id, room_id, enter, exit, time (of the window's first gift, or of the exit), window (int32, from
        the room's start), window_end, amount (of all gifts in the window; 0 for negatives), part (0 training, 1
        validation, 2 test); times in ms.
    """
    size = settings.window * 1000
    gifts = read_gifts(log, period, counts)
    given, settled = gifts_in_visits(log, gifts, period, settings, counts)
    counts.add("visits", log.scan("visits").select(pl.len()).collect(engine="streaming").item())
    without = negatives(log, gifts, settled, period, settings, counts)
    origins = _origins(log, pl.concat([given["room_id"], without["room_id"]]).unique().to_frame())
    windows = [
        _windows(rows, origins, size) for rows in (given, without.with_columns(pl.lit(0.0).alias("amount")))
    ]
    early = sum(rows.filter(pl.col("window") < 0).height for rows in windows)
    counts.add("gifts and exits before their room's start; kept", early)
    # A window across the end of a part is one row in each part, so that their gifts stay apart. Negatives are of other
    # visits, or of other parts of them, and of one window each.
    merged = (
        windows[0]
        .group_by(*VISIT, "window", "part")
        .agg(pl.col("author_id", "exit", "window_end").first(), pl.col("time").min(), pl.col("amount").sum())
    )
    counts.add("gifts after another in the same visit and window; one row for all", len(given) - len(merged))
    return in_order(pl.concat([merged, windows[1].select(merged.columns)]))


def in_order(rows: pl.DataFrame) -> pl.DataFrame:
    """Rows by part, time, user, room and time of entering.

    Texts are compared only among rows of one part and time, which are few.
    """
    key = rows.select(pl.col("part").cast(pl.Int64) * 2**42 + pl.col("time")).to_series().to_numpy()
    order = np.argsort(key)
    sorted_key = key[order]
    ties = np.zeros(len(order), dtype=bool)
    ties[1:] = sorted_key[1:] == sorted_key[:-1]
    ties[:-1] |= ties[1:]
    tied = rows.select("part", "time", *VISIT).with_row_index("row")[order[ties]]
    order[ties] = tied.sort("part", "time", *VISIT)["row"].to_numpy()
    return rows[order]


def _windows(rows: pl.DataFrame, origins: pl.DataFrame, size: int) -> pl.DataFrame:
    """Rows with the window of their time, `size` ms long, and its end."""
    rows = rows.join(origins, on="room_id", how="left")
    rows = rows.with_columns(((pl.col("time") - pl.col("origin")) // size).cast(pl.Int32).alias("window"))
    window_end = pl.col("origin") + (pl.col("window").cast(pl.Int64) + 1) * size
    return rows.with_columns(window_end.alias("window_end")).drop("origin")


def _origins(log: Tables, rooms: pl.DataFrame) -> pl.DataFrame:
    """room_id and origin (ms): start of the room, else time of its first visit, else of its first impression."""
    shown = log.scan("feedback").filter(pl.col("kind") == IMPRESSION)
    found = [pl.DataFrame(schema={"room_id": pl.String, "origin": pl.Int64})]
    for table, moment in ((log.scan("rooms"), "start"), (log.scan("visits"), "enter"), (shown, "time")):
        left = rooms.join(pl.concat(found), on="room_id", how="anti").lazy()
        of_rooms = table.join(left, on="room_id", how="semi").group_by("room_id")
        found.append(of_rooms.agg(pl.col(moment).min().alias("origin")).collect(engine="streaming"))
    return pl.concat(found)
