"""What bad input gets at the command line: one line and exit status 2, and the destination stays as it was."""

from __future__ import annotations

import polars as pl
import pytest

from mmbee_plugin.errors import InputError
from mmbee_plugin.logs.folder import LogFolder
from mmbee_plugin.logs.schema import TABLES
from mmbee_plugin.logs.writer import LogInfo, writing

DAY = 86_400_000
OPTIONS = ("--train-days", "3", "--segments", "4")


@pytest.fixture
def samples(mmbee, logs, tmp_path):
    """A function that writes tables as a log and runs `mmbee data samples` on it."""

    def run(tables, options=OPTIONS):
        logs.write(tmp_path / "log", tables)
        status, out, err = mmbee("data", "samples", tmp_path / "log", tmp_path / "tiny", *options)
        return status, out, [line for line in err.splitlines() if line.startswith("error: ")]

    return run


def row(number):
    return pl.int_range(pl.len()) == number


def changed(column, number, value):
    return pl.when(row(number)).then(value).otherwise(pl.col(column)).alias(column)


START = pl.col("start")
BAD = {
    "an exit before its enter": (
        "visits",
        lambda t: t.with_columns(changed("exit", 5, pl.col("enter") - 1)),
        r"visits, row 5: exit is before enter; found user_id='u",
    ),
    "seconds": (
        "visits",
        lambda t: t.with_columns(pl.col("enter", "exit") // 1000),
        r"visits, row 0: enter is outside the years 2000 to 2100; milliseconds since 1970 are needed \(480 such rows\)",
    ),
    "microseconds": (
        "gifts",
        lambda t: t.with_columns(changed("time", 3, pl.col("time") * 1000)),
        r"gifts, row 3: time is outside the years 2000 to 2100",
    ),
    "a room that ends first": (
        "rooms",
        lambda t: t.with_columns(changed("end", 0, START - 1)),
        r"rooms, row 0: end is before start",
    ),
    "no id": (
        "gifts",
        lambda t: t.with_columns(changed("user_id", 2, pl.lit(""))),
        r"gifts, row 2: user_id is empty",
    ),
    "no time": (
        "feedback",
        lambda t: t.with_columns(changed("time", 1, None)),
        r"feedback, row 1: time is null",
    ),
    "an amount of nothing": (
        "gifts",
        lambda t: t.with_columns(changed("amount", 4, pl.lit(0.0))),
        r"gifts, row 4: amount is no finite number above 0",
    ),
    "duplicate segments": (
        "segments",
        lambda t: pl.concat([t, t.slice(7, 1)]),
        r"segments, rows 7 and 2,880: author 'a0' has two segments that start at \d+ \(1 duplicates\)",
    ),
    "features of another width": (
        "segments",
        lambda t: t.with_columns(
            changed("comment", 9, pl.col("comment").list.head(3)),
        ),
        r"segments, column comment, row 9: 3 values, others have 4",
    ),
    "features out of range": (
        "segments",
        lambda t: t.with_columns(
            changed("comment", 9, pl.lit([1.0, 0, 1e6, 0])).cast(pl.List(pl.Float32)),
        ),
        r"segments, column comment, row 9, value 2: 1000000.0 is no finite float16",
    ),
    "an empty day": (
        "visits",
        lambda t: t.filter(pl.col("enter") // DAY != t["enter"].min() // DAY + 2),
        r"no visit on 2025-05-07; every day of the period needs some",
    ),
    "a log that is too short": (
        "visits",
        lambda t: t.filter(pl.col("enter") // DAY < t["enter"].min() // DAY + 3),
        r"visits on 3 days, 2025-05-05 to 2025-05-07; 3 days of training and 1 of test need 4",
    ),
    "a label that is constant": (
        "gifts",
        lambda t: t.filter(pl.col("time") // DAY == t["time"].min() // DAY),
        r"valid has no gift in \d+ rows; both labels are needed",
    ),
    "two rows of a user": (
        "users",
        lambda t: pl.concat([t, t.tail(1)]),
        r"users: user_id 'u29' has two rows; one is needed at any time",
    ),
    "an id that means missing": (
        "visits",
        lambda t: t.with_columns(pl.col("user_id").replace("u3", "NA")),
        r"visits, column user_id: 'NA' cannot be an id of an atomic file",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD)
def test_a_bad_table_is_one_line_and_status_2(samples, tables, tmp_path, case):
    name, spoil, message = BAD[case]
    status, _, lines = samples(tables | {name: spoil(tables[name])})
    assert status == 2
    assert len(lines) == 1
    assert pl.Series(lines).str.contains(message).all(), lines
    assert not (tmp_path / "tiny").exists()


def test_a_gift_outside_its_visit_is_counted(samples, tables):
    gift = tables["gifts"].head(1)
    stray = gift.with_columns(
        time=tables["visits"].filter(pl.col("user_id") == gift["user_id"][0])["exit"].max() + 40_000
    )
    status, out, _ = samples(tables | {"gifts": pl.concat([tables["gifts"], stray])})
    assert status == 0
    assert "           1 gifts outside the user's visits to the room; left out" in out.splitlines()
    assert "         182 gifts" in out.splitlines()
    assert "train 2025-05-05 to 2025-05-06, valid 2025-05-07, test 2025-05-08" in out


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--train-days", "1"), "--train-days 1, --valid-days 1"),
        (("--train-negatives", "0"), "--train-negatives 0.0: a share above 0"),
        (("--window", "0"), "--window 0: a number above 0 is needed"),
        (("--negatives", "shown"), "--negatives 'shown': one of visits, impressions, both is needed"),
        (
            (*OPTIONS, "--negatives", "both"),
            "--negatives both needs feedback of the kind 'negative' in the period; it has none",
        ),
        (("--gift-tolerance", "-1"), "--gift-tolerance -1.0: seconds from 0 are needed"),
    ],
)
def test_a_bad_option(samples, tables, options, message):
    status, _, lines = samples(tables, options)
    assert (status, len(lines)) == (2, 1)
    assert message in lines[0]


@pytest.fixture
def convert(mmbee, tmp_path):
    """A function that runs `mmbee data convert kuailive` on 20 visits, some of them without a readable time."""

    def run(bad, options=(), form="kuailive"):
        source = tmp_path / "files"
        source.mkdir(exist_ok=True)
        moments = ["soon"] * bad + ["2025-05-05 12:00:00"] * (20 - bad)
        visits = pl.DataFrame({"user_id": range(20), "live_id": 7, "streamer_id": 3, "timestamp": moments})
        visits.with_columns(watch_live_time=5).write_csv(source / "click.csv")
        visits.tail(1).with_columns(gift_price=2).write_csv(source / "gift.csv")
        room = {
            "live_id": [7],
            "streamer_id": [3],
            "start_timestamp": ["2025-05-05 11:00:00"],
            "live_name_id": [0],
        }
        pl.DataFrame(room).with_columns(end_timestamp=pl.lit("")).write_csv(source / "room.csv")
        status, out, err = mmbee("data", "convert", form, source, tmp_path / "log", *options)
        return status, out.splitlines(), [line for line in err.splitlines() if line.startswith("error")]

    return run


def test_a_conversion_that_loses_visits_says_so_and_stops(convert, tmp_path):
    reason = "enter is neither a time of 2000 to 2100 nor a date with one"
    status, out, _ = convert(bad=1)
    assert status == 0
    assert {
        f"           1 visits left out: {reason}",
        "          19 visits written",
        "not found: comment",
    } <= set(out)
    assert f"1 of 20 visits were left out: {reason}" in LogFolder(tmp_path / "log").info.notes
    status, _, lines = convert(bad=2, options=["--force"])
    assert (status, lines) == (
        2,
        [
            "error: visits: 2 of 20 (10.0%) are left out, at most 5.0% may be (--max-dropped); most often, 2 times: "
            f"{reason}; first {tmp_path / 'files' / 'click.csv'}, row 0: user_id=0, live_id=7, streamer_id=3, "
            "timestamp=soon, watch_live_time=5"
        ],
    )
    assert convert(bad=2, options=["--force", "--max-dropped", "0.1"])[0] == 0
    assert convert(bad=19, options=["--force", "--max-dropped", "1"])[0] == 0
    for options in (["--force"], ["--force", "--max-dropped", "1"]):
        status, _, lines = convert(bad=20, options=options)
        assert status == 2 and "visits: 20 of 20 (100.0%) are left out, none is left" in lines[0]


def test_options_of_logs_that_are_out_of_range_or_of_no_use(convert, tmp_path):
    for options, form, message in (
        (["--zone", "15"], "kuailive", "--zone 15.0: hours ahead of UTC, from -12 to 14"),
        (["--max-dropped", "-0.1"], "kuailive", "--max-dropped -0.1: a share from 0 to 1"),
        (
            ["--zone", "8"],
            "mmgcn",
            "--zone and --max-dropped are for logs (kuailive, kuailive-m3, vtuber), not for mmgcn",
        ),
        (["--max-dropped", "1"], "mmgcn", "--zone and --max-dropped are for logs"),
    ):
        status, _, lines = convert(0, options, form)
        assert (status, len(lines)) == (2, 1) and message in lines[0]
    visits = LogFolder(convert(0, ["--zone", "8"]) and tmp_path / "log").scan("visits").collect()
    assert visits["enter"].unique().to_list() == [1_746_417_600_000]


@pytest.mark.parametrize("name", TABLES)
def test_a_table_needs_its_columns(tmp_path, logs, name):
    for column in TABLES[name].columns:
        frame = logs.table(name, []).drop(column)
        with writing(tmp_path / "log", LogInfo("tiny", "sample", "a test"), force=True) as log:
            for required in ("visits", "gifts"):
                log.add(required, logs.table(required, []))
        frame.write_parquet(tmp_path / "log" / f"{name}.parquet")
        with pytest.raises(InputError, match=rf"{name}.parquet: no column '{column}'; {name} needs "):
            LogFolder(tmp_path / "log")


def test_other_columns_and_types_are_refused(tmp_path, logs, tables):
    log = logs.write(tmp_path / "log", tables)
    gifts = tables["gifts"]
    for name, frame, message in (
        (
            "gifts",
            gifts.with_columns(pl.col("user_id").hash()),
            "column user_id: type UInt64; String is needed",
        ),
        ("gifts", gifts.with_columns(pl.col("time").cast(pl.Float64)), "milliseconds since 1970"),
        ("visits", tables["visits"].with_columns(colour=1), "column 'colour' is none of visits"),
        ("segments", tables["segments"].with_columns(visual=1), "a modality is a list or array of Float32"),
    ):
        frame.write_parquet(log.path / f"{name}.parquet")
        with pytest.raises(InputError, match=message):
            LogFolder(log.path)
        (log.path / f"{name}.parquet").unlink()
    assert LogFolder(log.path).absent == ()


def test_a_folder_that_is_no_log(tmp_path, logs, tables):
    with pytest.raises(InputError, match="no such log folder"):
        LogFolder(tmp_path / "nowhere")
    log = logs.write(tmp_path / "log", tables, frames={"visual": 4})
    with pytest.raises(InputError, match="visual has 6 values a segment, which is not 4 frames of one width"):
        log.modalities  # noqa: B018
    for content, message in (("[]", "an object with name, kind"), ("{", "not readable as JSON")):
        (log.path / "logs.json").write_text(content)
        with pytest.raises(InputError, match=message):
            LogFolder(log.path)
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "file").touch()
    with pytest.raises(InputError, match="exists and is no log folder"):
        logs.write(tmp_path / "other", tables)
    with pytest.raises(InputError, match="a log needs the table gifts"):
        logs.write(tmp_path / "half", {"visits": tables["visits"]})
    assert not (tmp_path / "half").exists()
