"""Row groups of one Parquet file of a shards folder, every value checked.

The embedding kernels do not check the range of ids.
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from mmbee_plugin.errors import InputError, one_line
from mmbee_plugin.torchrec.shards.store import ShardStore

Columns = dict[str, NDArray]
_KINDS = {False: (pa.types.is_integer, "whole numbers"), True: (pa.types.is_floating, "numbers")}
POSITIONS = ("position", "position_by_day")
TIME = "time"
"""seconds since the data's first interaction, the only column of floats"""
TASK = "task_"
"""prefix of the columns of live data's tasks."""


class RowGroups:
    """Row groups of a split.

    Args:
        store: the shards folder.
        split: ``train``, ``valid`` or ``test``.

    Attributes:
        file: the Parquet file.
        count: number of row groups.

    Raises:
        InputError: a file that is no Parquet, is cut, or lacks a column.
    """

    def __init__(self, store: ShardStore, split: str) -> None:
        self.file = store.path / f"{split}.parquet"
        self._store = store
        self._limits: dict[str, tuple[float, float]] = {
            "user": (0, store.n_users),
            "author": (0, store.n_authors),
        }
        if store.ordered:
            self._limits[TIME] = 0, np.inf
        if split == "train":
            for name in POSITIONS if store.ordered else POSITIONS[:1]:
                self._limits[name] = 0, np.iinfo(np.int32).max
            if store.folds:
                self._limits["fold"] = 0, store.folds
        if store.labelled:
            self._limits["label"] = 0, 2
        if store.live is not None:
            self._limits["segment"] = -1, store.live.segments
            if split == "train":
                self._limits |= {TASK + name: (-1, 2) for name in store.live.tasks}
        try:
            # Read, not mapped: pages of a mapped file would count as this process's memory.
            self._parquet = pq.ParquetFile(self.file, memory_map=False)
        except (OSError, pa.ArrowException) as error:
            raise InputError(f"{self.file}: cannot be read as Parquet ({one_line(error)})") from None
        schema = self._parquet.schema_arrow
        for name in self._limits:
            fits, kind = _KINDS[name == TIME]
            if name not in schema.names or not fits(schema.field(name).type):
                found = ", ".join(f"{field.name} {field.type}" for field in schema)
                raise InputError(f"{self.file}: no column {name!r} of {kind}; found: {found}")
        self.count: int = self._parquet.num_row_groups

    def read(self, group: int) -> Columns:
        """The columns of one row group, (n,) each, in the types of the file.

        Raises:
            InputError: bytes that cannot be read, an empty cell, a value out of range; names the file, the row
                group and the row, from 0.
        """
        where = f"{self.file}, row group {group}"
        try:
            table = self._parquet.read_row_group(group, columns=list(self._limits), use_threads=False)
        except (OSError, pa.ArrowException) as error:
            raise InputError(f"{where}: cannot be read ({one_line(error)}); write the shards again") from None
        columns = {}
        for name, (low, limit) in self._limits.items():
            if table[name].null_count:
                raise InputError(f"{where}: column {name} has {table[name].null_count} empty cells")
            columns[name] = table[name].to_numpy()
            _check(columns[name], low, limit, where, name)
        for name in POSITIONS:
            if name in columns:
                lengths = self._store.history_lengths(columns["user"].astype(np.int64))
                _check(columns[name], 0, lengths + 1, where, name)
        return columns


def _check(values: NDArray, low: float, limits: NDArray | float, where: str, name: str) -> None:
    """Raises InputError at the first value outside ``low .. limit - 1``, or that is not a number."""
    wrong = ~((values >= low) & (values < limits))
    if wrong.any():
        row = int(np.argmax(wrong))
        limit = np.broadcast_to(limits, values.shape)[row]
        allowed = f"outside {low}..{limit - 1:.0f}" if limit < np.inf else f"no finite number from {low}"
        raise InputError(f"{where}, row {row}: {name} {values[row]} is {allowed}")
