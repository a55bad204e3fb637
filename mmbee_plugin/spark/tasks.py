"""Numbered tasks on the executors of a session: what a task makes goes to files, a line of JSON comes back."""

from __future__ import annotations

import gc
import json
from collections.abc import Iterator
from functools import cache
from typing import TYPE_CHECKING, Any

from mmbee_plugin.logs.each import Each, Task

if TYPE_CHECKING:
    import pyarrow as pa
    from pyspark.sql import DataFrame, SparkSession

RESULT = "number bigint, result string"


def each_on(spark: SparkSession) -> Each:
    """Runs tasks as :func:`~mmbee_plugin.logs.each.in_turn` does, a Spark task each.

    A task may be called again after a failure, also while an earlier call is still running.
    """

    def each(count: int, task: Task) -> list[Any]:
        def call(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
            leave_imports_out()
            for batch in batches:
                for number in batch.column("id").to_pylist():
                    yield result(number, task(number))

        return results(spark.range(0, count, 1, count).mapInArrow(call, RESULT)) if count else []

    return each


@cache
def leave_imports_out() -> None:
    """Leaves what a worker has imported out of garbage collections, of which PySpark does one after every task.

    Looking through the objects of compiled kernels' libraries takes longer than a small block.
    """
    gc.freeze()


def partition() -> int:
    """Number of the partition that the running task is of."""
    from pyspark import TaskContext

    context = TaskContext.get()
    assert context is not None, "not in a task"
    return context.partitionId()


def result(number: int, value: Any) -> pa.RecordBatch:
    """A task's one row of the schema :data:`RESULT`."""
    import pyarrow as pa

    return pa.RecordBatch.from_pydict({"number": [number], "result": [json.dumps(value)]})


def results(rows: DataFrame) -> list[Any]:
    """Runs the tasks behind rows of :data:`RESULT`; returns their values by number."""
    return [json.loads(row.result) for row in sorted(rows.collect(), key=lambda row: row.number)]
