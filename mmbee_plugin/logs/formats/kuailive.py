"""KuaiLive: clicks, gifts and other feedback of 21 days, rooms with title vectors (Zenodo 16565801)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import polars as pl

from mmbee_plugin.data.arrays import read_array
from mmbee_plugin.errors import InputError
from mmbee_plugin.logs.counts import Counts
from mmbee_plugin.logs.formats.source import PLACE, SourceFolder, SourceTable, missing, number, sound
from mmbee_plugin.logs.writer import LogWriter

INFO: dict[str, Any] = {
    "name": "KuaiLive",
    "kind": "real",
    "source": "KuaiLive, Zenodo 16565801, CC BY-NC-SA 4.0",
    "version": "16565801",
    "utc_offset": 8,
    "notes": [
        "the one modality is the room's title, known from its start",
        "counters such as accu_play_cnt have no date and are left out: they may tell what came after the training",
    ],
}
USERS, AUTHORS, ROOMS = ("user",), ("streamer", "author"), ("room", "mapped_room")
TIME = ("timestamp",)
FEEDBACK = ("comment", "like", "negative")
FILES = (("click",), ("gift",), *((kind,) for kind in FEEDBACK), ROOMS, USERS, AUTHORS)
# Undated attributes that hardly change; counters of fans, rooms and views are left out.
ATTRIBUTES = ("gender", "age", "country", "device_brand", "device_price", "live_operation_tag")
TITLE_FILES = ("title_embeddings.npy", "title_embeddings_pca128.npy")
CHUNK_ROOMS = 65_536


def write(source: SourceFolder, log: LogWriter, counts: Counts, progress: Callable[[str], None]) -> None:
    """Writes the tables of the log.

    A row of `click` is a visit from its timestamp for `watch_live_time` ms. A room's title is one segment that starts
    and ends at the room's start.

    Raises InputError for a missing file or column, title vectors that are no matrix of finite numbers, or as `sound`.
    """
    progress("visits")
    _write_visits(log, source.table("click").needed(), counts)
    progress("gifts")
    _write_gifts(log, source.table("gift").needed(), counts)
    progress("feedback")
    for kind in FEEDBACK:
        write_feedback(log, source.table(kind), kind, TIME, counts)
    progress("rooms")
    rooms = _write_rooms(log, source.table(*ROOMS), counts)
    progress("titles")
    _write_titles(log, source, rooms, counts)
    for table, names, key in (("users", USERS, "user_id"), ("authors", AUTHORS, "author_id")):
        write_attributes(log, source.table(*names), table, key, ATTRIBUTES, counts)


def write_attributes(
    log: LogWriter, files: SourceTable, table: str, key: str, names: tuple[str, ...], counts: Counts
) -> None:
    """Writes `users` or `authors`, one row per id, with the attributes `names` found in the files."""
    parts = []
    for file in files.files:
        frame = files.scan(file, ids={key: PLACE[key]}, times={}, optional={name: (name,) for name in names})
        parts.append(sound(frame, missing(key), table, counts, file=file))
    if not parts:
        return
    rows = pl.concat(parts, how="diagonal").collect(engine="streaming")
    once = rows.unique(key, keep="first", maintain_order=True)
    counts.add(f"{table} there twice; the first row counts", len(rows) - len(once))
    log.add(table, once.with_columns(pl.exclude(key).cast(pl.String)))


def write_feedback(
    log: LogWriter, files: SourceTable, kind: str, time: tuple[str, ...], counts: Counts
) -> None:
    """Writes one kind of feedback from files with user, author, room and time; `time` lists its column names."""
    for file in files.files:
        frame = files.scan(file, ids=PLACE, times={"time": time})
        rows = sound(frame, missing(*PLACE, "time"), f"{kind}s", counts, file=file)
        log.add("feedback", rows.with_columns(pl.lit(kind).alias("kind")))


def merged_rooms(rows: pl.LazyFrame, counts: Counts) -> pl.DataFrame:
    """Merges the rows of each room, one per day, into its earliest row with the latest end."""
    by_start = rows.collect(engine="streaming").sort("room_id", "start", "end", nulls_last=True)
    others = pl.exclude("room_id", "end").first()
    rooms = by_start.group_by("room_id", maintain_order=True).agg(others, pl.col("end").max())
    counts.add(
        "rows of rooms there before; the earliest start and the latest end count", len(by_start) - len(rooms)
    )
    counts.add("rooms", len(rooms))
    return rooms


def _write_visits(log: LogWriter, files: SourceTable, counts: Counts) -> None:
    for file in files.files:
        frame = files.scan(file, ids=PLACE, times={"enter": TIME}, others={"watched": ("watch_live_time",)})
        frame = frame.with_columns(number("watched"))
        faults = missing(*PLACE, "enter", "watched") | {"a negative watch time": pl.col("watched") < 0}
        leave = (pl.col("enter") + pl.col("watched").cast(pl.Int64, strict=False)).alias("exit")
        log.add("visits", sound(frame, faults, "visits", counts, file=file).select(*PLACE, "enter", leave))


def _write_gifts(log: LogWriter, files: SourceTable, counts: Counts) -> None:
    for file in files.files:
        frame = files.scan(file, ids=PLACE, times={"time": TIME}, others={"amount": ("gift_price",)})
        frame = frame.with_columns(number("amount"))
        faults = missing(*PLACE, "time", "amount") | {"a price of 0 or less": ~(pl.col("amount") > 0)}
        log.add("gifts", sound(frame, faults, "gifts", counts, file=file))


def _write_rooms(log: LogWriter, files: SourceTable, counts: Counts) -> pl.DataFrame:
    """Writes `rooms`, merging the daily rows of rooms past midnight; returns room_id, author_id, start and title."""
    ids = {name: PLACE[name] for name in ("room_id", "author_id")}
    start, end = ("start_timestamp",), ("end_timestamp",)
    faults = missing(*ids, "start") | {"its end is before its start": pl.col("end") < pl.col("start")}
    parts = []
    for file in files.needed().files:
        rows = files.scan(
            file,
            ids={**ids, "title": ("live_name_id",)},
            times={"start": start, "end": end},
            optional={"category": ("live_content_category",), "live_type": ("live_type",)},
        )
        parts.append(sound(rows, faults, "rows of rooms", counts, file=file))
        files.check_days(file, start, end, INFO["utc_offset"], counts)
    frame = merged_rooms(pl.concat(parts, how="diagonal"), counts)
    log.add("rooms", frame.drop("title").with_columns(pl.col("^category|live_type$").cast(pl.String)))
    return frame.select("room_id", "author_id", "start", "title")


def _write_titles(log: LogWriter, source: SourceFolder, rooms: pl.DataFrame, counts: Counts) -> None:
    """Writes one segment per room with a title; its vector is row `live_name_id` (from 0) of the title file."""
    path = source.file(*TITLE_FILES)
    if path is None:
        return
    vectors = read_array(path, dimensions=2, kinds="f")
    row = pl.col("title").cast(pl.Int64, strict=False)
    known = rooms.with_columns(row.alias("row")).filter(pl.col("row").is_between(0, len(vectors) - 1))
    counts.add("rooms without a title vector; no segment", len(rooms) - len(known))
    titled = known.unique(("author_id", "start"), keep="first", maintain_order=True)
    counts.add("titles of an author's second room with the same start; left out", len(known) - len(titled))
    for begin in range(0, len(titled), CHUNK_ROOMS):
        chunk = titled.slice(begin, CHUNK_ROOMS)
        values = np.asarray(vectors[chunk["row"].to_numpy()], dtype=np.float32)
        if not np.isfinite(values).all():
            bad = int(chunk["row"][int(np.nonzero(~np.isfinite(values))[0][0])])
            raise InputError(f"{path}, row {bad}: a value that is no finite number")
        title = pl.Series("title", values, dtype=pl.Array(pl.Float32, values.shape[1]))
        keys = chunk.select("room_id", "author_id", "start", pl.col("start").alias("end"))
        log.add("segments", keys.with_columns(title))
