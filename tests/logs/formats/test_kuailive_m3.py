"""KuaiLive-M3's files, made here with exactly their columns and types."""

from __future__ import annotations

import gzip
from dataclasses import replace

import numpy as np
import polars as pl
import pytest

from mmbee_plugin.errors import InputError
from mmbee_plugin.logs.folder import LogFolder
from mmbee_plugin.logs.formats import convert_log
from mmbee_plugin.logs.formats.text import WIDTH, hashed_text
from mmbee_plugin.logs.settings import ConvertSettings

ANY = ConvertSettings(max_dropped=1)
NOON = 1_746_417_600_000
HOUR = 3_600_000


@pytest.fixture
def source(tmp_path):
    folder = tmp_path / "files"
    (folder / "live_emb_128_ts").mkdir(parents=True)
    pl.DataFrame(
        {
            "user_id": [1, 2, 2],
            "author_id": [3, 3, 4],
            "live_id": [7, 7, 8],
            "live_play_start_timestamp": [NOON, NOON + 5, NOON + 9],
            "live_play_end_timestamp": [NOON + 60_000, NOON + 6, NOON + 8],
            "play_duration": [1, 1, 1],
            "like_cnt": [4, 0, 0],
            "comment_cnt": [1, 0, 0],
            "follow_author_cnt": [0, 1, 0],
            "send_gift_cnt": [2, 0, 1],
            "send_gift_num": [5, 0, 1],
        }
    ).write_csv(folder / "live_interaction.csv")
    pl.DataFrame(
        {
            "live_id": [7, 8],
            "author_id": [3, 4],
            "live_name": ["x", "y"],
            "start_timestamp": pl.Series([NOON, NOON]).cast(pl.Datetime("ms")),
            "end_timestamp": pl.Series([NOON + 90_000, None]).cast(pl.Datetime("ms")),
            "live_duration": [90_000, 1],
        }
    ).write_parquet(folder / "live_room_meta.parquet")
    pl.DataFrame(
        {
            "live_stream_id": ["7", "7", "7", "99"],
            "user_id": ["1", "1", "2", "1"],
            "author_id": [3.0, 3.0, 3.0, None],
            "content": ["礼物 好", "Ab", "ab", "lost"],
            "comment_ts": [NOON + 1000, NOON + 30_000, NOON + 40_000, NOON],
        }
    ).write_csv(folder / "live_comment.csv")
    vectors = np.arange(4 * 128).reshape(4, 128).astype(np.float32)
    segments = pl.DataFrame(
        {
            "live_stream_id": ["7", "7", "7", "50"],
            "segment_id": ["7_0", "7_1", "7_1", "50_0"],
            "feature_128": vectors.tolist(),
            "timestamp": [NOON + 30_000, NOON + 60_000, NOON + 60_000, NOON],
        },
        schema_overrides={"feature_128": pl.List(pl.Float32)},
    )
    segments.write_parquet(folder / "live_emb_128_ts" / "live_emb_128_ts_part0.parquet")
    later = segments.head(1).with_columns(live_stream_id=pl.lit("8"), timestamp=pl.col("timestamp") + 30_000)
    later.write_parquet(folder / "live_emb_128_ts" / "live_emb_128_ts_part1.parquet")
    pl.DataFrame(
        {"author_id": [3], "gender": ["F"], "age_segment": ["24-30"], "fans_user_num": ["0-10"]}
    ).write_csv(folder / "author_profile.csv")
    return folder


