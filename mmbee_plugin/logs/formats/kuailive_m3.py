"""KuaiLive-M3: visits with counts of what was done, a fused vector every 30 s of a room, and comments' text."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl

from mmbee_plugin.errors import InputError
from mmbee_plugin.logs.counts import Counts
from mmbee_plugin.logs.formats.kuailive import write_attributes
from mmbee_plugin.logs.formats.source import PLACE, SourceTable, missing, number, sound
from mmbee_plugin.logs.formats.text import WIDTH, hashed_text
from mmbee_plugin.logs.writer import LogWriter

INFO: dict[str, Any] = {
    "name": "KuaiLive-M3",
    "kind": "real",
    "source": "KuaiLive-M3",
    "utc_offset": 8,
    "notes": [
        "one fused vector a segment stands for picture and sound; speech is missing",
        "gifts are counted per visit, without their time: they are put at the visit's exit, as negatives are",
        "a gift's amount is the number of gifts sent in the visit; there are no prices",
        f"comments' text is hashed into {WIDTH} places, see docs/data-formats.md",
    ],
}
FUSED = 128
SEGMENT_MS = 30_000
ENTER, EXIT = ("live_play_start_timestamp",), ("live_play_end_timestamp",)
ROOM = {name: PLACE[name] for name in ("room_id", "author_id")}
ATTRIBUTES = ("gender", "age_segment")


def write(source: Path, log: LogWriter, counts: Counts, progress: Callable[[str], None]) -> None:
    """Writes every table of the log.

    Likes and comments come from their own files, with their times, where these are there; otherwise from the counts
    of the visit, at its exit; follows always do.

    Raises InputError for a missing file or column, a time in another unit, a vector of another width.
    """
    comments, likes = SourceTable(source, "live_comment"), SourceTable(source, "live_like")
    progress("rooms")
    rooms = _write_rooms(log, SourceTable(source, "live_room_meta").needed(), counts)
    progress("visits and gifts")
    counted = {"follow": "follow_author_cnt"}
    counted |= {} if comments else {"comment": "comment_cnt"}
    counted |= {} if likes else {"like": "like_cnt"}
    _write_visits(log, SourceTable(source, "live_interaction").needed(), counted, counts)
    progress("comments and likes")
    for files, kind, time in ((comments, "comment", "comment_ts"), (likes, "like", "like_timestamp")):
        for file in files.files:
            _write_feedback(log, files, file, kind, time, rooms, counts)
    texts = _read_texts(comments)
    vectors = SourceTable(source, "live_emb_128_ts")
    for file in vectors.files:
        progress(f"segments of {file.name}")
        _write_segments(log, vectors, file, rooms, texts, counts)
    write_attributes(log, SourceTable(source, "author_profile"), "authors", "author_id", ATTRIBUTES, counts)


def _write_rooms(log: LogWriter, files: SourceTable, counts: Counts) -> pl.DataFrame:
    """Writes `rooms`; returns room_id and author_id."""
    spans = {"start": ("start_timestamp",), "end": ("end_timestamp",)}
    parts = [files.scan(file, ids=ROOM, times=spans) for file in files.files]
    faults = missing(*ROOM, "start") | {"its end is before its start": pl.col("end") < pl.col("start")}
    rows = sound(pl.concat(parts), faults, "rooms", counts, where=files.where).collect(engine="streaming")
    rooms = rows.sort("room_id", "start").unique("room_id", keep="first", maintain_order=True)
    counts.add("rooms there twice; the earliest start counts", len(rows) - len(rooms))
    log.add("rooms", rooms)
    return rooms.select("room_id", "author_id")


def _write_visits(log: LogWriter, files: SourceTable, counted: dict[str, str], counts: Counts) -> None:
    """Writes `visits`, and from their counts `gifts` and the kinds of feedback in `counted`."""
    for file in files.files:
        frame = files.scan(
            file,
            ids=PLACE,
            times={"enter": ENTER, "exit": EXIT},
            others={"gifts": ("send_gift_cnt",), "amount": ("send_gift_num",)},
            optional={kind: (column,) for kind, column in counted.items()},
        )
        kinds = [kind for kind in counted if kind in frame.collect_schema()]
        frame = frame.with_columns(number("gifts"), number("amount"), *(number(kind) for kind in kinds))
        faults = missing(*PLACE, "enter", "exit") | {"exit before enter": pl.col("exit") < pl.col("enter")}
        visits = sound(frame, faults, "visits", counts, where=file)
        log.add("visits", visits.select(*PLACE, "enter", "exit"))
        number_sent = pl.when(pl.col("amount") > 0).then("amount").otherwise("gifts")
        gifts = visits.filter(pl.col("gifts") > 0).select(
            *PLACE, pl.col("exit").alias("time"), number_sent.alias("amount")
        )
        log.add("gifts", sound(gifts, {}, "visits with gifts", counts, where=file))
        for kind in kinds:
            done = visits.filter(pl.col(kind) > 0).select(*PLACE, pl.col("exit").alias("time"))
            rows = sound(done, {}, f"visits with a {kind}", counts, where=file)
            log.add("feedback", rows.with_columns(pl.lit(kind).alias("kind")))


def _write_feedback(
    log: LogWriter, files: SourceTable, file: Path, kind: str, time: str, rooms: pl.DataFrame, counts: Counts
) -> None:
    """Writes likes or comments; a file without the author takes him from the room."""
    ids = {name: PLACE[name] for name in ("user_id", "room_id")}
    frame = files.scan(file, ids=ids, times={"time": (time,)})
    placed = frame.join(rooms.lazy(), on="room_id", how="left", maintain_order="left")
    faults = missing("user_id", "room_id", "time") | {
        "a room that is not in live_room_meta": pl.col("author_id").is_null()
    }
    rows = sound(placed, faults, f"{kind}s", counts, where=file)
    log.add("feedback", rows.select(*PLACE, "time", pl.lit(kind).alias("kind")))


def _read_texts(comments: SourceTable) -> pl.DataFrame | None:
    """room_id, time, content of all comments, in order of time; None where there is no file of them."""
    if not comments:
        return None
    room, content = {"room_id": ROOM["room_id"]}, {"content": ("content",)}
    parts = [
        comments.scan(file, ids=room, times={"time": ("comment_ts",)}, others=content)
        for file in comments.files
    ]
    return pl.concat(parts).drop_nulls().sort("time").collect(engine="streaming")


def _write_segments(
    log: LogWriter,
    files: SourceTable,
    file: Path,
    rooms: pl.DataFrame,
    texts: pl.DataFrame | None,
    counts: Counts,
) -> None:
    """Writes the segments of one part file; `timestamp` is a segment's end. Its vectors do not stay in memory.

    A comment belongs to the segment of its room that ends next, if that is within 30 s.
    """
    room = {"room_id": ROOM["room_id"]}
    frame = files.scan(file, ids=room, times={"end": ("timestamp",)}, others={"fused": ("feature_128",)})
    frame = frame.with_row_index("row")
    placed = frame.drop("fused").join(rooms.lazy(), on="room_id", how="left", maintain_order="left")
    faults = missing("room_id", "end")
    faults |= {"a room that is not in live_room_meta": pl.col("author_id").is_null()}
    good = sound(placed, faults, "rows of segments", counts, where=file).collect(engine="streaming")
    once = good.sort("end", "row").unique(("author_id", "end"), keep="first", maintain_order=True)
    counts.add("segments there twice in a file; the first counts", len(good) - len(once))
    table = frame.join(once.lazy().select("row", "author_id"), on="row", how="inner").select(
        "row",
        "room_id",
        "author_id",
        (pl.col("end") - SEGMENT_MS).alias("start"),
        "end",
        pl.col("fused").cast(pl.Array(pl.Float32, FUSED)),
    )
    if texts is not None:
        vectors = _comment_vectors(once, texts)
        counts.add("segments with a comment", len(vectors))
        table = table.join(vectors.lazy(), on="row", how="left")
    try:
        log.add("segments", table.drop("row"))
    except pl.exceptions.PolarsError as error:
        raise _another_width(file, frame) or error from None


def _comment_vectors(segments: pl.DataFrame, texts: pl.DataFrame) -> pl.DataFrame:
    """row, comment (WIDTH,): the segments (in order of their ends) with comments."""
    here = texts.join(segments.select("room_id").unique(), on="room_id", how="semi", maintain_order="left")
    found = here.join_asof(
        segments.select("row", "room_id", "end"),
        left_on="time",
        right_on="end",
        by="room_id",
        strategy="forward",
        tolerance=SEGMENT_MS,
        check_sortedness=False,
        allow_exact_matches=False,  # a comment at the very end is in the next segment
    ).drop_nulls("row")
    rows = found["row"].unique().sort()
    groups = rows.search_sorted(found["row"]).to_numpy()
    values = hashed_text(groups, found["content"], len(rows))
    return pl.DataFrame({"row": rows, "comment": pl.Series(values, dtype=pl.Array(pl.Float32, WIDTH))})


def _another_width(file: Path, frame: pl.LazyFrame) -> InputError | None:
    size = pl.col("fused").cast(pl.List(pl.Float32)).list.len().alias("size")
    other = frame.select("row", size).filter(pl.col("size") != FUSED).head(1).collect()
    if not len(other):
        return None
    row, found = other.row(0)
    return InputError(f"{file}, row {row:,}: feature_128 has {found} values; {FUSED} are needed")
