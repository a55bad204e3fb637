"""Segments of a live dataset: intervals of an author's streams, with features of each modality."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import torch
from scipy.sparse import csr_matrix
from torch import Tensor

from mmbee_plugin.data.arrays import read_array
from mmbee_plugin.data.features import (
    CHUNK_ROWS,
    DenseFeatures,
    column_moments,
    present_path,
    present_rows,
)
from mmbee_plugin.data.live import ENDED
from mmbee_plugin.data.recbole_files import read_header
from mmbee_plugin.errors import InputError, one_line

AUTHOR, START, END = "author_id:token", "start:float", "end:float"


class Scaling(NamedTuple):
    """Mean and deviation of a modality's columns, (D,) float32 each; 1 replaces a deviation of 0."""

    mean: np.ndarray
    deviation: np.ndarray


class SegmentFeatures:
    """The rows of `<name>.segment`, sorted by author and start, and their features.

    Args:
        folder: the dataset folder; its last part is the dataset's name.
        items: tokens of `<name>.item`, the authors, in row order.
        modalities: entries of `dataset.json` by name: `file`, `width` and, above 1, `frames`.
        count: required number of rows.
        seconds: length of a window, and of all segments if the file has no ends.

    Attributes:
        authors: (S,) int64, item row of each segment.
        starts, ends: (S,) float64, seconds since the epoch.
        first: (S,) int64 tensor, row of the first segment of the same author.

    Raises:
        InputError: a missing file, an unknown author, rows out of order or repeated, another number of rows.
    """

    def __init__(
        self,
        folder: Path,
        items: list[str],
        modalities: Mapping[str, Mapping[str, Any]],
        count: int,
        seconds: int,
    ) -> None:
        self.folder, self.modalities, self.seconds = folder, modalities, seconds
        self.n_items = len(items)
        file = folder / f"{folder.name}.segment"
        self.authors, self.starts, self.ends = _read_segments(file, items, seconds)
        if len(self.authors) != count:
            raise InputError(
                f"{file}: {len(self.authors):,} rows, dataset.json counts {count:,}; make the samples again"
            )
        self._open: dict[str, tuple[np.ndarray, np.ndarray]] = {}

    @cached_property
    def first(self) -> Tensor:
        """(S,) int64, row of the first segment of the same author."""
        return torch.from_numpy(np.searchsorted(self.authors, self.authors))

    def known_from(self, known: str) -> np.ndarray:
        """(S,) moments from which rows may know the segments: their ends, or under the window's rule their starts."""
        return self.ends if known == ENDED else self.starts

    def newest(self, until: float) -> np.ndarray:
        """(n_items,) int64, row of each author's newest segment ended by `until` (seconds); -1 for none."""
        newest = np.full(self.n_items, -1, dtype=np.int64)
        ended = np.flatnonzero(self.ends <= until)
        np.maximum.at(newest, self.authors[ended], ended)
        return newest

    def values(self, modality: str) -> np.ndarray:
        """(S, F, D) floats, memory-mapped; rows without the modality hold arbitrary finite values.

        Raises InputError for an unknown modality, another shape, or as `present_rows`.
        """
        return self._opened(modality)[0]

    def present(self, modality: str) -> np.ndarray:
        """(S,) bool, whether the segment has the modality."""
        return self._opened(modality)[1]

    def scaling(self, modality: str, until: float) -> Scaling:
        """Mean and deviation of each column over the frames of present segments ended by `until` (seconds)."""
        width = self.values(modality).shape[2]
        rows = (values.reshape(-1, width) for _, values in self._chunks(modality, until))
        mean, deviation = column_moments(rows, width)
        deviation = np.where(deviation > 0, deviation, 1.0)
        return Scaling(mean.astype(np.float32), deviation.astype(np.float32))

    def author_means(self, modality: str, until: float) -> DenseFeatures:
        """Mean over each author's present segments ended by `until` (seconds), standardised by :meth:`scaling`.

        Shapes:
            - values: (n_items, D) float32, zero for authors without such a segment
            - present: (n_items,) bool
        """
        scaling = self.scaling(modality, until)
        sums = np.zeros((self.n_items, len(scaling.mean)))
        counts = np.zeros(self.n_items, dtype=np.int64)
        for rows, values in self._chunks(modality, until):
            scaled = (values.mean(axis=1, dtype=np.float64) - scaling.mean) / scaling.deviation
            author = self.authors[rows]
            member = (np.ones(len(rows)), (author, np.arange(len(rows))))
            sums += csr_matrix(member, shape=(self.n_items, len(rows))) @ scaled
            counts += np.bincount(author, minlength=self.n_items)
        means = sums / np.maximum(counts, 1)[:, None]
        return DenseFeatures(means.astype(np.float32), counts > 0)

    def _chunks(self, modality: str, until: float) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Rows (n,) of present segments ended by `until`, with their values (n, F, D), in chunks."""
        values, present = self._opened(modality)
        rows = np.flatnonzero(present & (self.ends <= until))
        for start in range(0, len(rows), CHUNK_ROWS):
            part = rows[start : start + CHUNK_ROWS]
            yield part, values[part]

    def _opened(self, modality: str) -> tuple[np.ndarray, np.ndarray]:
        if modality not in self._open:
            if modality not in self.modalities:
                known = ", ".join(self.modalities) or "none"
                raise InputError(f"{self.folder}: no modality {modality!r}; its segments have: {known}")
            entry = self.modalities[modality]
            path = self.folder / entry["file"]
            frames = entry.get("frames", 1)
            values = read_array(path, dimensions=3 if frames > 1 else 2, kinds="f")
            expected = (len(self.authors), *((frames,) if frames > 1 else ()), entry["width"])
            if values.shape != expected:
                raise InputError(f"{path}: shape {values.shape}; {expected} by dataset.json and .segment")
            values = values.reshape(expected[0], frames, expected[-1])
            self._open[modality] = values, _present(path, values)
        return self._open[modality]


def windows(first: Tensor, rows: Tensor, length: int) -> Tensor:
    """The last `length` segments of the same author up to each row, oldest first.

    Args:
        first: (S,) row of the first segment of the same author.
        rows: (B,) rows of segments, -1 for none.
        length: L, segments of a sample.

    Shapes:
        - output: (B, L) int64, left-padded with -1
    """
    window = rows[:, None] + torch.arange(1 - length, 1, device=rows.device)
    inside = (rows[:, None] >= 0) & (window >= first[rows.clamp(min=0)][:, None])
    return torch.where(inside, window, -1)


def _read_segments(file: Path, items: list[str], seconds: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Item rows, starts and ends, (S,) each, of a `.segment` file; without a column of ends, all last `seconds`."""
    header = read_header(file)
    for column in (AUTHOR, START):
        if column not in header:
            raise InputError(f"{file}, line 1: no column {column!r}, found {', '.join(header)[:200]!r}")
    times = [START, END] if END in header else [START]
    try:
        frame = pd.read_csv(
            file, sep="\t", usecols=[AUTHOR, *times], dtype={AUTHOR: "category"} | dict.fromkeys(times, "str"),
            na_filter=False, quoting=3, encoding="utf-8",
        )  # fmt: skip
    except (OSError, ValueError) as error:
        raise InputError(f"{file}: not readable: {one_line(error)}") from None
    tokens = frame[AUTHOR].astype("category").array
    of_token = pd.Index(items, dtype=object).get_indexer(tokens.categories.astype(object))
    authors = of_token[tokens.codes].astype(np.int64)
    starts, ends = (
        pd.to_numeric(frame[time], errors="coerce").to_numpy(dtype=np.float64)
        for time in (times[0], times[-1])
    )
    ends = ends if END in times else starts + seconds
    after = np.ones(len(authors), dtype=bool)
    after[1:] = (authors[1:] > authors[:-1]) | ((authors[1:] == authors[:-1]) & (starts[1:] > starts[:-1]))
    for good, wrong in (
        (authors >= 0, "its author is not in the .item file"),
        (np.isfinite(starts), "its start is not a finite number"),
        (np.isfinite(ends) & (ends >= starts), "its end is not a finite number from its start on"),
        (after, "not after the row before; rows are sorted by author, as in .item, and start, each once"),
    ):
        if not good.all():
            row = int(np.argmin(good))
            shown = f"author {tokens[row]!r}"
            shown += "".join(f", {time[:-6]} {frame[time][row][:40]!r}" for time in times)
            raise InputError(f"{file}, line {row + 2}: {shown}: {wrong}")
    return authors, starts, ends


def _present(path: Path, values: np.ndarray) -> np.ndarray:
    """(S,) bool: whether a row is not all zero, as online, nor flagged as missing. Raises as `present_rows`."""
    present = np.empty(len(values), dtype=bool)
    for start in range(0, len(values), CHUNK_ROWS):
        present[start : start + CHUNK_ROWS] = present_rows(values[start : start + CHUNK_ROWS], start, path)
    stored = present_path(path)
    if not stored.exists():
        return present
    flags = read_array(stored, dimensions=1, kinds="b")
    if len(flags) != len(values):
        raise InputError(f"{stored}: {len(flags):,} flags for {len(values):,} segments")
    return present & flags
