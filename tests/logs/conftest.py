from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import polars as pl
import pytest

from mmbee_plugin.logs.counts import Counts
from mmbee_plugin.logs.folder import LogFolder
from mmbee_plugin.logs.period import Period
from mmbee_plugin.logs.rows import sample_rows
from mmbee_plugin.logs.schema import TABLES
from mmbee_plugin.logs.settings import SampleSettings
from mmbee_plugin.logs.writer import LogInfo, writing

START = 1_746_403_200_000  # 2025-05-05 00:00 UTC
DAY, HOUR, MINUTE, SECOND = 86_400_000, 3_600_000, 60_000, 1_000
SMALL = SampleSettings(train_days=3, valid_days=1, test_days=1, segments=4)


def table(name: str, rows: list[dict]) -> pl.DataFrame:
    """A table of the schema; columns besides the schema's keep the type polars finds."""
    columns = dict(TABLES[name].columns)
    further = {key: None for row in rows for key in row if key not in columns}
    return pl.DataFrame(rows, schema={**columns, **further}, strict=False)


def write_log(folder: Path, tables: dict[str, pl.DataFrame], **info) -> LogFolder:
    with writing(folder, LogInfo("tiny", "sample", "made by a test", **info), force=True) as log:
        for name, frame in tables.items():
            log.add(name, frame)
    return LogFolder(folder)


def random_tables(seed: int = 0, days: int = 4, users: int = 30, authors: int = 6) -> dict[str, pl.DataFrame]:
    """A small log of the whole schema: one room an author and day, a visit in five with gifts."""
    rng = np.random.default_rng(seed)
    rooms, segments, visits, gifts, feedback = [], [], [], [], []
    for day in range(days):
        for author in range(authors):
            begin = START + day * DAY + int(rng.integers(20) * HOUR)
            place = {"author_id": f"a{author}", "room_id": f"r{author}-{day}"}
            rooms.append({**place, "start": begin, "end": begin + HOUR, "category": f"c{author % 3}"})
            for number in range(120):
                there = rng.random() > 0.1
                segments.append(
                    {
                        **place,
                        "start": begin + number * 30 * SECOND,
                        "end": begin + (number + 1) * 30 * SECOND,
                        "visual": rng.normal(size=6).tolist(),
                        "comment": rng.normal(size=4).tolist() if there else None,
                    }
                )
            for user in rng.permutation(users)[:20]:
                enter = begin + int(rng.integers(50 * MINUTE))
                leave = enter + int(rng.integers(1, 9 * MINUTE))
                who = {"user_id": f"u{user}", **place}
                visits.append({**who, "enter": enter, "exit": leave})
                for _ in range(int(rng.integers(1, 4)) if rng.random() < 0.2 else 0):
                    time = int(rng.integers(enter, leave + 1))
                    gifts.append({**who, "time": time, "amount": float(rng.integers(1, 9))})
                if rng.random() < 0.3:
                    kind = str(rng.choice(["comment", "like", "follow"]))
                    feedback.append({**who, "time": int(rng.integers(enter, leave + 1)), "kind": kind})
    vector = pl.List(pl.Float32)
    return {
        "visits": table("visits", visits),
        "gifts": table("gifts", gifts),
        "feedback": table("feedback", feedback),
        "segments": table("segments", segments).cast({"visual": pl.Array(pl.Float32, 6), "comment": vector}),
        "rooms": table("rooms", rooms),
        "users": table("users", [{"user_id": f"u{user}", "age": f"{user}+"} for user in range(users)]),
        "authors": table(
            "authors", [{"author_id": f"a{author}", "gender": "F"} for author in range(authors)]
        ),
    }


@pytest.fixture
def logs() -> SimpleNamespace:
    """What makes logs: functions `table`, `write` and `random_tables`, and the settings `SMALL`."""
    return SimpleNamespace(table=table, write=write_log, random_tables=random_tables, SMALL=SMALL)


@pytest.fixture
def tables() -> dict[str, pl.DataFrame]:
    return random_tables()


@pytest.fixture
def rows_of(logs):
    def of(folder, tables, settings=logs.SMALL):
        log = logs.write(folder, tables)
        period = Period.of(log, settings.train_days, settings.valid_days, settings.test_days)
        counts = Counts()
        return log, period, sample_rows(log, period, settings, counts), counts.values

    return of


@pytest.fixture
def one_visit(logs):
    """A function that makes a log of one visit to a room that starts at START, and a visit of another user a day."""

    def make(enter, leave, gifts, feedback=()):
        place = {"author_id": "a", "room_id": "r"}
        times = [START + day * DAY for day in range(4)]
        other = {"user_id": "other", "author_id": "b", "room_id": "s"}
        others = [{**other, "enter": time, "exit": time} for time in times]
        visit = {"user_id": "u", **place, "enter": START + enter, "exit": START + leave}
        given = [{"user_id": "u", **place, "time": START + time, "amount": 1.0} for time in gifts]
        return {
            "visits": logs.table("visits", [visit, *others]),
            "gifts": logs.table("gifts", given),
            "rooms": logs.table("rooms", [{**place, "start": START, "end": START + HOUR}]),
            "feedback": logs.table("feedback", list(feedback)),
        }

    return make
