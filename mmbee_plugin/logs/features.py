"""Writes segment features from Parquet into memory-mapped arrays, chunk by chunk."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from mmbee_plugin.data.features import present_path
from mmbee_plugin.data.mapped import allocate, opened
from mmbee_plugin.data.unread import check_modality
from mmbee_plugin.errors import InputError
from mmbee_plugin.logs.each import Each, in_turn
from mmbee_plugin.logs.folder import LogFolder, Modality

CHUNK_ROWS = 65_536
DTYPE = np.dtype("<f2")
TARGET = "target.npy"
"""while features are written: the row of each segment of the table, -1 for none"""


def write_features(
    folder: Path, log: LogFolder, places: np.ndarray, each: Each = in_turn
) -> dict[str, dict[str, Any]]:
    """Writes `<modality>.npy`, (S, D) or (S, F, D) float16, and `<modality>.present.npy`, (S,) bool, per modality.

    A segment lacks a modality whose vector is null or, as float16, all zero.

    Args:
        folder: the dataset folder.
        places: (S,) rows of the log's table to write, in this order.
        each: runs a task for each file of the table.

    Returns:
        the entries `modalities` of `dataset.json`.

    Raises:
        InputError: a vector of another width, or a value that is no finite float16, with the table's row; a modality
            name that no file may have.
    """
    files, shapes, where = log.files("segments"), log.modalities, f"{log.path}, segments"
    counts = [pl.scan_parquet(file, glob=False).select(pl.len()).collect().item() for file in files]
    begins = np.concatenate([[0], np.cumsum(counts)]).tolist()
    for name, shape in shapes.items():
        check_modality(name, where)
        allocate(folder / f"{name}.npy", DTYPE, (len(places), *_axes(shape)))
        allocate(present_path(folder / f"{name}.npy"), np.dtype(bool), (len(places),))
    target = np.full(begins[-1], -1, dtype=np.int64)
    target[places] = np.arange(len(places))
    np.save(folder / TARGET, target)

    def fill(number: int) -> None:
        rows = np.load(folder / TARGET, mmap_mode="r")
        values = {name: opened(folder / f"{name}.npy") for name in shapes}
        present = {name: opened(present_path(folder / f"{name}.npy")) for name in shapes}
        begin = begins[number]
        for batch in _batches(files[number], shapes):
            of_batch = rows[begin : begin + len(batch)]
            for name, shape in shapes.items():
                there = (of_batch >= 0) & batch[name].is_not_null().to_numpy()
                chosen, at = batch[name].filter(pl.Series(there)), begin + np.flatnonzero(there)
                vectors = _vectors(chosen, shape, f"{where}, column {name}", at)
                values[name][of_batch[there]] = vectors.reshape(len(vectors), *_axes(shape))
                present[name][of_batch[there]] = vectors.any(axis=1)
            begin += len(batch)
        for array in (*values.values(), *present.values()):
            array.flush()

    each(len(files), fill)
    (folder / TARGET).unlink()
    entries = {}
    for name, shape in log.modalities.items():
        present = np.load(present_path(folder / f"{name}.npy"))
        entries[name] = {
            "file": f"{name}.npy",
            "kind": "dense",
            "of": "segment",
            "width": shape.width,
            "frames": shape.frames,
            "missing": int((~present).sum()),
        }
    return entries


def _batches(file: Path, names: Iterable[str]) -> Iterator[pl.DataFrame]:
    """Chunks of a file's modality columns."""
    features = pl.scan_parquet(file, glob=False).select(*names)
    return features.collect_batches(chunk_size=CHUNK_ROWS, maintain_order=True, engine="streaming")


def _axes(shape: Modality) -> tuple[int, ...]:
    """Of a segment's values."""
    return (shape.width,) if shape.frames == 1 else shape


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
