"""KuaiLive-M3's files, made here with exactly their columns and types."""

from __future__ import annotations

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


def test_dates_are_read_as_utc(source, tmp_path):
    file = source / "live_interaction.csv"
    text = (
        file.read_text()
        .replace(str(NOON), "2025-05-05 04:00:00")
        .replace(str(NOON + 60_000), "2025-05-05T04:01:00.000Z")
    )
    file.write_text(text)
    convert_log("kuailive-m3", source, tmp_path / "log", ANY)
    first = LogFolder(tmp_path / "log").scan("visits").filter(pl.col("user_id") == "1").collect()
    assert first.select("enter", "exit").row(0) == (NOON, NOON + 60_000)


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
