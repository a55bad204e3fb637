"""VTuber 1B's files, made here with exactly their columns."""

from __future__ import annotations

import json

import numpy as np
import polars as pl
import pytest

from mmbee_plugin.data.folder import DatasetFolder
from mmbee_plugin.errors import InputError
from mmbee_plugin.logs.folder import LogFolder
from mmbee_plugin.logs.formats import convert_log
from mmbee_plugin.logs.formats.vtuber import IN_TIERS, visits_of
from mmbee_plugin.logs.samples import write_samples
from mmbee_plugin.logs.settings import ConvertSettings, SampleSettings

ANY = ConvertSettings(max_dropped=1)
NOON = 1_614_600_000_000  # 2021-03-01 12:00 UTC
SUPERCHATS = """timestamp,amount,currency,color,significance,body,id,channelId,originVideoId,originChannelId
2021-03-01T12:01:00.000Z,500,JPY,yellow,4,"hi, all",s1,u1,v1,c1
2021-03-01T12:01:00.000Z,500,JPY,yellow,4,"hi, all",s1,u1,v1,c1
2021-03-01T12:30:00+00:00,5.00,USD,yellow,4,,s2,u2,v1,c1
2021-03-01T12:30:01Z,100,XXX,blue,9,,s3,u2,v1,c1
,100,JPY,blue,1,,s4,u2,v1,c1
2021-03-01T12:31:00Z,0,JPY,blue,1,,s5,,v1,c1
"""
CHATS = """timestamp,body,membership,isModerator,isVerified,id,channelId,originVideoId,originChannelId
2021-03-01T12:00:00Z,hello,non-member,0,0,m1,u1,v1,c1
2021-03-01T12:11:00Z,still here,non-member,0,0,m2,u1,v1,c1
2021-03-01T12:21:01Z,back again,non-member,0,0,m3,u1,v1,c1
2021-03-01T12:00:30Z,x,non-member,0,0,m4,u3,v1,c1
2021-03-01T12:05:00Z,y,non-member,0,0,m5,u3,v2,c2
2021-03-01 nonsense,z,non-member,0,0,m6,u3,v2,c2
"""
CHANNELS = """channelId,name,englishName,affiliation,group,subscriptionCount,videoCount,photo
c1,A,A,Independents,,1000,20,http://x
c2,B,B,Office,1st,2000,30,http://y
c2,B,B,Office,2nd,2000,30,http://y
"""
RATES = "currency,rate,date\nJPY,1,2021-03-01\nUSD,106.5,2021-03-01\n"


@pytest.fixture
def source(tmp_path):
    folder = tmp_path / "files"
    folder.mkdir()
    (folder / "superchats_2021-03.csv").write_text(SUPERCHATS)
    (folder / "chats_2021-03.csv").write_text(CHATS)
    (folder / "channels.csv").write_text(CHANNELS)
    return folder


def test_every_table_in_tiers(source, tmp_path):
    lines = convert_log("vtuber", source, tmp_path / "log", ANY)
    log = LogFolder(tmp_path / "log")
    rows = {name: log.scan(name).collect() for name in log.tables}
    first = {"author_id": "c1", "room_id": "v1"}
    assert rows["gifts"].sort("time").to_dicts() == [
        {"user_id": "u1", **first, "time": NOON + 60_000, "amount": 4.0},
        {"user_id": "u2", **first, "time": NOON + 1_800_000, "amount": 4.0},
    ]
    assert rows["visits"].sort("user_id", "enter").rows() == [
        ("u1", "c1", "v1", NOON, NOON + 660_000),  # 12:00, its superchat at 12:01, 12:11
        ("u1", "c1", "v1", NOON + 1_261_000, NOON + 1_261_000),  # 12:21:01, more than ten minutes on
        ("u2", "c1", "v1", NOON + 1_800_000, NOON + 1_800_000),  # a superchat alone
        ("u3", "c1", "v1", NOON + 30_000, NOON + 30_000),
        ("u3", "c2", "v2", NOON + 300_000, NOON + 300_000),
    ]
    assert rows["feedback"]["kind"].to_list() == ["comment"] * 5
    assert rows["authors"].to_dicts() == [
        {"author_id": "c1", "affiliation": "Independents", "group": None},
        {"author_id": "c2", "affiliation": "Office", "group": "1st"},
    ]
    assert log.info.days == ["2021-03-01", "2021-03-01"] and log.info.kind == "real"
    for line in (
        "           3 superchats written",
        "           1 superchats there twice, by id; the first counts",
        "           1 superchats left out: no time",
        "           1 superchats left out: no user_id",
        "           1 superchats left out: a significance other than 1 to 7",
        "           1 chats left out: time is neither a time of 2000 to 2100 nor a date with one",
        "           5 visits derived from messages",
        "           1 channels there twice; the first row counts",
        IN_TIERS,
    ):
        assert line in lines
    notes = json.loads((tmp_path / "log" / "logs.json").read_text())["notes"]
    assert IN_TIERS in notes and any(note.startswith("a visit is derived") for note in notes)


