"""What orders a dataset's rows: their times, a declaration that the rows stand in order, or nothing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mmbee_plugin.data.recbole_files import TIMESTAMP, read_header
from mmbee_plugin.errors import InputError

ROW_ORDERS = ("file", "random")
CHUNK = 65_536
"""times that are read at once while they are all alike"""
SEE = "see docs/decisions.md, What order means in data without time"


@dataclass(frozen=True)
class Order:
    """What orders the rows of a dataset folder.

    Attributes:
        by: ``time``; ``rows``, where `dataset.json` declares that each user's rows stand in order; None for nothing.
        words: the same for a reader, with the reason where a column of times is of no use.
    """

    by: Literal["time", "rows"] | None
    words: str


def find_order(tables: Mapping[str, Path], declared: bool) -> Order:
    """The order of the rows of a folder's `.inter` files, the training rows (or all rows) first.

    Times count where every file has the column and the first file's times are not all the same.

    Raises:
        InputError: a `timestamp` column of another type than float; an order declared beside a column of times that
            is of use.
    """
    with_column = []
    for path in tables.values():
        columns = read_header(path)
        for column in columns:
            if column.partition(":")[0] == TIMESTAMP.partition(":")[0] and column != TIMESTAMP:
                raise InputError(
                    f"{path}, line 1: column {column[:80]!r} cannot be read as times; {TIMESTAMP!r}, in seconds, is "
                    "needed, or another name"
                )
        if TIMESTAMP in columns:
            with_column.append(path)
    if not with_column:
        return Order("rows", "ordered by row (declared)") if declared else Order(None, "without time")
    if len(with_column) < len(tables):
        missing = next(path for path in tables.values() if path not in with_column)
        return Order(None, f"without time ({missing.name} has no {TIMESTAMP})")
    first = with_column[0]
    same = _only_time(first)
    if same is None:
        return Order("time", "with time")
    return Order(None, f"without time ({TIMESTAMP} is {same} in every row of {first.name})")


def chosen_row_order(order: Order, asked: str | None, name: str) -> str:
    """``file``, rows in the order of the file, or ``random``, in one that is drawn: as asked, else by what is known.

    Args:
        asked: the setting `row_order`; None leaves it to the data, where only an order that means something counts.
        name: of the dataset, for messages.

    Raises:
        InputError: an unknown choice; ``random`` for data with time, which orders the rows.
    """
    if asked is None:
        return "random" if order.by is None else "file"
    if asked not in ROW_ORDERS:
        raise InputError(f"row_order {asked!r}: known are {', '.join(ROW_ORDERS)}")
    if asked == "random" and order.by == "time":
        raise InputError(f"row_order random: {name} has time, which orders its rows")
    return asked


def drawn_order(rows: int, seed: int) -> NDArray[np.int64]:
    """(rows,) the place of each row in an order drawn from `seed`."""
    return np.random.default_rng(seed).permutation(rows)


def order_lines(order: Order, row_order: str, settings: Mapping[str, Any]) -> list[str]:
    """What stands for an order in data that have none, a line for a run's banner; nothing for data with an order.

    Args:
        row_order: of :func:`chosen_row_order`.
        settings: `history`, `graph` and `train_newest` of a run; missing ones read no order.
    """
    if order.by is not None:
        return []
    graph = settings.get("graph") or {}
    reading = [
        *(["history prefix"] if settings.get("history") == "prefix" else []),
        *(["graph.fold_by order"] if graph.get("fold_by") == "order" and graph.get("folds") else []),
        *([f"train_newest {settings['train_newest']}"] if settings.get("train_newest") else []),
    ]
    if row_order == "file":
        readers = f" (so do {', '.join(reading)})" if reading else ""
        return [f"warning: row_order file takes the file's row order for time{readers}: {SEE}"]
    readers = f"; {', '.join(reading)} go by it" if reading else ""
    return [f"Order: none in the data; rows are in one drawn from the seed{readers}"]


def _only_time(path: Path) -> str | None:
    """The one value of a file's column of times, None where they differ."""
    known = None
    try:
        with pd.read_csv(
            path, sep="\t", usecols=[TIMESTAMP], dtype=str, na_filter=False, quoting=3, chunksize=CHUNK
        ) as parts:
            for part in parts:
                values = part[TIMESTAMP].unique()
                known = values[0] if known is None else known
                if (pd.to_numeric(values, errors="coerce") != float(known)).any():
                    return None
    except (OSError, ValueError):  # a bad row: whoever reads the rows names it
        return None
    return known
