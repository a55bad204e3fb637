"""Tables of a log folder in Spark, and their rows in polars on an executor."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import polars as pl

from mmbee_plugin.files import replaced
from mmbee_plugin.logs.folder import LogFolder

if TYPE_CHECKING:
    import pyarrow as pa
    from pyspark.sql import DataFrame, SparkSession

PARTITION_BYTES = 64_000_000
"""of Parquet files, a partition; in memory its rows take several times as much"""


def table(spark: SparkSession, log: LogFolder, name: str) -> DataFrame:
    """A table that the log has."""
    return spark.read.parquet(*(file.absolute().as_uri() for file in log.files(name)))


def partitions(spark: SparkSession, log: LogFolder, names: Iterable[str]) -> int:
    """Number of partitions for the rows of these tables."""
    size = sum(file.stat().st_size for name in names for file in log.files(name))
    return max(spark.sparkContext.defaultParallelism, math.ceil(size / PARTITION_BYTES))


def collected(batches: Iterator[pa.RecordBatch]) -> pl.DataFrame | None:
    """A partition's rows; None without any."""
    chunks = [pl.DataFrame(batch) for batch in batches]
    return pl.concat(chunks) if chunks else None


def replace_parquet(frame: pl.DataFrame, file: Path) -> None:
    """Writes a file that another attempt at the same task may write too: readers see one of them whole."""
    with replaced(file, "wb") as writing:
        frame.write_parquet(writing)
