from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from mmbee_plugin.errors import InputError
from mmbee_plugin.logs.folder import LogFolder
from mmbee_plugin.logs.writer import LogInfo, writing

START = 1_746_403_200_000  # 2025-05-05 00:00 UTC
DAY, HOUR = 86_400_000, 3_600_000


@pytest.fixture(scope="session")
def java() -> None:
    """Skips a test where PySpark or a Java that it runs on is missing, with the line that a user would see."""
    pytest.importorskip("pyspark", reason="pyspark is not installed")
    from mmbee_plugin.spark.java import check_java

    try:
        check_java()
    except InputError as error:
        pytest.skip(str(error))


@pytest.fixture(scope="session")
def spark(java: None) -> Iterator:
    """One session of two local executors for all tests of a process."""
    from mmbee_plugin.spark.session import session

    with session("local[2]") as started:
        yield started


@pytest.fixture(scope="session")
def children() -> Callable[[int], list[int]]:
    """Of a process, those that it started and that have not ended."""

    def of(process: int) -> list[int]:
        tasks = Path(f"/proc/{process}/task").glob("*/children")
        return [int(child) for task in tasks for child in task.read_text().split()]

    return of


@pytest.fixture
def log(tmp_path: Path) -> LogFolder:
    """Four days of 6 authors in all tables, each in two files; amounts whose sums depend on their order."""
    random = np.random.default_rng(3)
    rooms, visits, gifts, feedback, segments = [], [], [], [], []
    for number in range(24):
        author, day = number % 6, number // 6
        begin = START + day * DAY + int(random.integers(20) * HOUR)
        room = {"author_id": f"a{author}", "room_id": f"r{number}"}
        rooms.append({**room, "start": begin, "end": begin + HOUR, "category": f"c{author % 2}"})
        for part in range(60):
            there = random.random() > 0.1
            times = {"start": begin + part * 30_000, "end": begin + (part + 1) * 30_000}
            segments.append({**room, **times, "visual": random.normal(size=4).tolist() if there else None})
        for user in random.permutation(40)[:25]:
            who = {"user_id": f"u{user}", **room}
            enter = begin + int(random.integers(HOUR // 2))
            leave = enter + int(random.integers(1_000, 600_000))
            visits.append({**who, "enter": enter, "exit": leave})
            for _ in range(int(random.integers(6)) if random.random() < 0.4 else 0):
                moment = int(random.integers(enter, leave + 5_000))
                gifts.append({**who, "time": moment, "amount": float(random.exponential())})
            for kind in ("comment", "like"):
                if random.random() < 0.3:
                    feedback.append({**who, "time": int(random.integers(enter, leave)), "kind": kind})
        for user in random.permutation(40)[:10]:
            who = {"user_id": f"u{user}", **room}
            feedback.append({**who, "time": begin + int(random.integers(HOUR)), "kind": "negative"})
    truth = [
        {"room_id": row["room_id"], "window": number % 20, "user_id": row["user_id"], "p": random.random()}
        for number, row in enumerate(visits)
    ]
    types = {"p": pl.Float32, "window": pl.Int32, "visual": pl.List(pl.Float32)}
    tables = {
        "rooms": rooms,
        "visits": visits,
        "gifts": gifts,
        "feedback": feedback,
        "segments": segments,
        "truth": truth,
    }
    with writing(tmp_path / "log", LogInfo("tiny", "sample", "made by a test")) as made:
        for name, rows in tables.items():
            frame = pl.DataFrame(
                rows, schema_overrides={key: kind for key, kind in types.items() if key in rows[0]}
            )
            for half in (frame[::2], frame[1::2]):
                made.add(name, half)
    return LogFolder(tmp_path / "log")
