"""Times `mmbee data convert kuailive` and `mmbee data samples` on generated files of KuaiLive's schema.

    POLARS_MAX_THREADS=2 python benchmarks/logs.py                                   # 10,000,000 visits
    python benchmarks/logs.py --visits 1000000 --negatives 0.1 --folder /tmp/logs

Eight days; gifts, comments and likes per visit as in KuaiLive; one room for every ten visits, with a title vector of
128 values. Every step runs in a process of its own; prints its seconds and peak resident memory.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import polars as pl

START, DAY = 1_746_374_400_000, 86_400_000  # 2025-05-05 00:00 in China
DAYS, CHUNK = 8, 1_000_000
PER_VISIT = {"gift": 0.0148, "comment": 0.040, "like": 0.036}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--visits", type=int, default=10_000_000)
    parser.add_argument(
        "--negatives", type=float, default=1.0, help="share of the negatives that become rows"
    )
    parser.add_argument("--folder", type=Path, help="where to work; a temporary folder if not given")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=args.folder) as folder:
        files, log, samples = (Path(folder) / name for name in ("files", "log", "samples"))
        files.mkdir()
        generate(files, args.visits)
        size = sum(path.stat().st_size for path in files.iterdir())
        print(f"{args.visits:,} visits, {size / 1e9:.2f} GB of files; negatives at {args.negatives:g}")
        print(f"polars threads: {pl.thread_pool_size()}")
        rates = [f"--train-negatives={args.negatives}", f"--test-negatives={args.negatives}"]
        measure("convert", ["convert", "kuailive", files, log])
        measure("samples", ["samples", log, samples, *rates])


def generate(folder: Path, visits: int) -> None:
    """Writes click, gift, comment, like, room and the title vectors."""
    rng = np.random.default_rng(0)
    users, authors, rooms = max(visits // 200, 10), max(visits // 50, 10), max(visits // 10, 10)
    author = rng.integers(authors, size=rooms)
    opened = START + rng.integers((DAYS * DAY) - 3_600_000, size=rooms)
    closed = opened + rng.integers(600_000, 10 * 3_600_000, size=rooms)
    day = pl.Series(opened + 8 * 3_600_000).cast(pl.Datetime("ms")).dt.strftime("%Y%m%d")
    names = ("p_date", "live_id", "streamer_id", "live_type", "start_timestamp", "end_timestamp")
    columns = (day, np.arange(rooms), author, np.ones(rooms, np.int64), opened, closed)
    table = pl.DataFrame(dict(zip(names, columns, strict=True)))
    table = table.with_columns(live_content_category=pl.lit("chat"), live_name_id=pl.col("live_id"))
    table.write_csv(folder / "room.csv")
    titles = rng.normal(size=(min(rooms, 65_536), 128)).astype(np.float32)
    np.save(folder / "title_embeddings.npy", np.resize(titles, (rooms, 128)))
    streams = {name: (folder / f"{name}.csv").open("wb") for name in ("click", *PER_VISIT)}
    for begin in range(0, visits, CHUNK):
        n = min(CHUNK, visits - begin)
        room = (rooms * rng.random(n) ** 2).astype(np.int64)  # a few rooms have most visits
        enter = opened[room] + (rng.random(n) * (closed - opened)[room]).astype(np.int64)
        watched = np.exp(1.59 + 4.17 * rng.normal(size=n)).clip(0.1, 5_400) * 1000
        keys = {"user_id": rng.integers(users, size=n), "live_id": room, "streamer_id": author[room]}
        clicks = pl.DataFrame({**keys, "timestamp": enter, "watch_live_time": watched.astype(np.int64)})
        clicks.write_csv(streams["click"], include_header=begin == 0)
        moment = (pl.col("timestamp") + pl.col("watch_live_time") // 2).alias("timestamp")
        for name, rate in PER_VISIT.items():
            events = clicks.filter(pl.Series(rng.random(n) < rate)).with_columns(moment)
            price = [pl.lit(2).alias("gift_price")] if name == "gift" else []
            events = events.drop("watch_live_time").with_columns(price)
            events.write_csv(streams[name], include_header=begin == 0)
    for stream in streams.values():
        stream.close()


def measure(name: str, arguments: list[str | Path]) -> None:
    """Runs one `mmbee data` command; prints its output, seconds and peak memory."""
    command = [sys.executable, "-m", "mmbee_plugin.cli", "data", *map(str, arguments)]
    begun = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    print(process.stdout.read())
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        raise SystemExit(f"{name} failed with status {os.waitstatus_to_exitcode(status)}")
    seconds = time.perf_counter() - begun
    busy = usage.ru_utime + usage.ru_stime
    memory = usage.ru_maxrss / 2**20
    print(
        f"{name}: {seconds:,.1f} s, {busy:,.1f} s of processor time, peak memory {memory:,.2f} GiB",
        flush=True,
    )


if __name__ == "__main__":
    main()
