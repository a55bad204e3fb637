"""What the graph stage costs on Spark beside one process, on one graph in one run, and whether all files are equal.

    python benchmarks/spark.py
    python benchmarks/spark.py --users 10000 --authors 2000 --gifts 40000 --parts 8

A log of gifts is drawn: users at random, authors with Zipf's exponent. Both sides are processes that make the log's
graph (`mmbee graph build --logs=…`), after each has made a small one, so that kernels are compiled or loaded. Printed
are processor seconds: of the process; on Spark of the Python workers of `local[2]`, of the driver, and of the JVM, with
the JVM's peak memory. Bars: workers at most 1.5 times the process, the JVM at most 1 GB, equal bits.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import polars as pl

from mmbee_plugin.command.memory import peak_megabytes
from mmbee_plugin.graph.settings import GraphSettings
from mmbee_plugin.graph.snapshot import Snapshot
from mmbee_plugin.logs.folder import LogFolder
from mmbee_plugin.logs.graph import graph_of_log
from mmbee_plugin.logs.writer import LogInfo, writing

SETTINGS = GraphSettings()
TICK = os.sysconf("SC_CLK_TCK")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--users", type=int, default=100_000)
    add("--authors", type=int, default=20_000)
    add("--gifts", type=int, default=320_000)
    add("--exponent", type=float, default=0.75, help="Zipf exponent over authors (default %(default)s)")
    add("--parts", type=int, default=8, help="blocks of a step (default %(default)s)")
    add("--side", nargs=3, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.side is not None:
        side, small, log = options.side
        print(
            json.dumps(
                {"process": in_process, "spark": on_spark}[side](Path(small), Path(log), options.parts)
            )
        )
        return
    with tempfile.TemporaryDirectory() as place:
        found = {}
        for side in ("process", "spark"):
            small, log = Path(place, side, "small"), Path(place, side, "log")
            draw(small, 300, 60, 1_500, options.exponent)
            draw(log, options.users, options.authors, options.gifts, options.exponent)
            command = [
                sys.executable,
                __file__,
                "--parts",
                str(options.parts),
                "--side",
                side,
                str(small),
                str(log),
            ]
            out = subprocess.run(command, stdout=subprocess.PIPE, check=True, text=True).stdout
            found[side] = json.loads(out.splitlines()[-1])
        one, many = found["process"], found["spark"]
        print(
            f"{options.users:,} users x {options.authors:,} authors, {one['edges']:,} edges, {options.parts} parts"
        )
        print(f"one process   {one['cpu']:8.1f} CPU s {one['wall']:8.1f} s {one['peak']:7,.0f} MB")
        print(
            f"Spark workers {many['workers']:8.1f} CPU s {many['wall']:8.1f} s   {many['workers'] / one['cpu']:.2f}x"
        )
        print(f"      driver  {many['driver']:8.1f} CPU s            {many['peak']:7,.0f} MB")
        print(f"      JVM     {many['jvm']:8.1f} CPU s            {many['jvm_peak']:7,.0f} MB")
        same = one["files"] == many["files"] and one["key"] == many["key"]
        print(f"{len(one['files'])} files: {'equal to the last bit' if same else 'DIFFERENT'}")


def in_process(small: Path, log: Path, parts: int) -> dict[str, object]:
    graph_of_log(LogFolder(small), SETTINGS)
    cpu, wall = time.process_time(), time.perf_counter()
    snapshot = graph_of_log(LogFolder(log), SETTINGS)
    cost = {"cpu": time.process_time() - cpu, "wall": time.perf_counter() - wall, "peak": peak_megabytes()}
    return described(snapshot) | cost


def on_spark(small: Path, log: Path, parts: int) -> dict[str, object]:
    from mmbee_plugin.spark.donations import gifts_on
    from mmbee_plugin.spark.graph import snapshots_on
    from mmbee_plugin.spark.session import session
    from mmbee_plugin.spark.tasks import each_on

    with session("local[2]") as spark:
        engine = {"each": each_on(spark), "write": gifts_on(spark), "make": snapshots_on(spark, parts)}
        jvm = spark.sparkContext._gateway.proc.pid
        graph_of_log(LogFolder(small), SETTINGS, **engine)
        driver, wall, began = time.process_time(), time.perf_counter(), (seconds(jvm), of_workers(jvm))
        snapshot = graph_of_log(LogFolder(log), SETTINGS, **engine)
        status = Path(f"/proc/{jvm}/status").read_text()
        return described(snapshot) | {
            "jvm": seconds(jvm) - began[0],
            "workers": of_workers(jvm) - began[1],
            "driver": time.process_time() - driver,
            "wall": time.perf_counter() - wall,
            "peak": peak_megabytes(),
            "jvm_peak": int(status.split("VmHWM:")[1].split()[0]) * 1024 / 1e6,
        }


def described(snapshot: Snapshot) -> dict[str, object]:
    return {"key": snapshot.manifest["key"], "files": snapshot.manifest["files"], "edges": snapshot.u2a().nnz}


def seconds(process: int, ended: bool = False) -> float:
    """Processor seconds of a process; with `ended` also of its children that have ended."""
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return sum(int(ticks) for ticks in fields[11 : 15 if ended else 13]) / TICK


def of_workers(process: int) -> float:
    """Processor seconds of all processes below one."""
    below = [
        int(child)
        for file in Path(f"/proc/{process}/task").glob("*/children")
        for child in file.read_text().split()
    ]
    return sum(seconds(child, ended=True) + of_workers(child) for child in below)


def draw(folder: Path, users: int, authors: int, gifts: int, exponent: float) -> None:
    """Writes a log of gifts; its one visit is there because a log has some."""
    random = np.random.default_rng(0)
    shares = np.arange(1, authors + 1) ** -exponent
    chosen = random.choice(random.permutation(authors), gifts, p=shares / shares.sum())
    ids = pl.DataFrame({"user_id": random.integers(users, size=gifts), "author_id": chosen})
    start = 1_746_403_200_000
    place = ids.select(pl.all().cast(pl.String)).with_columns(room_id=pl.lit("r"))
    amounts = pl.Series(random.exponential(size=gifts))
    shutil.rmtree(folder, ignore_errors=True)
    with writing(folder, LogInfo("drawn", "sample", "benchmarks/spark.py")) as log:
        log.add("gifts", place.with_columns(time=start + pl.int_range(pl.len()), amount=amounts))
        log.add("visits", place[:1].with_columns(enter=pl.lit(start), exit=pl.lit(start + 1)))


if __name__ == "__main__":
    main()
