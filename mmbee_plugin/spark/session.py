"""Starts a Spark session, and turns failures of a cluster into errors of one line."""

from __future__ import annotations

import os
import re
import socket
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from mmbee_plugin.command.extras import check_extra
from mmbee_plugin.errors import InputError, one_line
from mmbee_plugin.spark.java import check_java

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

PATIENCE = 60.0
"""seconds within which a master answers and an executor is there"""
KERNELS = "mmbee-kernels"
"""folder of compiled kernels within an executor's own, unless spark.executorEnv.NUMBA_CACHE_DIR says where"""
THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS", "POLARS_MAX_THREADS")
"""set in executors to the cores of a task: Spark runs a task a core"""
QUIET = Path(__file__).with_name("log4j2.properties")
DEFAULTS = {
    "spark.ui.enabled": "false",
    "spark.ui.showConsoleProgress": "false",
    "spark.driver.extraJavaOptions": f"-XX:+UseSerialGC -Dlog4j2.configurationFile={QUIET.as_uri()}",
    "spark.driver.memory": "640m",
    "spark.sql.execution.arrow.maxRecordsPerBatch": "65536",
    "spark.python.worker.faulthandler.enabled": "false",
}
"""unless `spark-submit` or `spark-defaults.conf` say otherwise"""


@contextmanager
def session(master: str | None, patience: float = PATIENCE) -> Iterator[SparkSession]:
    """A Spark session during the block, in which failures of jobs are InputErrors of one line where they can be told.

    Args:
        master: such as `local[2]` or `spark://host:7077`; None: as `spark-submit` was told, else `local[*]`.
        patience: seconds within which the master answers and one of its executors registers.

    Raises:
        InputError: pyspark or Java are missing, Java is too old, the master does not answer or has no executor in
            `patience` seconds.
    """
    check_extra("pyspark", "--engine=spark")
    check_java()
    if master is not None:
        _check_answers(master, patience)
    with translated():
        spark = _started(master)
    try:
        with translated():
            _wait_for_executors(spark, patience)
            yield spark
    finally:
        spark.stop()


@contextmanager
def translated() -> Iterator[None]:
    """Turns an error of Spark whose cause the user can mend into an InputError."""
    from py4j.protocol import Py4JError
    from pyspark.errors import PySparkException

    try:
        yield
    except (Py4JError, PySparkException) as error:
        line = in_one_line(str(error))
        if line is None:
            raise
        raise InputError(line) from error


def in_one_line(text: str) -> str | None:
    """The line for an error of Spark, told from its text; None for one that the user cannot mend."""
    if found := re.search(r"mmbee_plugin\.errors\.InputError: (.+)", text):
        return found[1].strip()
    if found := re.search(r"ModuleNotFoundError: No module named '([\w.]+)'", text):
        module = found[1].partition(".")[0]
        if module not in sys.stdlib_module_names:
            return (
                f"an executor lacks the Python package {module}: install mmbee-plugin[spark] on every machine, or send "
                "an environment along (docs/scale.md)"
            )
    if found := re.search(r"\w+(?:Error|Exception): [^\n]*(?:No space left|quota exceeded)[^\n]*", text):
        return f"a disk is full: {found[0][:200]}"
    if found := re.search(r"(?:Cannot run program|PYTHON_VERSION_MISMATCH)[^\n]*", text):
        return f"an executor cannot run this Python: {found[0][:200]}; PYSPARK_PYTHON says which it runs"
    if "java.lang.OutOfMemoryError" in text:
        return "an executor or the driver ran out of memory: give it more, --conf spark.executor.memory=…"
    if "ExecutorLostFailure" in text or "Python worker exited unexpectedly" in text:
        return (
            "an executor was lost more often than spark.task.maxFailures allows, for want of memory perhaps; the same "
            "command goes on"
        )
    return None


def _started(master: str | None) -> SparkSession:
    from pyspark import SparkConf
    from pyspark.sql import SparkSession

    os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
    conf = SparkConf()
    for name, value in DEFAULTS.items():
        conf.setIfMissing(name, value)
    if master is not None:
        conf.setMaster(master)
    conf.setIfMissing("spark.master", "local[*]")
    cores = conf.get("spark.task.cpus", "1")
    for name in THREADS:
        conf.setIfMissing(f"spark.executorEnv.{name}", str(cores))
    if not (conf.get("spark.master") or "").startswith("local"):
        # Elsewhere neither the package's folder nor a home may be writable; local workers share the driver's kernels.
        conf.setIfMissing("spark.executorEnv.NUMBA_CACHE_DIR", KERNELS)
    try:
        return SparkSession.builder.appName("mmbee").config(conf=conf).getOrCreate()
    except Exception as error:
        where = conf.get("spark.master")
        raise InputError(f"--master={where}: no session could be started ({one_line(error)})") from error


def _check_answers(master: str, patience: float) -> None:
    """Raises InputError if none of the hosts of a `spark://` master accepts a connection."""
    if not master.startswith("spark://"):
        return
    refused = ""
    for place in master.removeprefix("spark://").split(","):
        host, _, port = place.rpartition(":")
        if not port.isdigit() or not host:
            raise InputError(f"--master={master}: {place!r} is no host:port")
        try:
            socket.create_connection((host, int(port)), timeout=patience).close()
            return
        except OSError as error:
            refused = one_line(error)
    raise InputError(f"--master={master}: does not answer within {patience:g} s ({refused})")


def _wait_for_executors(spark: SparkSession, patience: float) -> None:
    context = spark.sparkContext
    if context.master is None or context.master.startswith("local"):
        return

    def executors() -> int:
        return context._jsc.sc().getExecutorMemoryStatus().size() - 1

    until = time.monotonic() + patience
    while executors() < 1:
        if time.monotonic() > until:
            raise InputError(
                f"--master={context.master}: no executor within {patience:g} s; do its workers have "
                f"{context.getConf().get('spark.executor.memory', '1g')} of memory free?"
            )
        time.sleep(0.2)
