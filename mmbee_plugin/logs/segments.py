"""Finds the newest segment known at each sample, and the segments that samples or training need."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl

from mmbee_plugin.errors import InputError
from mmbee_plugin.logs.counts import Counts
from mmbee_plugin.logs.folder import LogFolder
from mmbee_plugin.logs.period import Period


@dataclass(frozen=True)
class SegmentKeys:
    """Segments sorted by author and start, without features.

    Shapes:
        - authors: (S,) int32, row of the author
        - starts, ends: (S,) int64, ms
        - places: (S,) int64, row in the log's table
        - first: (S,) int64, index of the author's first segment
    """

    authors: np.ndarray
    starts: np.ndarray
    ends: np.ndarray
    places: np.ndarray
    first: np.ndarray

    def __len__(self) -> int:
        return len(self.authors)


def read_keys(log: LogFolder, authors: list[str], period: Period, counts: Counts) -> SegmentKeys:
    """Segments of `authors`, ascending in both start and end per author.

    They start before the period's end, and within it if it is a window.

    A segment that ends after a later one of its author is left out: otherwise the last segments before a sample could
    include it before its end.

    Raises InputError for two segments of one author with the same start.
    """
    rows = pl.DataFrame({"author_id": authors, "author": np.arange(len(authors), dtype=np.int32)})
    keys = log.scan("segments").select("author_id", "start", "end").with_row_index("place")
    begin = period.start if period.window else -(2**62)
    keys = keys.filter(pl.col("start").is_between(begin, period.ends[-1], closed="left")).join(
        rows.lazy(), on="author_id", how="inner"
    )
    frame = keys.select("author", "start", "end", "place").collect(engine="streaming")
    frame = frame[np.lexsort((frame["place"], frame["start"], frame["author"]))]
    author, start = frame["author"].to_numpy(), frame["start"].to_numpy()
    twice = np.flatnonzero((author[1:] == author[:-1]) & (start[1:] == start[:-1]))
    if len(twice):
        row = int(twice[0])
        raise InputError(
            f"{log.path}, segments, rows {frame['place'][row]:,} and {frame['place'][row + 1]:,}: author "
            f"{authors[author[row]]!r} has two segments that start at {start[row]} ({len(twice):,} duplicates)"
        )
    end, place = frame["end"].to_numpy(), frame["place"].to_numpy().astype(np.int64)
    kept = end <= _earliest_end_from(author, end)
    counts.add(
        "segments of these authors that go on after a later one has ended; left out", int((~kept).sum())
    )
    author = author[kept]
    return SegmentKeys(author, start[kept], end[kept], place[kept], np.searchsorted(author, author))


def _earliest_end_from(author: np.ndarray, end: np.ndarray) -> np.ndarray:
    """(S,) earliest end among a segment and the later ones of its author; rows sorted by author."""
    if not len(end):
        return end
    # Offsets put each author's ends below those of the next, so that one running minimum serves all.
    lowest = end.min()
    above = author.astype(np.int64) * (end.max() - lowest + 1)
    return np.minimum.accumulate((end - lowest + above)[::-1])[::-1] - above + lowest


def newest_known(
    keys: SegmentKeys, authors: np.ndarray, times: np.ndarray, ended_by: np.ndarray
) -> np.ndarray:
    """(n,) int64, each sample's newest segment that starts by its time and has ended by a moment; -1 for none.

    Args:
        authors: (n,) author rows.
        times, ended_by: (n,) ms; the latter the end of the sample's window, or its time.
    """
    if not len(keys):
        return np.full(len(authors), -1, dtype=np.int64)
    lowest = int(keys.starts.min()) - 1
    span = max(int(keys.starts.max()), int(times.max(initial=0))) - lowest + 1
    wanted = authors.astype(np.int64) * span + np.maximum(times - lowest, 0)
    order = np.argsort(wanted)  # in order, a search finds what the one before it has read
    row = np.empty(len(wanted), np.int64)
    row[order] = np.searchsorted(
        keys.authors.astype(np.int64) * span + (keys.starts - lowest), wanted[order], side="right"
    )
    row -= 1
    first = np.searchsorted(keys.authors, np.arange(authors.max(initial=-1) + 1))[authors]
    row = np.where(row >= first, row, -1)
    while len(late := np.flatnonzero((row >= 0) & (keys.ends[row] > ended_by))):
        row[late] = np.where(row[late] > first[late], row[late] - 1, -1)
    return row


def reachable(keys: SegmentKeys, newest: np.ndarray, length: int, train_end: int) -> np.ndarray:
    """(S,) bool, whether a segment is among the last `length` of a sample, or ends by `train_end` (ms)."""
    kept = keys.ends <= train_end
    last = np.unique(newest[newest >= 0])
    for back in range(length):
        row = last - back
        kept[row[row >= keys.first[last]]] = True
    return kept