def test_every_table(source, tmp_path):
    lines = convert_log("kuailive-m3", source, tmp_path / "log", ANY)
    log = LogFolder(tmp_path / "log")
    rows = {name: log.scan(name).collect() for name in log.tables}
    place = {"author_id": "3", "room_id": "7"}
    assert rows["visits"].to_dicts() == [
        {"user_id": "1", **place, "enter": NOON, "exit": NOON + 60_000},
        {"user_id": "2", **place, "enter": NOON + 5, "exit": NOON + 6},
    ]
    assert rows["gifts"].to_dicts() == [{"user_id": "1", **place, "time": NOON + 60_000, "amount": 5.0}]
    feedback = rows["feedback"].sort("kind", "time").select("user_id", "author_id", "room_id", "time", "kind")
    assert feedback.rows() == [
        ("1", "3", "7", NOON + 1000, "comment"),
        ("1", "3", "7", NOON + 30_000, "comment"),
        ("2", "3", "7", NOON + 40_000, "comment"),
        ("2", "3", "7", NOON + 6, "follow"),
        ("1", "3", "7", NOON + 60_000, "like"),
    ]
    assert rows["rooms"].select("room_id", "author_id", "start", "end").rows() == [
        ("7", "3", NOON, NOON + 90_000),
        ("8", "4", NOON, None),
    ]
    segments = rows["segments"].sort("author_id", "start")
    assert segments.select("room_id", "author_id", "start", "end").rows() == [
        ("7", "3", NOON, NOON + 30_000),
        ("7", "3", NOON + 30_000, NOON + 60_000),
        ("8", "4", NOON, NOON + 60_000),
    ]
    assert segments["fused"].arr.first().to_list() == [0, 128, 0]
    # A comment at the end of a segment is in the next; case does not matter; the third segment has none.
    expected = hashed_text(np.array([0, 1, 1]), pl.Series(["礼物 好", "ab", "ab"]), 2)
    np.testing.assert_array_equal(segments["comment"].head(2).to_numpy(), expected)
    assert segments["comment"][2] is None
    assert rows["authors"].to_dicts() == [{"author_id": "3", "gender": "F", "age_segment": "24-30"}]
    for line in (
        "           1 visits left out: exit before enter",
        "           1 comments left out: a room that is not in live_room_meta",
        "           1 rows of segments left out: a room that is not in live_room_meta",
        "           1 segments there twice; the first counts",
        "           2 segments with a comment",
        "no table users: the files have none",
    ):
        assert line in lines


def test_likes_with_their_times_take_the_author_from_the_room(source, tmp_path):
    (source / "live_like.csv").write_text(f"user_id,live_id,like_timestamp\n2,7,{NOON + 3}\n")
    (source / "live_comment.csv").unlink()
    convert_log("kuailive-m3", source, tmp_path / "log", ANY)
    log = LogFolder(tmp_path / "log")
    feedback = log.scan("feedback").sort("kind").select("user_id", "author_id", "time", "kind").collect()
    assert feedback.rows() == [
        ("1", "3", NOON + 60_000, "comment"),  # the visit's count, at its exit
        ("2", "3", NOON + 6, "follow"),
        ("2", "3", NOON + 3, "like"),
    ]
    assert list(log.modalities) == ["fused"]


def test_the_release_has_two_folders_and_the_profiles_beside_them(source, tmp_path):
    expected = convert_log("kuailive-m3", source, tmp_path / "flat", ANY)
    for path in sorted(source.iterdir()):
        if path.name != "author_profile.csv":
            (source / "KLM3" / "live").mkdir(parents=True, exist_ok=True)
            path.rename(source / "KLM3" / "live" / path.name)
    videos = source / "KLM3" / "Short_Video"
    videos.mkdir()
    for name in ("live_interaction.csv", "photo_play.csv"):
        (videos / name).write_text("user_id,photo_id\n1,2\n")
    (source / "__MACOSX").mkdir()
    (source / "__MACOSX" / "._live_like.csv").write_bytes(b"\0")
    lines = convert_log("kuailive-m3", source, tmp_path / "log", ANY)
    assert [line for line in lines if line[0] == " "] == [line for line in expected if line[0] == " "]
    other = "KLM3/live/live_interaction.csv; not read: KLM3/Short_Video/live_interaction.csv"
    vectors = "live_emb_128_ts: " + ", ".join(
        f"KLM3/live/live_emb_128_ts/live_emb_128_ts_part{part}.parquet" for part in (0, 1)
    )
    assert {f"live_interaction: {other}", vectors, "author_profile: author_profile.csv"} <= set(lines)
    assert {"not found: live_like", "not found: live_show"} <= set(lines)


def test_other_cases_and_compressed_files(source, tmp_path):
    expected = convert_log("kuailive-m3", source, tmp_path / "plain", ANY)
    for name in ("live_interaction.csv", "live_comment.csv", "author_profile.csv"):
        text = (source / name).read_bytes()
        (source / name).unlink()
        (source / f"{name.upper()}.gz").write_bytes(gzip.compress(text))
    (source / "live_emb_128_ts").rename(source / "Live_Emb_128_TS")
    (source / "live_room_meta.parquet").rename(source / "Live_Room_Meta.PARQUET")
    lines = convert_log("kuailive-m3", source, tmp_path / "log", ANY)
    assert [line for line in lines if line[0] == " "] == [line for line in expected if line[0] == " "]


