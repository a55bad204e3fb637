"""Item features: a dense `.npy` or word-bag `.npz` per modality; row r belongs to row r of `<name>.item`."""

from __future__ import annotations

import io
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

from mmbee_plugin.data.arrays import read_array
from mmbee_plugin.errors import InputError, one_line

CHUNK_ROWS = 65_536
PRESENT = ".present"
"""end of the stem of a presence file"""
LARGEST = 1e18
"""Largest absolute value of a feature. Squares of values above 1.8e19 overflow float32, and with them norms and
products; values that large are uninitialised memory or in a wrong unit."""
MOMENT_ROWS = 4_096
"""rows converted to float64 at a time for means and deviations"""
CLOSE = 1e-4
"""largest error of a float32 mean or deviation that is accepted, as a share of the column's deviation"""
ROUNDING = 1e-13
"""a deviation up to this share of the column's mean is rounding of float64, i.e. 0; one float32 step in 1e10 rows
exceeds it"""


@dataclass(frozen=True)
class DenseFeatures:
    """One vector per item, in the source's scale (see `standardise`).

    Shapes:
        - values: (n_items, D) float16 or float32; memory-mapped when read from disk
        - present: (n_items,) bool; False where the item lacks the modality
    """

    values: np.ndarray
    present: np.ndarray


@dataclass(frozen=True)
class BagFeatures:
    """One bag of words per item in CSR form: item r has `words[indptr[r]:indptr[r + 1]]`, repetitions included.

    Shapes:
        - indptr: (n_items + 1,) int64
        - words: (nnz,) int32 in 0 .. vocabulary - 1
        - present: (n_items,) bool; False for an empty bag
    """

    indptr: np.ndarray
    words: np.ndarray
    vocabulary: int
    present: np.ndarray


def bag_from_pairs(rows: np.ndarray, words: np.ndarray, n_items: int, vocabulary: int) -> BagFeatures:
    """Gathers item rows and word ids, (nnz,) each, in any order and already checked, into bags."""
    order = np.argsort(rows, kind="stable")
    sizes = np.bincount(rows, minlength=n_items)
    indptr = np.concatenate(([0], np.cumsum(sizes))).astype(np.int64)
    return BagFeatures(indptr, words[order].astype(np.int32), vocabulary, sizes > 0)


def save_dense(values: np.ndarray, path: Path, source: Path | str) -> np.ndarray:
    """Writes a `.npy` chunk by chunk: float16 as such, wider types as float32.

    Returns `present`: (n_items,) bool, False for all-zero rows. Raises InputError as `present_rows`, for `source`.
    Plain writes and no memory map, so that a full disk is an OSError.
    """
    dtype = np.dtype("<f2" if values.dtype == np.float16 else "<f4")
    header = {"descr": np.lib.format.dtype_to_descr(dtype), "fortran_order": False, "shape": values.shape}
    present = np.empty(len(values), dtype=bool)
    with path.open("wb") as stream:
        np.lib.format.write_array_header_1_0(stream, header)
        for start in range(0, len(values), CHUNK_ROWS):
            with np.errstate(over="ignore"):
                chunk = np.ascontiguousarray(values[start : start + CHUNK_ROWS], dtype=dtype)
            present[start : start + CHUNK_ROWS] = present_rows(chunk, start, source)
            stream.write(chunk.tobytes())
    return present


def save_bag(bag: BagFeatures, path: Path) -> np.ndarray:
    """Writes a bag as `.npz` (`indptr`, `words`, `vocabulary`); returns its `present`."""
    archive = io.BytesIO()  # on a full disk an archive prints to stderr past any handler
    np.savez(archive, indptr=bag.indptr, words=bag.words, vocabulary=np.int64(bag.vocabulary))
    path.write_bytes(archive.getvalue())  # its getbuffer() on a full disk ends Python 3.12.1
    return bag.present


def open_dense(path: Path, n_items: int) -> DenseFeatures:
    """Memory-maps `<modality>.npy` and checks every value once.

    Raises InputError for float64, a wrong number of rows, or as `present_rows`.
    """
    values = read_array(path, dimensions=2, kinds="f")
    if values.dtype.itemsize > 4:
        raise InputError(
            f"{path}: {values.dtype}; float16 or float32 is needed, save array.astype('float32')"
        )
    _check_rows(path, len(values), n_items)
    present = np.empty(n_items, dtype=bool)
    for start in range(0, n_items, CHUNK_ROWS):
        present[start : start + CHUNK_ROWS] = present_rows(values[start : start + CHUNK_ROWS], start, path)
    return DenseFeatures(values, _read_present(path, present))


