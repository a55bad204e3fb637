"""Writes segment features from Parquet into memory-mapped arrays, chunk by chunk."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from mmbee_plugin.data.features import present_path
from mmbee_plugin.data.unread import check_modality
from mmbee_plugin.errors import InputError
from mmbee_plugin.logs.folder import LogFolder, Modality

CHUNK_ROWS = 65_536
DTYPE = np.dtype("<f2")


def write_features(folder: Path, log: LogFolder, places: np.ndarray) -> dict[str, dict[str, Any]]:
    """Writes `<modality>.npy`, (S, D) or (S, F, D) float16, and `<modality>.present.npy`, (S,) bool, per modality.

    Args:
        folder: the dataset folder.
        places: (S,) rows of the log's table to write, in this order.

    Returns:
        the entries `modalities` of `dataset.json`.

    Raises:
        InputError: a vector of another width, or a value that is no finite float16, with the table's row; a modality
            name that no file may have.
    """
    total = int(log.scan("segments").select(pl.len()).collect().item())
    target = np.full(total, -1, dtype=np.int64)
    target[places] = np.arange(len(places))
    arrays, present = {}, {}
    for name, shape in log.modalities.items():
        check_modality(name, f"{log.path}, segments")
        path = folder / f"{name}.npy"
        arrays[name] = _allocate(path, len(places), shape)
        present[name] = np.zeros(len(places), dtype=bool)
    for begin, batch in _batches(log):
        rows = target[begin : begin + len(batch)]
        for name, shape in log.modalities.items():
            there = (rows >= 0) & batch[name].is_not_null().to_numpy()
            where = f"{log.path}, segments, column {name}"
            values = _vectors(
                batch[name].filter(pl.Series(there)), shape, where, begin + np.flatnonzero(there)
            )
            arrays[name][rows[there]] = values.reshape(len(values), *arrays[name].shape[1:])
            present[name][rows[there]] = True
    entries = {}
    for name, shape in log.modalities.items():
        arrays[name].flush()
        np.save(present_path(folder / f"{name}.npy"), present[name])
        entries[name] = {
            "file": f"{name}.npy",
            "kind": "dense",
            "of": "segment",
            "width": shape.width,
            "frames": shape.frames,
            "missing": int((~present[name]).sum()),
        }
    return entries


def _batches(log: LogFolder) -> Iterator[tuple[int, pl.DataFrame]]:
    """Chunks of the table's modality columns, each with its first row in the table."""
    begin = 0
    for file in log.files("segments"):
        features = pl.scan_parquet(file).select(log.modalities.keys())
        for batch in features.collect_batches(chunk_size=CHUNK_ROWS, maintain_order=True, engine="streaming"):
            yield begin, batch
            begin += len(batch)


def _vectors(column: pl.Series, shape: Modality, where: str, rows: np.ndarray) -> np.ndarray:
    """(n, frames * width) float16 vectors of a column; `rows`, (n,), are their rows in the table, for errors."""
    size = shape.frames * shape.width
    if isinstance(column.dtype, pl.List):
        sizes = column.list.len().to_numpy()
        if (sizes != size).any():
            bad = int(np.flatnonzero(sizes != size)[0])
            raise InputError(f"{where}, row {rows[bad]:,}: {sizes[bad]} values, others have {size}")
    wide = column.explode().to_numpy().astype(np.float32, copy=False).reshape(len(column), size)
    with np.errstate(over="ignore"):
        values = wide.astype(DTYPE)
    if not np.isfinite(values).all():
        bad, place = (int(axis[0]) for axis in np.nonzero(~np.isfinite(values)))
        raise InputError(
            f"{where}, row {rows[bad]:,}, value {place}: {wide[bad, place]} is no finite float16, "
            "whose largest is 65,504"
        )
    return values


def _allocate(path: Path, rows: int, shape: Modality) -> np.memmap:
    """A memory-mapped `.npy` of zeros, written plainly first so that a full disk is an OSError."""
    dimensions = (rows, shape.width) if shape.frames == 1 else (rows, *shape)
    header = {"descr": np.lib.format.dtype_to_descr(DTYPE), "fortran_order": False, "shape": dimensions}
    zeros = bytes(CHUNK_ROWS * DTYPE.itemsize)
    with path.open("wb") as stream:
        np.lib.format.write_array_header_1_0(stream, header)
        left = int(np.prod(dimensions)) * DTYPE.itemsize
        while left > 0:
            left -= stream.write(zeros[:left])
    return np.lib.format.open_memmap(path, mode="r+")
