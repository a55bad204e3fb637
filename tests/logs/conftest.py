from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import polars as pl
import pytest

from mmbee_plugin.logs.folder import LogFolder
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