def visits_of(source, tmp_path, rows, settings=ANY, drop=()):
    """Converts with these rows in place of the visits; the visits, and the lines."""
    table = pl.DataFrame(rows).select(pl.exclude(drop))
    table = table.with_columns(send_gift_cnt=1, send_gift_num=1, like_cnt=0, comment_cnt=0)
    table.write_csv(source / "live_interaction.csv")
    lines = convert_log("kuailive-m3", source, tmp_path / "log", settings, force=True)
    log = LogFolder(tmp_path / "log")
    return log.scan("visits").sort("user_id").select("enter", "exit").collect().rows(), lines, log.info.notes


PLACE = {"author_id": 3, "live_id": 7}


def a_visit(user, start, end, played=None, day=None):
    times = {"live_play_start_timestamp": start, "live_play_end_timestamp": end, "play_duration": played}
    return {"user_id": user, **PLACE, **times, "p_date": day}


def test_dates_are_read_in_any_spelling(source, tmp_path):
    rows = [
        a_visit(1, "2025-05-05 04:00:00.000+00:00", "2025/05/05 04:01:00"),
        a_visit(2, "2025-05-05T12:00:00.250+08:00", "2025-05-05T04:01:00.5Z"),
        a_visit(3, str(NOON // 1000), str(NOON + 7)),
        a_visit(4, "soon", "2025-05-05 04:01:00"),
    ]
    found, lines, notes = visits_of(source, tmp_path, rows)
    assert found == [(NOON, NOON + 60_000), (NOON + 250, NOON + 60_500), (NOON, NOON + 7)]
    reason = "enter is neither a time of 2000 to 2100 nor a date with one"
    assert f"           1 visits left out: {reason}" in lines
    assert f"1 of 4 visits were left out: {reason}" in notes
    assert "1 of 4 comments were left out: a room that is not in live_room_meta" in notes


def test_a_missing_end_is_the_start_and_the_time_played(source, tmp_path):
    rows = [
        a_visit(1, NOON, None, 1500),
        a_visit(2, NOON, 0, 1500),
        a_visit(3, NOON, NOON + 9, 1500),
        a_visit(4, NOON, None, None),
        a_visit(5, NOON, None, -1),
        a_visit(6, NOON, "later", 1500),
    ]
    rows = [{**row, "live_play_end_timestamp": str(row["live_play_end_timestamp"] or "")} for row in rows]
    found, lines, _ = visits_of(source, tmp_path, rows)
    assert found == [(NOON, NOON + 1500), (NOON, NOON + 1500), (NOON, NOON + 9)]
    for line in (
        "           2 visits without an end; it is the start and play_duration",
        "           2 visits left out: no exit",
        "           1 visits left out: exit is neither a time of 2000 to 2100 nor a date with one",
    ):
        assert line in lines
    column = "live_play_end_timestamp"
    assert visits_of(source, tmp_path, rows[:3], drop=[column])[0] == [(NOON, NOON + 1500)] * 3
    with pytest.raises(InputError, match=f"no column {column}, nor play_duration to take its place"):
        visits_of(source, tmp_path, rows[:3], drop=[column, "play_duration"])


def test_the_day_of_a_row_tells_the_zone(source, tmp_path):
    """Local dates, as if of China: read as UTC they are of another day wherever it is after 16 o'clock."""
    table = pl.read_parquet(source / "live_room_meta.parquet")
    local = [f"2025-05-05 {hour:02}:00:00" for hour in range(24)]
    rows = [a_visit(number, text, text, 0, 20250505) for number, text in enumerate(local)]
    small = ConvertSettings(max_dropped=0.3)
    message = (
        r"p_date is the day at UTC\+8 of 66.7% of the rows, as dates without a zone are taken for UTC; "
        r"--zone=8 would make it 100.0%"
    )
    with pytest.raises(InputError, match=message):
        visits_of(source, tmp_path, rows, small)
    found, lines, notes = visits_of(source, tmp_path, rows, replace(small, zone=8))
    line = "live_interaction.csv: p_date is the day at UTC+8 of 100.0% of the rows"
    assert line in lines and line in notes
    assert min(found)[0] == NOON - 12 * HOUR
    # A zone that was asked for, or that the dates name, is not overruled; it is said that it does not fit.
    for changed, settings in ((rows, replace(small, zone=0)), ([with_zone(row, "Z") for row in rows], small)):
        found, lines, _ = visits_of(source, tmp_path, changed, settings)
        assert min(found)[0] == NOON - 4 * HOUR
        warning = f"warning: {line.replace('100.0%', '66.7%')}; of 100.0% it is that at UTC+0"
        assert warning in lines
    found, lines, _ = visits_of(source, tmp_path, [with_zone(row, "+08:00") for row in rows], small)
    assert min(found)[0] == NOON - 12 * HOUR and line in lines
    assert len(table) == 2


def with_zone(row, zone):
    return {key: f"{value}{zone}" if "timestamp" in key else value for key, value in row.items()}


def test_a_table_that_loses_much_is_one_error(source, tmp_path):
    good = [a_visit(number, NOON, NOON + 5) for number in range(100, 196)]
    bad = [a_visit(number, "soon", NOON + 5) for number in range(4)]
    (source / "live_comment.csv").unlink()  # loses a fourth
    vectors = source / "live_emb_128_ts" / "live_emb_128_ts_part0.parquet"
    pl.read_parquet(vectors).head(3).write_parquet(vectors)
    rows = [{key: str(value) for key, value in row.items() if value is not None} for row in [*good, *bad]]
    assert len(visits_of(source, tmp_path, rows, ConvertSettings())[0]) == 96
    before = (tmp_path / "log" / "logs.json").read_text()
    rows = [*rows, {**rows[0], "user_id": ""}, rows[-1]]
    message = (
        r"^visits: 6 of 102 \(5.9%\) are left out, at most 5.0% may be \(--max-dropped\); most often, 5 times: "
        r"enter is neither a time of 2000 to 2100 nor a date with one; first .*live_interaction.csv, row 96: user_id=0"
    )
    with pytest.raises(InputError, match=message):
        visits_of(source, tmp_path, rows, ConvertSettings())
    assert (tmp_path / "log" / "logs.json").read_text() == before
    assert len(visits_of(source, tmp_path, rows, ConvertSettings(max_dropped=0.06))[0]) == 96
    with pytest.raises(
        InputError, match=r"^visits: 4 of 4 \(100.0%\) are left out, none is left; most often"
    ):
        visits_of(source, tmp_path, rows[96:100])


def test_visits_without_any_gift_are_of_no_use(source, tmp_path):
    file = source / "live_interaction.csv"
    pl.read_csv(file).with_columns(send_gift_cnt=0).write_csv(file)
    with pytest.raises(InputError, match="no gifts in it"):
        convert_log("kuailive-m3", source, tmp_path / "log", ANY)


def test_what_was_shown_is_feedback(source, tmp_path):
    shown = {"live_id": [7, 8], "user_id": [5, 5], "author_id": [3, 4], "show_timestamp": [NOON + 1, None]}
    times = pl.col("show_timestamp").cast(pl.Datetime("ms", "UTC"))
    pl.DataFrame(shown).with_columns(times).write_parquet(source / "live_show.parquet")
    lines = convert_log("kuailive-m3", source, tmp_path / "log", ANY)
    feedback = LogFolder(tmp_path / "log").scan("feedback").filter(pl.col("kind") == "negative").collect()
    assert feedback.select("user_id", "author_id", "room_id", "time").rows() == [("5", "3", "7", NOON + 1)]
    assert "           1 negatives left out: no time" in lines


def test_a_segment_goes_from_the_end_of_the_one_before_to_its_own(source, tmp_path):
    """Segments of any length, whichever file they are in; a comment belongs to the one that it lies in."""
    rng = np.random.default_rng(0)
    ends = {room: NOON + np.cumsum(rng.integers(1, 120_000, size=40)) for room in ("7", "8")}
    places = [(room, int(end)) for room in ends for end in ends[room]]
    rng.shuffle(places)
    for part in (0, 1):
        own = places[part::2]
        frame = {"live_stream_id": [room for room, _ in own], "timestamp": [int(end) for _, end in own]}
        frame |= {"segment_id": frame["live_stream_id"], "feature_128": [[0.0] * 128] * len(own)}
        table = pl.DataFrame(frame, schema_overrides={"feature_128": pl.List(pl.Float32)})
        table.write_parquet(source / "live_emb_128_ts" / f"live_emb_128_ts_part{part}.parquet")
    times = [int(NOON + step) for step in rng.integers(-60_000, 3_600_000, size=500)]
    rooms = [str(room) for room in rng.integers(7, 9, size=500)]
    comments = {"live_stream_id": rooms, "user_id": 1, "author_id": 3, "content": "x", "comment_ts": times}
    pl.DataFrame(comments).write_csv(source / "live_comment.csv")
    lines = convert_log("kuailive-m3", source, tmp_path / "log", ANY)
    segments = LogFolder(tmp_path / "log").scan("segments").sort("room_id", "start").collect()
    expected, inside, with_comment = [], 0, []
    for room in ends:
        start = NOON  # of the room
        for end in ends[room].tolist():
            expected.append((room, start, end))
            here = sum(each == room and start <= time < end for each, time in zip(rooms, times, strict=True))
            inside += here
            with_comment.append(here > 0)
            start = end
    assert segments.select("room_id", "start", "end").rows() == expected
    assert segments["comment"].is_not_null().to_list() == with_comment
    within = sum(min(ends[room][-1], time) > NOON - 1 for room, time in zip(rooms, times, strict=True))
    assert f"{inside:>12,} comments in a segment of their room" in lines
    assert 0 < inside <= within


def test_a_rooms_first_segment_starts_with_the_room_or_30_seconds_before_its_end(source, tmp_path):
    rooms = pl.read_parquet(source / "live_room_meta.parquet")
    late = rooms.with_columns(pl.col("start_timestamp") + pl.duration(milliseconds=40_000))
    # Room 7 twice, as a room that goes on after midnight: its first start and its last end count.
    again = late.head(1).with_columns(end_timestamp=pl.col("end_timestamp") + pl.duration(days=1))
    pl.concat([again, late]).write_parquet(source / "live_room_meta.parquet")
    lines = convert_log("kuailive-m3", source, tmp_path / "log", ANY)
    log = LogFolder(tmp_path / "log")
    starts = dict(
        log.scan("segments").sort("start", descending=True).select("room_id", "start").collect().rows()
    )
    assert starts == {"7": NOON, "8": NOON + 40_000}
    assert log.scan("rooms").filter(pl.col("room_id") == "7").select("start", "end").collect().rows() == [
        (NOON + 40_000, NOON + 90_000 + 24 * HOUR)
    ]
    assert "           1 rows of rooms there before; the earliest start and the latest end count" in lines


def test_a_vector_of_another_width_is_named(source, tmp_path):
    file = source / "live_emb_128_ts" / "live_emb_128_ts_part1.parquet"
    short = pl.read_parquet(file).with_columns(pl.col("feature_128").list.head(64))
    short.write_parquet(file)
    with pytest.raises(InputError, match=r"part1.parquet, row 0: feature_128 has 64 values; 128 are needed"):
        convert_log("kuailive-m3", source, tmp_path / "log", ANY)


def test_hashed_text():
    texts = pl.Series(["ab", "AB ", None, "", "a", "b", "c d"])
    vectors = hashed_text(np.arange(7), texts, 8)
    assert vectors.shape == (8, WIDTH)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), [1, 1, 0, 0, 1, 1, 1, 0], rtol=1e-6)
    np.testing.assert_array_equal(vectors[0], vectors[1])
    # Two letters and the pair of them; of "c d" no pair, as a blank is between.
    pair = vectors[0] * np.sqrt(3) - vectors[4] - vectors[5]
    assert np.isclose(np.abs(pair), 1, atol=1e-5).sum() == 1
    assert np.isclose(np.abs(vectors[6]) * np.sqrt(2), 1, atol=1e-5).sum() == 2
    # The words of a group count together, in any order.
    np.testing.assert_array_equal(
        hashed_text(np.array([0, 0]), pl.Series(["xy", "z"]), 1),
        hashed_text(np.array([0, 0]), pl.Series(["z", "xy"]), 1),
    )
