"""Writes the files of a shards folder and records their sizes and content."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from mmbee_plugin.graph.files import SnapshotFile, described, write_npy
from mmbee_plugin.graph.lists import PackedLists
from mmbee_plugin.torchrec.shards.layout import DESCRIPTION, NODE_FILES, Description

TOKENS_AT_ONCE = 65_536


class ShardWriter:
    """Writes into one folder, which the caller publishes.

    Attributes:
        files: each file written, by name, without node vectors, which may be retrained.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.files: dict[str, SnapshotFile] = {}

    @property
    def content(self) -> str:
        """Digest over the names and sha256 of the files."""
        hashes = {name: file.sha256 for name, file in self.files.items()}
        return hashlib.sha256(json.dumps(hashes, sort_keys=True).encode()).hexdigest()

    def array(self, name: str, values: NDArray) -> None:
        """Writes an array as ``<name>.npy``."""
        file = self._place(f"{name}.npy")
        written = write_npy(file, values)
        if file.name not in NODE_FILES.values():
            self.files[f"{name}.npy"] = written

    def lists(self, folder: str, lists: PackedLists) -> None:
        """Writes packed neighbour lists into a folder of arrays."""
        for name, array in lists.arrays().items():
            self.array(f"{folder}/{name}", array)

    def table(self, name: str, columns: Mapping[str, NDArray | None], rows_per_group: int) -> None:
        """Writes columns of one length as ``<name>.parquet``, in row groups; leaves out columns that are None."""
        present = {key: values for key, values in columns.items() if values is not None}
        schema = pa.schema([(key, pa.from_numpy_dtype(values.dtype)) for key, values in present.items()])
        length = len(next(iter(present.values())))
        with self._writer(name, schema) as writer:
            for start in range(0, length, rows_per_group):
                group = {key: values[start : start + rows_per_group] for key, values in present.items()}
                writer.write_table(pa.table(group, schema=schema), row_group_size=rows_per_group)
        self.files[f"{name}.parquet"] = described(self.folder / f"{name}.parquet")

    def tokens(self, name: str, tokens: list[str]) -> None:
        """Writes tokens, by row, as ``<name>.parquet``."""
        schema = pa.schema([("token", pa.string())])
        with self._writer(name, schema) as writer:
            for start in range(0, len(tokens), TOKENS_AT_ONCE):
                group = pa.array(tokens[start : start + TOKENS_AT_ONCE], pa.string())
                writer.write_table(pa.table([group], schema=schema))
        self.files[f"{name}.parquet"] = described(self.folder / f"{name}.parquet")

    def describe(self, description: Description) -> None:
        """Writes the description, the last file."""
        text = description.model_dump_json(indent=1) + "\n"
        (self.folder / DESCRIPTION).write_text(text, encoding="utf-8")

    def _writer(self, name: str, schema: pa.Schema) -> pq.ParquetWriter:
        return pq.ParquetWriter(self._place(f"{name}.parquet"), schema)

    def _place(self, name: str) -> Path:
        file = self.folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        return file
