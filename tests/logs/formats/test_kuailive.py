"""KuaiLive's files, made here with exactly their columns."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from mmbee_plugin.errors import InputError
from mmbee_plugin.logs.folder import LogFolder
from mmbee_plugin.logs.formats import convert_log
from mmbee_plugin.logs.settings import ConvertSettings

ANY = ConvertSettings(max_dropped=1)
NOON = 1_746_417_600_000  # 2025-05-05 12:00 in China
ROOMS = """p_date,live_id,{author},live_type,start_timestamp,end_timestamp,live_content_category,live_name_id
20250505,7,3,1,1746417600000,1746460800000,chat,1
20250506,7,3,1,1746417600000,1746468000000,chat,1
20250505,8,4,2,1746417600000,1746421200000,shop,9
20250505,9,3,1,1746421200000,1746421100000,shop,0
20250505,10,4,1,1746417600500,,game,0
"""
CLICKS = """user_id,live_id,{author},timestamp,watch_live_time
1,7,3,1746417600022,2852
2,7,3.0,1746417601000,0
1,8,4,1746417602000,-5
,8,4,1746417602000,5
1,8,4,,5
1,8,4,1746417603000,1000.0
"""
GIFTS = """user_id,live_id,{author},timestamp,gift_price
1,7,3,1746417601000,52
1,7,3,1746417602000,0
"""
EVENTS = "user_id,live_id,{author},timestamp\n1,7,3,1746417601500\n"
USERS = """user_id,age,gender,country,device_brand,device_price,reg_timestamp,fans_num,accu_watch_live_cnt
1,18-23,M,China,A,0,2023-05-03,0-10,0-50000
"""
AUTHORS = """{author},gender,age,live_operation_tag,fans_user_num,accu_play_cnt
3,F,24-30,Talk,0-10,0
3,M,24-30,Talk,0-10,0
"""


@pytest.fixture(params=["streamer_id", "author_id"])
def source(tmp_path, request):
    """Both spellings, and with the second one the older names of the files."""
    folder, old = tmp_path / "files", request.param == "author_id"
    folder.mkdir()
    files = {
        "click": CLICKS,
        "gift": GIFTS,
        "comment": EVENTS,
        "like": EVENTS,
        "negative": EVENTS,
        "user": USERS,
    }
    files |= {"mapped_room" if old else "room": ROOMS, "author" if old else "streamer": AUTHORS}
    for name, text in files.items():
        (folder / f"{name}.csv").write_text(text.format(author=request.param))
    titles = np.arange(2 * 128, dtype=np.float32).reshape(2, 128)
    np.save(folder / ("title_embeddings_pca128.npy" if old else "title_embeddings.npy"), titles)
    return folder


def test_every_table(source, tmp_path):
    lines = convert_log("kuailive", source, tmp_path / "log", ANY)
    log = LogFolder(tmp_path / "log")
    rows = {name: log.scan(name).collect() for name in log.tables}
    place = {"author_id": "3", "room_id": "7"}
    assert rows["visits"].to_dicts() == [
        {"user_id": "1", **place, "enter": NOON + 22, "exit": NOON + 2874},
        {"user_id": "2", **place, "enter": NOON + 1000, "exit": NOON + 1000},
        {"user_id": "1", "author_id": "4", "room_id": "8", "enter": NOON + 3000, "exit": NOON + 4000},
    ]
    assert rows["gifts"].to_dicts() == [{"user_id": "1", **place, "time": NOON + 1000, "amount": 52.0}]
    assert rows["feedback"]["kind"].to_list() == ["comment", "like", "negative"]
    assert rows["rooms"].select("room_id", "author_id", "start", "end", "category").sort(
        "room_id"
    ).rows() == [
        ("10", "4", NOON + 500, None, "game"),
        ("7", "3", NOON, 1_746_468_000_000, "chat"),
        ("8", "4", NOON, 1_746_421_200_000, "shop"),
    ]
    # One title a room, known from the room's start on; row 9 of the vectors does not exist.
    titles = rows["segments"].sort("room_id")
    assert titles.select("room_id", "author_id", "start", "end").rows() == [
        ("10", "4", NOON + 500, NOON + 500),
        ("7", "3", NOON, NOON),
    ]
    assert titles["title"].arr.first().to_list() == [0, 128]
    assert rows["users"].columns == ["user_id", "gender", "age", "country", "device_brand", "device_price"]
    assert rows["authors"].to_dicts() == [
        {"author_id": "3", "gender": "F", "age": "24-30", "live_operation_tag": "Talk"}
    ]
    assert log.info.days == ["2025-05-05", "2025-05-05"]
    for line in (
        "           3 visits written",
        "           1 visits left out: no user_id",
        "           1 visits left out: no enter",
        "           1 visits left out: a negative watch time",
        "           1 gifts left out: a price of 0 or less",
        "           1 rows of rooms left out: its end is before its start",
        "           1 rooms without a title vector; no segment",
        "           1 authors there twice; the first row counts",
    ):
        assert line in lines


def test_part_files_and_what_may_be_absent(source, tmp_path):
    text = (source / "click.csv").read_text().splitlines(keepends=True)
    (source / "click.csv").unlink()
    (source / "click_part0.csv").write_text("".join(text[:3]))
    (source / "click_part1.csv").write_text("".join([text[0], *text[3:]]))
    for name in ("user.csv", "negative.csv", "title_embeddings.npy", "title_embeddings_pca128.npy"):
        (source / name).unlink(missing_ok=True)
    lines = convert_log("kuailive", source, tmp_path / "log", ANY)
    assert "           3 visits written" in lines
    assert {"no table segments: the files have none", "no table users: the files have none"} <= set(lines)


@pytest.mark.parametrize(
    ("name", "old", "new", "message"),
    [
        ("gift", "timestamp", "when", r"gift.csv: no column timestamp; found user_id"),
        (
            "click",
            "174641760",
            "1746417",
            r"visits: 6 of 6 \(100.0%\) are left out, none is left; most often, 5 times: enter is neither a time of "
            r"2000 to 2100 nor a date with one; first .*click.csv, row 0: user_id=1, .*timestamp=1746417\d+, watch",
        ),
        ("click", "user_id", "uid", r"click.csv: no column user_id"),
        ("gift", "user_id,live_id", "user_id,user_id", r"gift.csv: "),
    ],
)
def test_bad_files_are_named(source, tmp_path, name, old, new, message):
    file = source / f"{name}.csv"
    file.write_text(file.read_text().replace(old, new))
    with pytest.raises(InputError, match=message):
        convert_log("kuailive", source, tmp_path / "log", ANY)
    assert not (tmp_path / "log").exists()


def test_a_missing_file(source, tmp_path):
    (source / "gift.csv").unlink()
    with pytest.raises(
        InputError, match=r"no file gift.csv, .csv.gz or .parquet, .*; found .*click.csv, comment.csv"
    ):
        convert_log("kuailive", source, tmp_path / "log")


def test_files_in_a_folder_of_the_archive(source, tmp_path):
    expected = convert_log("kuailive", source, tmp_path / "flat", ANY)
    inner = source / "data" / "KuaiLive"
    inner.mkdir(parents=True)
    for path in source.glob("*.*"):
        path.rename(inner / path.name)
    (inner / "CLICK.csv").write_text("none of the table's columns\n")  # sorts first
    (inner / "CLICK.csv").rename(inner / "click.csv.gz")
    lines = convert_log("kuailive", source, tmp_path / "log", ANY)
    assert [line for line in lines if line[0] == " "] == [line for line in expected if line[0] == " "]
    assert "click: data/KuaiLive/click.csv; not read: data/KuaiLive/click.csv.gz" in lines
    assert LogFolder(tmp_path / "log").scan("segments").collect().height == 2


def test_two_files_of_one_table_are_not_added_up(source, tmp_path):
    text = (source / "click.csv").read_text()
    (source / "Click.CSV").write_text(text)
    lines = convert_log("kuailive", source, tmp_path / "log", ANY)
    assert "           3 visits written" in lines
    assert "click: Click.CSV; not read: click.csv" in lines


def test_the_days_of_rooms_are_compared(source, tmp_path):
    def said(text):
        (source / "room.csv").unlink(missing_ok=True)
        (source / "mapped_room.csv").unlink(missing_ok=True)
        (source / "room.csv").write_text(text.format(author="author_id"))
        lines = convert_log("kuailive", source, tmp_path / "log", ANY, force=True)
        return [line for line in lines if "p_date" in line]

    assert said(ROOMS) == ["room.csv: p_date is the day at UTC+8 of 100.0% of the rows"]
    # A room on a day after its end; a room without an end may go on.
    late = ROOMS.replace("20250506,7", "20250507,7").replace("20250505,10", "20250511,10")
    assert said(late) == ["room.csv: p_date is the day at UTC+8 of 80.0% of the rows"]
    other = ROOMS.replace("20250505,", "20250504,").replace("20250506,", "20250504,")
    (line,) = said(other)
    assert line.startswith(
        "warning: room.csv: p_date is the day at UTC+8 of 0.0% of the rows; of 100.0% it is that at UTC-"
    )
    assert said(ROOMS.replace("p_date", "day")) == []


def test_ids_are_the_same_text_in_files_of_any_type(tmp_path):
    from mmbee_plugin.logs.formats.source import PLACE, SourceFolder

    for name, values in (("a", [12, 7]), ("b", ["12", " 7 "]), ("c", [12.0, 7.0]), ("d", ["12.0", "7"])):
        pl.DataFrame({"live_id": values}).write_parquet(tmp_path / f"{name}.parquet")
        pl.DataFrame({"live_id": values}).write_csv(tmp_path / f"{name}2.csv")
        for table in (SourceFolder(tmp_path).table(name), SourceFolder(tmp_path).table(f"{name}2")):
            frame = table.scan(table.files[0], ids={"room_id": PLACE["room_id"]}, times={})
            assert frame.collect()["room_id"].to_list() == ["12", "7"]
