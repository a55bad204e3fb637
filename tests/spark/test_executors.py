"""Separate executors of a real master, whose JVMs are killed: all files are those of one process."""

from __future__ import annotations

import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("pyspark", reason="pyspark is not installed")

import pyspark

from mmbee_plugin.graph.settings import GraphSettings
from mmbee_plugin.logs.folder import LogFolder
from mmbee_plugin.logs.graph import graph_of_log
from mmbee_plugin.logs.samples import write_samples
from mmbee_plugin.logs.settings import SampleSettings

HOME = Path(pyspark.__file__).parent
GRAPH = {"folds": 2, "reach_top_k": 20, "top_k": 5}
SAMPLES = {"train_days": 3, "valid_days": 1, "test_days": 1, "segments": 4}
DEFAULTS = {
    "spark.cores.max": "2",
    "spark.eventLog.compress": "false",
    "spark.eventLog.enabled": "true",
    "spark.eventLog.rolling.enabled": "false",
    "spark.executor.memory": "480m",
    "spark.scheduler.minRegisteredResourcesRatio": "1.0",  # both cores, each of an executor of its own
}
LIGHT = "-XX:+UseSerialGC -XX:TieredStopAtLevel=1 -Xshare:auto"
"""options of all JVMs, which live for seconds"""
PYTHON = """#!/bin/sh
# Compiled kernels are where this process has them.
unset NUMBA_CACHE_DIR
exec {python} "$@"
"""
LOST = "error: an executor was lost more often than spark.task.maxFailures allows"


@dataclass
class Cluster:
    """A master and two workers of a core each: three JVMs, and one more for each worker's executor."""

    url: str
    workers: list[int]
    folder: Path
    children: Callable[[int], list[int]]

    def start(self, *command: object) -> subprocess.Popen[str]:
        """Starts `mmbee` on it."""
        engine = "--engine=spark", f"--master={self.url}"
        return subprocess.Popen(
            [sys.executable, "-m", "mmbee_plugin.cli", *map(str, command), *engine],
            env=os.environ
            | {
                "JDK_JAVA_OPTIONS": LIGHT,
                "PYSPARK_PYTHON": str(self.folder / "python"),
                "SPARK_CONF_DIR": str(self.folder / "conf"),
            },
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )

    def executors(self) -> list[int]:
        """The executors' JVMs."""
        found = [child for worker in self.workers for child in self.children(worker)]
        return [child for child in found if b"CoarseGrainedExecutorBackend" in command_line(child)]

    def events(self) -> list[dict[str, Any]]:
        """What Spark took down of the commands since the last call, in order."""
        found = []
        for file in sorted((self.folder / "events").iterdir(), key=lambda file: file.stat().st_mtime_ns):
            found += [json.loads(line) for line in file.read_text().splitlines()]
            file.unlink()
        return found


@pytest.fixture(scope="module")
def cluster(java: None, tmp_path_factory: pytest.TempPathFactory, children) -> Iterator[Cluster]:
    folder = tmp_path_factory.mktemp("cluster")
    for name in ("conf", "events"):
        (folder / name).mkdir()
    given = DEFAULTS | {"spark.eventLog.dir": (folder / "events").as_uri()}
    options = "\n".join(f"{name} {value}" for name, value in given.items())
    (folder / "conf" / "spark-defaults.conf").write_text(options)
    (folder / "python").write_text(PYTHON.format(python=sys.executable))
    (folder / "python").chmod(0o755)
    environment = {"JDK_JAVA_OPTIONS": LIGHT, "SPARK_DAEMON_MEMORY": "128m", "SPARK_HOME": str(HOME)}
    running: list[subprocess.Popen] = []

    def start(daemon: str, *arguments: str) -> None:
        program = [HOME / "bin" / "spark-class", f"org.apache.spark.deploy.{daemon}", "--host", "127.0.0.1"]
        with (folder / f"{len(running)}.log").open("w") as said:
            running.append(
                subprocess.Popen(
                    [*program, "--webui-port", "0", *arguments],
                    env=os.environ | environment,
                    stdout=said,
                    stderr=said,
                )
            )

    def url() -> str | None:
        found = re.search(r"Starting Spark master at (spark://[\d.:]+)", (folder / "0.log").read_text())
        return found and found[1]

    try:
        start("master.Master", "--port", "0")
        master = awaited(url)
        for _ in range(2):
            start(
                "worker.Worker",
                "--cores",
                "1",
                "--memory",
                "480m",
                "--work-dir",
                str(folder / "work"),
                master,
            )
        yield Cluster(master, [worker.pid for worker in running[1:]], folder, children)
    finally:
        for process in running:
            process.terminate()
        for process in running:
            process.wait(60)