def open_bag(path: Path, n_items: int) -> BagFeatures:
    """Reads `<modality>.npz`; raises InputError for other content, a wrong number of rows, a word id out of range."""
    try:
        with np.load(path, allow_pickle=False) as archive:
            indptr, words, vocabulary = archive["indptr"], archive["words"], archive["vocabulary"]
    except Exception as error:  # foreign bytes: zip and npy readers raise whatever they meet
        reason = one_line(error)
        raise InputError(
            f"{path}: not a word bag with indptr, words and vocabulary: {reason}; dense features are a .npy"
        ) from None
    whole = all(array.dtype.kind in "iu" for array in (indptr, words, vocabulary))
    shaped = indptr.ndim == words.ndim == 1 and vocabulary.ndim == 0 and indptr.size > 0
    if not whole or not shaped or not 0 <= int(vocabulary) < 2**31:
        raise InputError(f"{path}: indptr (n + 1,), words (nnz,) and vocabulary () must be whole numbers")
    _check_rows(path, len(indptr) - 1, n_items)
    if indptr[0] != 0 or indptr[-1] != len(words) or (indptr[1:] < indptr[:-1]).any():
        raise InputError(f"{path}: indptr must rise from 0 to the {len(words)} words")
    size = int(vocabulary)
    outside = np.flatnonzero((words < 0) | (words >= size))
    if outside.size:
        entry = int(outside[0])
        row = int(np.searchsorted(indptr, entry, side="right")) - 1
        raise InputError(f"{path}, row {row}: word id {int(words[entry])} is outside 0 .. {size - 1}")
    bag_sizes = np.diff(indptr.astype(np.int64))
    present = _read_present(path, bag_sizes > 0)
    return BagFeatures(indptr.astype(np.int64), words.astype(np.int32), size, present)


class Moments(NamedTuple):
    """Mean and standard deviation of each column, (D,) float64; exactly 0 deviation for a constant column."""

    mean: np.ndarray
    deviation: np.ndarray


def column_moments(chunks: Iterable[np.ndarray], width: int) -> Moments:
    """Moments over the rows of all chunks, (n, width) each; both 0 without rows.

    Chunks are centred before squaring and merged in float64 (Chan, Golub and LeVeque, 1983), which keeps precision
    for large offsets and tiny values.
    """
    mean, squares, count = np.zeros(width), np.zeros(width), 0
    for chunk in chunks:
        for start in range(0, len(chunk), MOMENT_ROWS):
            rows = chunk[start : start + MOMENT_ROWS].astype(np.float64)
            total = count + len(rows)
            own = rows.mean(axis=0)
            gap = own - mean
            squares += np.square(rows - own).sum(axis=0) + gap**2 * (count * len(rows) / total)
            mean += gap * (len(rows) / total)
            count = total
    deviation = np.sqrt(squares / max(1, count))
    return Moments(mean, np.where(deviation <= ROUNDING * np.abs(mean), 0.0, deviation))


def standardise(values: np.ndarray, present: np.ndarray) -> np.ndarray:
    """Scales each column to mean 0 and variance 1 over the present rows; float32 (n, D), absent rows zero.

    Works in any unit and at any offset, such as 1e-30 or 1e6; a constant column becomes zero.
    """
    known = np.asarray(values[present], dtype=np.float32)
    out = np.zeros(values.shape, dtype=np.float32)
    if not len(known):
        return out
    exact = column_moments([known], known.shape[1])
    with np.errstate(over="ignore", invalid="ignore"):
        mean, deviation = known.mean(axis=0), known.std(axis=0)
        # Ordinary columns stay in float32, with which published runs were measured.
        off = np.maximum(abs(mean - exact.mean), abs(deviation - exact.deviation))
        far = ~(off < CLOSE * exact.deviation)
        scaled = (known - mean) / np.where(far, 1, deviation)
    for column in np.flatnonzero(far):
        centred = known[:, column].astype(np.float64) - exact.mean[column]
        scaled[:, column] = centred / (exact.deviation[column] or np.inf)
    out[present] = scaled
    return out


def present_path(path: Path) -> Path:
    """Path `<modality>.present.npy` of the presence flags beside `<modality>.npy` or `.npz`."""
    return path.with_name(f"{path.stem}{PRESENT}.npy")


def _read_present(path: Path, derived: np.ndarray) -> np.ndarray:
    """(n_items,) bool: the stored presence flags, else `derived`."""
    stored = present_path(path)
    if not stored.exists():
        return derived
    present = read_array(stored, dimensions=1, kinds="b")
    _check_rows(stored, len(present), len(derived))
    return np.array(present)


def _check_rows(path: Path, rows: int, n_items: int) -> None:
    if rows != n_items:
        raise InputError(
            f"{path}: {rows:,} rows for {n_items:,} items; one row an item, in the order of the .item file"
        )


def present_rows(chunk: np.ndarray, start: int, source: Path | str) -> np.ndarray:
    """(rows,) bool, False for all-zero rows.

    Args:
        chunk: (rows, D) or (rows, frames, D) floats.
        start: the file's row at which the chunk begins.
        source: the file.

    Raises:
        InputError: a NaN, an infinity or a value beyond `LARGEST`; names file, row and column.
    """
    if chunk.size and not (float(chunk.min()) >= -LARGEST and float(chunk.max()) <= LARGEST):  # or NaN
        bad = ~(np.abs(chunk.astype(np.float64)) <= LARGEST)
        row, *frame, column = (int(axis[0]) for axis in np.nonzero(bad))
        value = chunk[row, *frame, column]
        wrong = f"is beyond {LARGEST:g}: its square is no float32; rescale the features"
        if not np.isfinite(value):
            wrong = f"is not a finite {chunk.dtype.name}"
        raise InputError(f"{source}, row {start + row}, column {column}: {value:g} {wrong}")
    return chunk.any(axis=tuple(range(1, chunk.ndim)))
