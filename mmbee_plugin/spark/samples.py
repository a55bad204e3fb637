"""Rows of a log's samples on a cluster: the log is shuffled by room, and each partition of rooms is cut as a log is.

A row depends on nothing outside its room (:func:`~mmbee_plugin.logs.labels.labelled_rows`), so the rows are those of
one machine. Every machine reads the log and writes the work folder under the same path.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from functools import reduce
from pathlib import Path
from typing import TYPE_CHECKING

import polars as pl

from mmbee_plugin.files import folder_beside
from mmbee_plugin.logs.counts import Counts
from mmbee_plugin.logs.folder import LogFolder
from mmbee_plugin.logs.labels import KINDS, labelled_rows
from mmbee_plugin.logs.negatives import IMPRESSION
from mmbee_plugin.logs.period import Period
from mmbee_plugin.logs.rows import in_order
from mmbee_plugin.logs.samples import RowsOf
from mmbee_plugin.logs.schema import TABLES
from mmbee_plugin.logs.settings import SampleSettings
from mmbee_plugin.spark.tables import collected, partitions, replace_parquet, table
from mmbee_plugin.spark.tasks import RESULT, partition, result, results

if TYPE_CHECKING:
    import pyarrow as pa
    from pyspark.sql import DataFrame, SparkSession

CUT = ("visits", "gifts", "feedback", "rooms", "truth")
"""tables that rows are made of; each has the room"""
SQL = {
    pl.String(): "string",
    pl.Int64(): "bigint",
    pl.Float64(): "double",
    pl.Int32(): "int",
    pl.Float32(): "float",
}
"""Spark's names of the schema's types"""


@dataclass
class Rooms:
    """All that a log has of some rooms, in memory: its :class:`~mmbee_plugin.logs.folder.Tables`."""

    path: Path
    tables: tuple[str, ...]
    frames: dict[str, pl.DataFrame]

    def scan(self, name: str) -> pl.LazyFrame:
        """A table of these rooms; a missing one is empty."""
        return self.frames[name].lazy()


def rows_on(spark: SparkSession, work: Path) -> RowsOf:
    """Makes rows as :func:`~mmbee_plugin.logs.labels.labelled_rows` does, on the executors of a session.

    Args:
        spark: the session.
        work: the files in between are beside this path until the end.
    """

    def rows_of(
        log: LogFolder, period: Period, settings: SampleSettings, counts: Counts, kinds: Collection[str]
    ) -> pl.DataFrame:
        with folder_beside(work.absolute()) as folder:
            cut = _cutter(log, period, settings, tuple(kinds), folder)
            pieces = results(by_room(spark, log).mapInArrow(cut, RESULT))
            for piece in pieces:
                for what, count in piece["counts"].items():
                    counts.add(what, count)
            rows = pl.read_parquet([piece["file"] for piece in pieces], glob=False)
        return in_order(rows)

    return rows_of


def by_room(spark: SparkSession, log: LogFolder) -> DataFrame:
    """The tables of `CUT`, one below the other, partitioned by room; column `table` is a table's place in `CUT`."""
    from pyspark.sql import DataFrame
    from pyspark.sql import functions as F

    columns = {column: SQL[kind] for name in CUT for column, kind in TABLES[name].columns.items()}
    present = [name for name in CUT if name in log.tables]
    tables = []
    for name in present:
        rows = table(spark, log, name)
        if name == "feedback":
            rows = rows.filter(F.col("kind").isin(*KINDS, IMPRESSION))
        rows = rows.select(
            F.lit(CUT.index(name)).alias("table"),
            *(
                F.col(column) if column in TABLES[name].columns else F.lit(None).cast(kind).alias(column)
                for column, kind in columns.items()
            ),
        )
        tables.append(rows)
    return reduce(DataFrame.unionByName, tables).repartition(partitions(spark, log, present), "room_id")


def _cutter(
    log: LogFolder, period: Period, settings: SampleSettings, kinds: tuple[str, ...], folder: Path
) -> Callable[[Iterator[pa.RecordBatch]], Iterator[pa.RecordBatch]]:
    """Cuts the rooms of a partition; their rows go to a file of the folder."""
    path, tables = log.path, log.tables

    def cut(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        whole = collected(batches)
        if whole is None:
            return
        frames = {
            name: whole.filter(pl.col("table") == place).select(list(TABLES[name].columns))
            for place, name in enumerate(CUT)
        }
        counts = Counts()
        rows = labelled_rows(Rooms(path, tables, frames), period, settings, counts, kinds)
        number = partition()
        file = folder / f"{number:06}.parquet"
        replace_parquet(rows, file)
        yield result(number, {"file": str(file), "counts": counts.values})

    return cut
