"""KuaiLive-M3: visits with counts of gifts and feedback, a fused vector per segment of a room, texts of comments."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl

from mmbee_plugin.errors import InputError
from mmbee_plugin.logs.counts import Counts
from mmbee_plugin.logs.formats.kuailive import merged_rooms, write_attributes, write_feedback
from mmbee_plugin.logs.formats.source import PLACE, SourceFolder, SourceTable, missing, number, sound
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
FILES = tuple(
    (name,)
    for name in (
        "live_interaction",
        "live_room_meta",
        "live_comment",
        "live_like",
        "live_show",
        "live_emb_128_ts",
        "author_profile",
    )
)
FUSED = 128
FIRST_MS = 30_000
"""length (ms) of a room's first segment if its end is not after the room's start"""
ENTER, EXIT = ("live_play_start_timestamp",), ("live_play_end_timestamp",)
PLAYED = ("play_duration",)
ROOM = {name: PLACE[name] for name in ("room_id", "author_id")}
ATTRIBUTES = ("gender", "age_segment")


def write(source: SourceFolder, log: LogWriter, counts: Counts, progress: Callable[[str], None]) -> None:
    """Writes the tables of the log.

    Likes and comments come with their times from their own files if these exist, otherwise, like follows, from the
    counts of a visit, at its exit. Impressions without a visit are feedback of the kind "negative".

    Raises InputError for a missing file or column, a vector of another width, or as `sound`.
    """
    comments, likes = source.table("live_comment"), source.table("live_like")
    progress("rooms")
    rooms = _write_rooms(log, source.table("live_room_meta").needed(), counts)
    progress("visits and gifts")
    counted = {"follow": "follow_author_cnt"}
    counted |= {} if comments else {"comment": "comment_cnt"}
    counted |= {} if likes else {"like": "like_cnt"}
    _write_visits(log, source.table("live_interaction").needed(), counted, counts)
    progress("comments, likes and impressions")
    for files, kind, time in ((comments, "comment", "comment_ts"), (likes, "like", "like_timestamp")):
        for file in files.files:
            _write_feedback(log, files, file, kind, time, rooms, counts)
    write_feedback(log, source.table("live_show"), "negative", ("show_timestamp",), counts)
    progress("times of segments")
    texts = _read_texts(comments, rooms)
    vectors = source.table("live_emb_128_ts")
    spans = _spans(vectors, rooms, counts)
    for number_of_file, file in enumerate(vectors.files):
        progress(f"segments of {file.name}")
        own = spans.filter(pl.col("file") == number_of_file).join(
            rooms.select("room", "room_id", "author_id"), on="room", how="left"
        )
        _write_segments(log, vectors, file, own, texts, counts)
    write_attributes(log, source.table("author_profile"), "authors", "author_id", ATTRIBUTES, counts)


def _write_rooms(log: LogWriter, files: SourceTable, counts: Counts) -> pl.DataFrame:
    """Writes `rooms`; returns room_id, author_id, start, and uint32 numbers `room` and `author`."""
    spans = {"start": ("start_timestamp",), "end": ("end_timestamp",)}
    faults = missing(*ROOM, "start") | {"its end is before its start": pl.col("end") < pl.col("start")}
    parts = [
        sound(files.scan(file, ids=ROOM, times=spans), faults, "rows of rooms", counts, file=file)
        for file in files.files
    ]
    rooms = merged_rooms(pl.concat(parts), counts)
    log.add("rooms", rooms)
    author = pl.col("author_id").rank("dense").cast(pl.UInt32).alias("author")
    return rooms.select("room_id", "author_id", "start", author).with_row_index("room")


def _write_visits(log: LogWriter, files: SourceTable, counted: dict[str, str], counts: Counts) -> None:
    """Writes `visits`, and from their counts `gifts` and feedback; `counted` maps kinds to count columns.

    A visit without an end lasts `play_duration` ms.
    """
    for file in files.files:
        frame = files.scan(
            file,
            ids=PLACE,
            times={"enter": ENTER},
            others={"gifts": ("send_gift_cnt",), "amount": ("send_gift_num",)},
            optional={"exit": EXIT, "played": PLAYED} | {kind: (column,) for kind, column in counted.items()},
        )
        columns = frame.collect_schema()
        if "exit" not in columns and "played" not in columns:
            raise InputError(f"{file}: no column {EXIT[0]}, nor {PLAYED[0]} to take its place")
        kinds = [kind for kind in counted if kind in columns]
        frame = frame.with_columns(
            number("gifts"),
            number("amount"),
            number("played") if "played" in columns else pl.lit(None, pl.Float64).alias("played"),
            pl.col("exit") if "exit" in columns else pl.lit(None, pl.Int64).alias("exit"),
            *(number(kind) for kind in kinds),
        )
        without_end = pl.col("exit").is_null() & (pl.col("played") >= 0)
        played = pl.col("enter") + pl.col("played").cast(pl.Int64, strict=False)
        frame = frame.with_columns(
            pl.when(without_end).then(played).otherwise("exit").alias("exit"),
            without_end.alias("without end"),
        )
        faults = missing(*PLACE, "enter", "exit") | {"exit before enter": pl.col("exit") < pl.col("enter")}
        visits = sound(frame, faults, "visits", counts, file=file)
        ended = visits.select(pl.col("without end").sum()).collect(engine="streaming").item()
        counts.add("visits without an end; it is the start and play_duration", ended)
        files.check_days(file, ENTER, ENTER, INFO["utc_offset"], counts)
        log.add("visits", visits.select(*PLACE, "enter", "exit"))
        number_sent = pl.when(pl.col("amount") > 0).then("amount").otherwise("gifts")
        gifts = visits.filter(pl.col("gifts") > 0).select(
            *PLACE, pl.col("exit").alias("time"), number_sent.alias("amount")
        )
        log.add("gifts", sound(gifts, {}, "visits with gifts", counts, file=file))
        for kind in kinds:
            done = visits.filter(pl.col(kind) > 0).select(*PLACE, pl.col("exit").alias("time"))
            rows = sound(done, {}, f"visits with a {kind}", counts, file=file)
            log.add("feedback", rows.with_columns(pl.lit(kind).alias("kind")))


def _write_feedback(
    log: LogWriter, files: SourceTable, file: Path, kind: str, time: str, rooms: pl.DataFrame, counts: Counts
) -> None:
    """Writes likes or comments of a file, with the authors of their rooms."""
    ids = {name: PLACE[name] for name in ("user_id", "room_id")}
    frame = files.scan(file, ids=ids, times={"time": (time,)})
    placed = frame.join(
        rooms.lazy().select("room_id", "author_id"), on="room_id", how="left", maintain_order="left"
    )
    faults = missing("user_id", "room_id", "time") | {
        "a room that is not in live_room_meta": pl.col("author_id").is_null()
    }
    rows = sound(placed, faults, f"{kind}s", counts, file=file)
    log.add("feedback", rows.select(*PLACE, "time", pl.lit(kind).alias("kind")))


def _read_texts(comments: SourceTable, rooms: pl.DataFrame) -> pl.DataFrame | None:
    """room, time and content of all comments, sorted by time; None without a file of comments."""
    if not comments:
        return None
    room, content = {"room_id": ROOM["room_id"]}, {"content": ("content",)}
    parts = [
        comments.scan(file, ids=room, times={"time": ("comment_ts",)}, others=content).select(
            "room_id", "time", "content"
        )
        for file in comments.files
    ]
    texts = pl.concat(parts).drop_nulls().join(rooms.lazy(), on="room_id", how="inner")
    return texts.select("room", "time", "content").sort("time").collect(engine="streaming")


def _spans(files: SourceTable, rooms: pl.DataFrame, counts: Counts) -> pl.DataFrame:
    """room, start, end, file and row in the file of every segment, without vectors.

    The files have only ends: a segment starts at the end of the previous one of its room, in any file, the first one at
    the room's start.
    """
    parts = []
    for number_of_file, file in enumerate(files.files):
        frame = files.scan(file, ids={"room_id": ROOM["room_id"]}, times={"end": ("timestamp",)})
        placed = frame.with_row_index("row").join(
            rooms.lazy().select("room_id", "room"), on="room_id", how="left", maintain_order="left"
        )
        faults = missing("room_id", "end") | {
            "a room that is not in live_room_meta": pl.col("room").is_null()
        }
        good = sound(placed, faults, "rows of segments", counts, file=file).select("room", "end", "row")
        part = good.with_columns(pl.lit(number_of_file, pl.UInt16).alias("file"))
        parts.append(part.collect(engine="streaming"))
    schema = {"room": pl.UInt32, "end": pl.Int64, "row": pl.UInt32, "file": pl.UInt16}
    rows = pl.concat([pl.DataFrame(schema=schema), *parts])
    ends = rows.sort("room", "end", "file", "row").unique(("room", "end"), keep="first", maintain_order=True)
    counts.add("segments there twice; the first counts", len(rows) - len(ends))
    previous = pl.when(pl.col("room") == pl.col("room").shift(1)).then(pl.col("end").shift(1))
    ends = ends.with_columns(previous.alias("previous")).join(
        rooms.select("room", "author", "start"), on="room", how="left", maintain_order="left"
    )
    opening = pl.when(pl.col("start") < pl.col("end")).then("start").otherwise(pl.col("end") - FIRST_MS)
    spans = ends.with_columns(pl.coalesce("previous", opening).alias("start")).drop("previous")
    once = spans.unique(("author", "start"), keep="first", maintain_order=True).drop("author")
    counts.add("segments of an author's second room with the same start; left out", len(spans) - len(once))
    return once


def _write_segments(
    log: LogWriter,
    files: SourceTable,
    file: Path,
    spans: pl.DataFrame,
    texts: pl.DataFrame | None,
    counts: Counts,
) -> None:
    """Writes the segments of one part file with rows `spans`; its vectors are streamed."""
    fused = files.scan(file, ids={}, times={}, others={"fused": ("feature_128",)}).with_row_index("row")
    keys = spans.lazy().select("row", "room_id", "author_id", "start", "end")
    table = fused.join(keys, on="row", how="inner").select(
        "row", "room_id", "author_id", "start", "end", pl.col("fused").cast(pl.Array(pl.Float32, FUSED))
    )
    if texts is not None:
        vectors, number_of_comments = _comment_vectors(spans, texts)
        counts.add("comments in a segment of their room", number_of_comments)
        counts.add("segments with a comment", len(vectors))
        table = table.join(vectors.lazy(), on="row", how="left")
    try:
        log.add("segments", table.drop("row"))
    except pl.exceptions.PolarsError as error:
        raise _another_width(file, fused) or error from None


def _comment_vectors(spans: pl.DataFrame, texts: pl.DataFrame) -> tuple[pl.DataFrame, int]:
    """row and comment vector (WIDTH,) of the segments with comments, and the total number of their comments.

    A comment at the very end of a segment belongs to the next.
    """
    here = texts.join(spans.select("room").unique(), on="room", how="semi", maintain_order="left")
    found = here.join_asof(
        spans.select("row", "room", "start", "end").sort("end"),
        left_on="time",
        right_on="end",
        by="room",
        strategy="forward",
        check_sortedness=False,
        allow_exact_matches=False,
    ).filter(pl.col("time") >= pl.col("start"))
    rows = found["row"].unique().sort()
    groups = rows.search_sorted(found["row"]).to_numpy()
    values = hashed_text(groups, found["content"], len(rows))
    vectors = pl.DataFrame({"row": rows, "comment": pl.Series(values, dtype=pl.Array(pl.Float32, WIDTH))})
    return vectors, len(found)


def _another_width(file: Path, frame: pl.LazyFrame) -> InputError | None:
    size = pl.col("fused").cast(pl.List(pl.Float32)).list.len().alias("size")
    other = frame.select("row", size).filter(pl.col("size") != FUSED).head(1).collect()
    if not len(other):
        return None
    row, found = other.row(0)
    return InputError(f"{file}, row {row:,}: feature_128 has {found} values; {FUSED} are needed")
