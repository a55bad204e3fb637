"""The gifts of a log as the graph stage reads them: ids as rows, in arrays that map into memory.

A folder of them holds::

    users.parquet  authors.parquet              id: of each row, ascending
    users.npy  authors.npy                      (n,) int64, rows of each gift's user and author
    amounts.npy  times.npy                      (n,) float64, times in seconds since 1970

Gifts are ordered by user, author, time and amount, so neither order nor number of the log's files matters.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl

from mmbee_plugin.errors import InputError
from mmbee_plugin.graph.settings import Interactions
from mmbee_plugin.logs.folder import LogFolder

ORDER = ("user_id", "author_id", "time", "amount")
ARRAYS = {"users": np.int64, "authors": np.int64, "amounts": np.float64, "times": np.float64}
WriteGifts = Callable[[LogFolder, int, Path], None]
"""as :func:`write_gifts`"""


def write_gifts(log: LogFolder, until: int, folder: Path) -> None:
    """Writes the gifts of a log before a time (ms) into an existing folder. Raises InputError without any."""
    gifts = (
        log.scan("gifts").select(ORDER).filter(pl.col("time") < until).collect(engine="streaming").sort(ORDER)
    )
    check_gifts(log, len(gifts))
    authors = gifts["author_id"].unique().sort()
    write_ids(folder, "users", gifts["user_id"].unique(maintain_order=True))
    write_ids(folder, "authors", authors)
    for name, column in rows_of(gifts, authors, 0).items():
        np.save(folder / f"{name}.npy", column)


def read_gifts(folder: Path) -> Interactions:
    """The gifts that a folder holds, memory-mapped."""
    arrays = {name: np.load(folder / f"{name}.npy", mmap_mode="r") for name in ARRAYS}
    users, authors = (
        pl.scan_parquet(folder / f"{name}.parquet").select(pl.len()).collect().item()
        for name in ("users", "authors")
    )
    return Interactions(
        arrays["users"], arrays["authors"], arrays["amounts"], users, authors, times=arrays["times"]
    )


def check_gifts(log: LogFolder, count: int) -> None:
    """Raises InputError if there are no gifts."""
    if not count:
        raise InputError(f"{log.path}: no gifts in these days; a graph is made of gifts")


def rows_of(gifts: pl.DataFrame, authors: pl.Series, first: int) -> dict[str, np.ndarray]:
    """The arrays of gifts in :data:`ORDER`, whose first user has the row `first`.

    Args:
        gifts: all gifts of their users.
        authors: the ids of all authors, ascending.
        first: row of the first user.
    """
    found = pl.DataFrame({"author_id": authors}).with_row_index("row")
    author = gifts.select("author_id").join(found, on="author_id", how="left", maintain_order="left")["row"]
    columns = {
        "users": gifts["user_id"].rle_id().to_numpy().astype(np.int64) + first,
        "authors": author.to_numpy(),
        "amounts": gifts["amount"].to_numpy(),
        "times": gifts["time"].to_numpy() / 1000,
    }
    return {name: columns[name].astype(kind, copy=False) for name, kind in ARRAYS.items()}


def write_ids(folder: Path, name: str, ids: pl.Series) -> None:
    """Writes `<name>.parquet`, the id of each row."""
    pl.DataFrame({"id": ids.rechunk()}).write_parquet(folder / f"{name}.parquet")