def test_amounts_by_dated_rates(source, tmp_path):
    (source / "rates.csv").write_text(RATES)
    lines = convert_log("vtuber", source, tmp_path / "log", ANY)
    gifts = LogFolder(tmp_path / "log").scan("gifts").collect().sort("time")
    assert gifts["amount"].to_list() == [500.0, 532.5]
    assert "           1 superchats left out: a currency without a rate" in lines
    assert "amounts are in the unit of rates.csv, 2 currencies at the rates of 2021-03-01" in lines
    for text, fault in (
        (RATES.replace("106.5,2021-03-01", "106.5,2021-04-01"), "2 dates; one date has to hold"),
        (RATES.replace("106.5", "0"), "a rate that is no number above 0"),
        (RATES + "USD,107,2021-03-01\n", "there twice"),
    ):
        (source / "rates.csv").write_text(text)
        with pytest.raises(InputError, match=fault):
            convert_log("vtuber", source, tmp_path / "other", ANY)
    assert not (tmp_path / "other").exists()


def test_months_and_parquet(source, tmp_path):
    for name in ("superchats", "chats"):
        frame = pl.read_csv(source / f"{name}_2021-03.csv")
        frame.write_parquet(source / f"{name}_2021-03.parquet")
        (source / f"{name}_2021-03.csv").unlink()
        april = frame.with_columns(
            pl.col("timestamp").str.replace("2021-03", "2021-04"), id="id" + pl.col("id")
        )
        april.write_parquet(source / f"{name}_2021-04.parquet")
    convert_log("vtuber", source, tmp_path / "log", ANY)
    log = LogFolder(tmp_path / "log")
    assert log.scan("visits").collect().height == 10 and log.scan("gifts").collect().height == 4
    assert log.info.days == ["2021-03-01", "2021-04-01"]


def test_a_gap_ends_a_visit_and_order_does_not_matter():
    rng = np.random.default_rng(0)
    frame = pl.DataFrame(
        {
            "user_id": rng.choice(["a", "b"], 300),
            "author_id": "c",
            "room_id": rng.choice(["v", "w"], 300),
            "time": NOON + rng.integers(0, 40_000_000, 300),
        }
    )
    found = visits_of(frame.lazy())
    for (user, room), own in frame.group_by("user_id", "room_id"):
        times = np.sort(own["time"].to_numpy())
        cut = np.flatnonzero(np.diff(times) > 600_000)
        expected = list(zip(times[np.r_[0, cut + 1]], times[np.r_[cut, len(times) - 1]], strict=True))
        mine = found.filter((pl.col("user_id") == user) & (pl.col("room_id") == room))
        assert mine.select("enter", "exit").rows() == expected
    assert visits_of(frame.sample(fraction=1, shuffle=True, seed=1).lazy()).equals(found)


def test_what_a_file_must_have(source, tmp_path):
    with pytest.raises(InputError, match="superchats: 3 of 6"):
        convert_log("vtuber", source, tmp_path / "log")
    (source / "chats_2021-03.csv").write_text(CHATS.replace("originVideoId", "videoId"))
    with pytest.raises(InputError, match="no column originVideoId"):
        convert_log("vtuber", source, tmp_path / "log", ANY)
    (source / "chats_2021-03.csv").unlink()
    with pytest.raises(InputError, match=r"no file chats\.csv"):
        convert_log("vtuber", source, tmp_path / "log", ANY)


def test_samples_come_of_it(tmp_path):
    """Three days of streams: each visit with a superchat is a positive, each without one a negative."""
    rng = np.random.default_rng(1)
    rows: dict[str, list[str]] = {
        "superchats": [SUPERCHATS.splitlines()[0]],
        "chats": [CHATS.splitlines()[0]],
    }
    for day in range(1, 4):
        for viewer in rng.permutation(40)[:30]:
            stream = rng.integers(5)
            place = f"u{viewer},v{day}-{stream},c{stream}"
            minute = rng.integers(50)
            for more in range(3):
                at = f"2021-03-{day:02}T12:{minute + more:02}:00Z"
                rows["chats"].append(f"{at},hi,non-member,0,0,m{len(rows['chats'])},{place}")
            if rng.random() < 0.3:
                at = f"2021-03-{day:02}T12:{minute + 1:02}:30Z"
                rows["superchats"].append(f"{at},500,JPY,yellow,4,hi,s{len(rows['superchats'])},{place}")
    (tmp_path / "files").mkdir()
    for name, lines in rows.items():
        (tmp_path / "files" / f"{name}_2021-03.csv").write_text("\n".join(lines) + "\n")
    convert_log("vtuber", tmp_path / "files", tmp_path / "log")
    settings = SampleSettings(train_days=2, valid_days=1, test_days=1)
    write_samples(LogFolder(tmp_path / "log"), tmp_path / "datasets" / "vtuber", settings)
    folder = DatasetFolder(tmp_path / "datasets" / "vtuber")
    positives = sum(int(folder.rows(part).labels.sum()) for part in ("train", "valid", "test"))
    assert positives == len(rows["superchats"]) - 1
    assert sum(len(folder.rows(part)) for part in ("train", "valid", "test")) == 90
    assert folder.kind == "real"
