"""The gifts of a log as rows of ids, on a cluster: Spark sorts them into ranges of users, executors number each range.

Every machine reads the log and writes the folder of arrays under the same path.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from mmbee_plugin.data.mapped import allocate, opened
from mmbee_plugin.files import folder_beside
from mmbee_plugin.logs.donations import ARRAYS, ORDER, WriteGifts, check_gifts, rows_of, write_ids
from mmbee_plugin.logs.folder import LogFolder
from mmbee_plugin.spark.tables import collected, partitions, replace_parquet, table
from mmbee_plugin.spark.tasks import RESULT, each_on, partition, result, results

if TYPE_CHECKING:
    import pyarrow as pa
    from pyspark.sql import SparkSession


def gifts_on(spark: SparkSession) -> WriteGifts:
    """Writes gifts as :func:`~mmbee_plugin.logs.donations.write_gifts` does, on the executors of a session."""

    def write(log: LogFolder, until: int, folder: Path) -> None:
        from pyspark.sql import functions as F

        gifts = table(spark, log, "gifts").select(*ORDER).filter(F.col("time") < until)
        count = partitions(spark, log, ["gifts"])
        sorted_gifts = gifts.repartitionByRange(count, "user_id").sortWithinPartitions(*ORDER)
        with folder_beside(folder / "pieces") as pieces:
            sizes = results(sorted_gifts.mapInArrow(_piece(pieces), RESULT))
            check_gifts(log, sum(size["gifts"] for size in sizes))
            authors = pl.concat([pl.read_parquet(size["authors"]) for size in sizes])
            write_ids(folder, "authors", authors["author_id"].unique().sort())
            users = pl.concat([pl.read_parquet(size["file"], columns=["user_id"]) for size in sizes])
            write_ids(folder, "users", users["user_id"].unique(maintain_order=True))
            for name, kind in ARRAYS.items():
                allocate(folder / f"{name}.npy", np.dtype(kind), [sum(size["gifts"] for size in sizes)])
            each_on(spark)(len(sizes), _filler(folder, sizes))

    return write


def _piece(pieces: Path) -> Callable[[Iterator[pa.RecordBatch]], Iterator[pa.RecordBatch]]:
    """Writes a partition of sorted gifts and its authors to files."""

    def write(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        gifts = collected(batches)
        if gifts is None:
            return
        number = partition()
        file, authors = (pieces / f"{number:06}.{kind}.parquet" for kind in ("gifts", "authors"))
        replace_parquet(gifts, file)
        replace_parquet(gifts.select(pl.col("author_id").unique()), authors)
        size = {
            "gifts": len(gifts),
            "users": gifts["user_id"].n_unique(),
            "file": str(file),
            "authors": str(authors),
        }
        yield result(number, size)

    return write


def _filler(folder: Path, sizes: list[dict[str, Any]]) -> Callable[[int], None]:
    """Writes the rows of a piece to its place in the arrays; a second attempt writes the same bytes."""
    gifts, users = (
        np.concatenate([[0], np.cumsum([size[name] for size in sizes])]) for name in ("gifts", "users")
    )

    def fill(number: int) -> None:
        authors = pl.read_parquet(folder / "authors.parquet")["id"]
        piece = pl.read_parquet(sizes[number]["file"])
        for name, column in rows_of(piece, authors, int(users[number])).items():
            array = opened(folder / f"{name}.npy")
            array[gifts[number] : gifts[number + 1]] = column
            array.flush()

    return fill
