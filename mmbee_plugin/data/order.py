"""Order of a dataset's rows: by time, by declaration that the file is in order, or none."""

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
"""times read at a time while all are equal"""
SEE = "see docs/decisions.md, What order means in data without time"


@dataclass(frozen=True)
class Order:
    """Order of the rows of a dataset folder.

    Attributes:
        by: ``time``; ``rows`` if `dataset.json` declares each user's rows to be in order; None without an order.
        words: the same in words, with the reason if a column of times is not usable.
    """

    by: Literal["time", "rows"] | None
    words: str


def find_order(tables: Mapping[str, Path], declared: bool) -> Order:
    """Finds the order of a folder's rows: by time if every file has times and the first file's are not all equal.

    Args:
        tables: the `.inter` files, that of the training rows (or of all rows) first.
        declared: whether `dataset.json` declares the rows to be in order.

    Raises:
        InputError: an unreadable header, or a `timestamp` column of another type than float.
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
    """Chooses the row order: ``file``, as in the file, or ``random``, drawn from the seed.

    Args:
        asked: the setting `row_order`; None is ``file`` for data with an order, else ``random``.
        name: of the dataset, for messages.

    Raises:
        InputError: an unknown choice, or ``random`` for data with time.
    """
    if asked is None:
        return "random" if order.by is None else "file"
    if asked not in ROW_ORDERS:
        raise InputError(f"row_order {asked!r}: known are {', '.join(ROW_ORDERS)}")
    if asked == "random" and order.by == "time":
        raise InputError(f"row_order random: {name} has time, which orders its rows")
    return asked


def drawn_order(rows: int, seed: int) -> NDArray[np.int64]:
    """(rows,) int64, random rank of each row, drawn from `seed`."""
    return np.random.default_rng(seed).permutation(rows)


def order_lines(order: Order, row_order: str, settings: Mapping[str, Any]) -> list[str]:
    """A banner line on the order assumed for data without one; [] for data with an order.

    Args:
        row_order: of :func:`chosen_row_order`.
        settings: of a run; `history`, `graph` and `train_newest` may depend on the order.
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
    """The value that all times of a file share; None if they differ."""
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
    except (OSError, ValueError):  # a bad row; reading the interactions reports it
        return None
    return known