@pytest.mark.parametrize("seed", [1, *(pytest.param(seed, marks=pytest.mark.slow) for seed in (2, 3))])
def test_a_graph_whose_executors_are_killed(cluster, log, tmp_path, seed):
    shutil.copytree(log.path, tmp_path / "one")
    expected = contents(graph_of_log(LogFolder(tmp_path / "one"), GraphSettings(**GRAPH)).path)
    assert len(expected) > 20
    settings = [f"--graph.{name}={value}" for name, value in GRAPH.items()]
    # All authors' sums are there, so both executors have made blocks; most blocks are not.
    killer = Killer(cluster, lambda: any(log.path.glob("graph/*.parts-3/similar/plan")), random.Random(seed))
    command = ("graph", "build", f"--logs={log.path}", "--parts=3", *settings)
    killer.until_done(command)
    made, lost = block_tasks(cluster.events())
    assert killer.kills and lost, killer.kills
    assert len(made) > 1, made
    (found,) = (path for path in (log.path / "graph").iterdir() if path.suffix != ".gifts")
    assert contents(found) == expected


@pytest.mark.slow
def test_samples_whose_executors_are_killed(cluster, log, tmp_path):
    write_samples(log, tmp_path / "one" / "tiny", SampleSettings(**SAMPLES))
    settings = [f"--{name.replace('_', '-')}={value}" for name, value in SAMPLES.items()]
    killer = Killer(cluster, lambda: len(cluster.executors()) == 2, random.Random(3))
    killer.until_done(("data", "samples", log.path, tmp_path / "many" / "tiny", *settings))
    assert killer.kills
    assert contents(tmp_path / "many" / "tiny") == contents(tmp_path / "one" / "tiny")


class Killer:
    """Kills an executor once a command has begun its work, and others at random moments after that.

    Args:
        begun: whether it has.
    """

    def __init__(self, cluster: Cluster, begun: Callable[[], bool], order: random.Random) -> None:
        self.cluster, self.begun, self.order = cluster, begun, order
        self.kills = 0

    def until_done(self, command: tuple[object, ...]) -> None:
        """Calls a command until it ends well; where it does not, a line says that it goes on."""
        for _ in range(10):
            process = self.cluster.start(*command)
            try:
                self._kill_during(process)
                error = process.communicate(timeout=300)[1]
            finally:
                process.kill()  # a driver that has not ended
            if process.returncode == 0:
                return
            assert process.returncode == 2 and error.splitlines()[-1].startswith(LOST), error
        pytest.fail("ten calls were not enough")

    def _kill_during(self, process: subprocess.Popen[str]) -> None:
        awaited(lambda: self.begun() or process.poll() is not None)
        while self.kills < 3 and process.poll() is None:
            if executors := self.cluster.executors():
                one = self.order.choice(executors)
                os.kill(one, signal.SIGSTOP)  # it hangs, and with it a task that it runs or is given now
                time.sleep(self.order.uniform(0.2, 1))
                os.kill(one, signal.SIGKILL)
                self.kills += 1
            time.sleep(self.order.uniform(0.2, 4))


def block_tasks(events: list[dict[str, Any]]) -> tuple[set[tuple[str, str]], set[tuple[str, str]]]:
    """The executors that made blocks, and those that were lost while they did."""
    stages, made, lost = set(), set(), set()
    for event in events:
        match event:
            case {"Event": "SparkListenerApplicationStart", "App ID": application}:
                stages = set()
            case {"Event": "SparkListenerJobStart", "Properties": {"spark.job.description": str(what)}}:
                if what.endswith(" blocks"):
                    stages |= set(event["Stage IDs"])
            case {"Event": "SparkListenerTaskEnd", "Stage ID": stage} if stage in stages:
                executor = application, event["Task Info"]["Executor ID"]
                match event["Task End Reason"]["Reason"]:
                    case "Success":
                        made.add(executor)
                    case "ExecutorLostFailure":
                        lost.add(executor)
    return made, lost


def contents(folder: Path) -> dict[str, bytes]:
    """All files of a snapshot or a dataset; a manifest without what a build cost."""
    found = {str(file.relative_to(folder)): file.read_bytes() for file in folder.rglob("*") if file.is_file()}
    if "manifest.json" in found:
        manifest = json.loads(found["manifest.json"])
        found["manifest.json"] = json.dumps(manifest | {"built": None, "stages": None}).encode()
    return found


def command_line(process: int) -> bytes:
    try:
        return Path(f"/proc/{process}/cmdline").read_bytes()
    except OSError:  # it has ended
        return b""


def awaited(what: Callable[[], Any]) -> Any:
    """What a call returns once that is something."""
    until = time.monotonic() + 300
    while not (found := what()):
        assert time.monotonic() < until
        time.sleep(0.05)
    return found
