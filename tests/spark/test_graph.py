"""The graph of a log's gifts made by executors: all files are those of one process, killed or not."""

from __future__ import annotations

import gc
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from mmbee_plugin.data.visits import Visits
from mmbee_plugin.errors import InputError
from mmbee_plugin.graph.attributes import Attributes
from mmbee_plugin.graph.build import build_snapshot
from mmbee_plugin.graph.inputs import Inputs
from mmbee_plugin.graph.settings import GraphSettings, Interactions
from mmbee_plugin.graph.snapshot import Snapshot
from mmbee_plugin.logs.folder import LogFolder
from mmbee_plugin.logs.graph import gifts_of, graph_of_log

SETTINGS = GraphSettings(folds=2, reach_top_k=20, top_k=5, swing_max_users=15)
DRIVER = """
import json, sys
from mmbee_plugin.graph.settings import GraphSettings
from mmbee_plugin.logs.folder import LogFolder
from mmbee_plugin.logs.graph import graph_of_log
from mmbee_plugin.spark.donations import gifts_on
from mmbee_plugin.spark.graph import snapshots_on
from mmbee_plugin.spark.session import session
with session("local[2]") as spark:
    graph_of_log(LogFolder(sys.argv[1]), GraphSettings(**json.loads(sys.argv[2])), write=gifts_on(spark),
                 make=snapshots_on(spark, 3))
"""


@pytest.fixture
def expected(log, tmp_path) -> dict[str, object]:
    shutil.copytree(log.path, tmp_path / "one")
    return described(graph_of_log(LogFolder(tmp_path / "one"), SETTINGS))


def described(snapshot: Snapshot) -> dict[str, object]:
    """Key, settings, and hashes of all files; the content of the gifts' files."""
    snapshot.check()
    kept = {name: snapshot.manifest[name] for name in ("key", "settings", "counts", "columns", "files")}
    return kept | {file.name: file.read_bytes() for file in gifts_of(snapshot).iterdir()}


def on(spark, path: Path, n_parts: int | None = None) -> Snapshot:
    from mmbee_plugin.spark.donations import gifts_on
    from mmbee_plugin.spark.graph import snapshots_on
    from mmbee_plugin.spark.tasks import each_on

    engine = {"each": each_on(spark), "write": gifts_on(spark), "make": snapshots_on(spark, n_parts)}
    return graph_of_log(LogFolder(path), SETTINGS, **engine)


def test_all_files_are_those_of_one_process(spark, log, expected):
    found = on(spark, log.path, 2)
    assert described(found) == expected
    assert len(expected["files"]) > 20
    assert sorted(file.name for file in (log.path / "graph").iterdir()) == [
        found.path.name,
        f"{found.path.name}.gifts",
    ]


def test_neighbours_by_content_are_made_by_executors(spark, tmp_path):
    from mmbee_plugin.spark.graph import snapshots_on

    rng = np.random.default_rng(0)
    gifts = Interactions(rng.integers(0, 40, 300), rng.integers(0, 30, 300), None, 40, 30)
    features = {
        name: Attributes(rng.normal(size=(30, 5)).astype(np.float32), rng.random(30) < 0.8) for name in "vs"
    }
    inputs = Inputs(gifts, SETTINGS.replace(content_top_k=3), features)
    told: list[str] = []
    found = snapshots_on(spark, 3)(inputs, tmp_path / "many", told.append)
    assert "content: 3 blocks" in told
    one = build_snapshot(inputs, tmp_path / "one")
    found.check()
    assert found.manifest["key"] == one.manifest["key"] and found.manifest["files"] == one.manifest["files"]


def test_visits_are_added_to_the_walks_of_executors(spark, tmp_path):
    from mmbee_plugin.spark.graph import snapshots_on

    rng = np.random.default_rng(1)
    times = np.sort(rng.random(300))
    gifts = Interactions(rng.integers(0, 40, 300), rng.integers(0, 30, 300), None, 40, 30, times=times)
    users, authors = (rng.integers(0, count, 500).astype(np.int32) for count in (40, 30))
    visits = Visits(users, authors, np.sort(rng.random(500)))
    inputs = Inputs(gifts, SETTINGS.replace(folds=0, visits=0.5, visits_profile=0.5), visits=visits)
    found = snapshots_on(spark, 3)(inputs, tmp_path / "many", None)
    one = build_snapshot(inputs, tmp_path / "one")
    found.check()
    assert found.manifest["key"] == one.manifest["key"] and found.manifest["files"] == one.manifest["files"]


def test_a_killed_worker_ends_in_the_same_files(spark, log, expected, children):
    # Workers of local[N] are not tried again, so the command fails with a line and is called again.
    daemon = spark.sparkContext._gateway.proc.pid
    stopped = threading.Event()

    def kill() -> None:
        order = random.Random(1)
        while not stopped.wait(order.uniform(0.5, 3.0)):
            for parent in children(daemon):
                for worker in children(parent):
                    os.kill(worker, signal.SIGKILL)
                    kills.append(worker)
            if len(kills) >= 6:
                return

    kills: list[int] = []
    failures = 0
    killer = threading.Thread(target=kill)
    killer.start()
    try:
        while True:
            try:
                from mmbee_plugin.spark.session import translated

                with translated():
                    found = on(spark, log.path, 2)
                break
            except InputError as error:
                assert "\n" not in str(error)
                failures += 1
                assert failures < 30
    finally:
        stopped.set()
        killer.join()
    assert kills
    assert described(found) == expected


def test_a_killed_driver_goes_on(spark, log, expected):
    settings = json.dumps(SETTINGS.model_dump(mode="json"))
    driver = subprocess.Popen(
        [sys.executable, "-c", DRIVER, str(log.path), settings], stderr=subprocess.DEVNULL
    )
    until = time.monotonic() + 300
    while driver.poll() is None and time.monotonic() < until:
        if blocks := sorted((log.path / "graph").glob("*.parts-3/gifts/plan")):
            break
        time.sleep(0.05)
    driver.kill()
    driver.wait()
    assert blocks
    given = next((log.path / "graph").glob("*.parts-3/given/facts.json")).stat().st_mtime_ns
    found = on(spark, log.path)
    assert described(found) == expected
    assert given < found.path.stat().st_mtime_ns
    assert not list((log.path / "graph").glob("*.parts-*"))


def test_workers_do_not_look_through_their_imports_after_every_task(spark):
    from mmbee_plugin.spark.tasks import each_on

    assert all(each_on(spark)(4, lambda number: gc.get_freeze_count()))


def test_ids_name_the_rows(spark, log):
    snapshot = on(spark, log.path)
    gifts = pl.concat([pl.read_parquet(file) for file in log.files("gifts")])
    users, authors = (
        pl.read_parquet(gifts_of(snapshot) / f"{name}.parquet")["id"] for name in ("users", "authors")
    )
    sums = gifts.group_by("user_id", "author_id").agg(pl.col("amount").sum()).sort("user_id", "author_id")
    edges = snapshot.u2a().tocoo()
    assert users.gather(edges.row).to_list() == sums["user_id"].to_list()
    assert authors.gather(edges.col).to_list() == sums["author_id"].to_list()
    np.testing.assert_allclose(edges.data, np.log1p(sums["amount"].to_numpy()), rtol=1e-6)
