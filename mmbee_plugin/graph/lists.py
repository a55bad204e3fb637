"""Packed neighbour lists: a node's lists along all metapaths side by side, nodes of one history in one row."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mmbee_plugin.data.ragged import ragged
from mmbee_plugin.graph.metapaths import Metapath, Neighbours
from mmbee_plugin.kernels import kernel

ENTRY = np.dtype([("id", "<i4"), ("weight", "<f4")])
"""a neighbour's file row and score: above zero, but for the long walk's lists with profiles"""


@dataclass(frozen=True)
class PackedLists:
    """Neighbour lists of all nodes of one type, best first, in one row for all metapaths.

    A walk from a user sees the user's gifts alone, so users with equal normalised gifts share a row (see
    :func:`~mmbee_plugin.graph.sharing.shared_rows`). Only the user itself, which its own list leaves out, tells their
    lists apart: such lists are stored with the node and one entry longer, and readers leave the node out.

    Shapes:
        - paths: names of the P metapaths
        - indptr: (n_rows * P + 1,) int64; row r's list along path p is ``indptr[r * P + p] : indptr[r * P + p + 1]``
        - entries: (n,) of :data:`ENTRY`, may be memory-mapped
        - rows: (n_nodes,) int64, the row of each node; None where node v has row v
        - with_self: (P,) whether a stored list may hold the node itself
        - top_k: entries of a list at most, as read
    """

    paths: tuple[str, ...]
    indptr: np.ndarray
    entries: np.ndarray
    rows: np.ndarray | None
    with_self: tuple[bool, ...]
    top_k: int

    @property
    def n_rows(self) -> int:
        return (len(self.indptr) - 1) // len(self.paths)

    @property
    def n_nodes(self) -> int:
        return self.n_rows if self.rows is None else len(self.rows)

    @property
    def first(self) -> np.ndarray:
        """(n_rows,) int64, the first node of each row."""
        if self.rows is None:
            return np.arange(self.n_rows)
        first = np.empty(self.n_rows, np.int64)
        first[self.rows[::-1]] = np.arange(self.n_nodes - 1, -1, -1)
        return first

    def along(self, path: str) -> PathLists:
        """The lists along one metapath; raises ValueError if it is not here."""
        return PathLists(self, self.paths.index(path))

    def part(self, path: str) -> PackedLists:
        """A copy of one metapath's lists, in rows of their own."""
        place = self.paths.index(path)
        starts, stops = (self.indptr[place + end :: len(self.paths)][: self.n_rows] for end in (0, 1))
        indptr = np.concatenate([[0], np.cumsum(stops - starts)])
        return PackedLists(
            (path,),
            indptr,
            self.entries[ragged(starts, stops)[1]],
            self.rows,
            (self.with_self[place],),
            self.top_k,
        )

    def arrays(self) -> dict[str, np.ndarray]:
        """The arrays to store, by name; without ``rows`` where every node has its own."""
        named = {"indptr": self.indptr, "entries": self.entries, "rows": self.rows}
        return {name: array for name, array in named.items() if array is not None}

    def fault(self, n_nodes: int, n_ends: Sequence[int], entry: np.dtype = ENTRY) -> str | None:
        """What is wrong with these arrays as lists of ``n_nodes`` nodes, with (P,) ``n_ends`` nodes at the paths'
        ends and entries of this type; None if nothing is."""
        indptr, entries, rows = self.indptr, self.entries, self.rows
        if indptr.ndim != 1 or indptr.dtype != np.int64 or (len(indptr) - 1) % len(self.paths):
            return f"offsets {indptr.dtype} {indptr.shape}, expected int64, {len(self.paths)} lists a row"
        if entries.ndim != 1 or entries.dtype != entry:
            return f"entries {entries.dtype} {entries.shape}, expected one-dimensional {entry}"
        if rows is not None and (rows.ndim != 1 or rows.dtype != np.int64):
            return f"rows {rows.dtype} {rows.shape}, expected one-dimensional int64"
        if not len(indptr) or indptr[0] != 0 or indptr[-1] != len(entries) or (np.diff(indptr) < 0).any():
            return f"offsets that do not divide {len(entries)} entries"
        if self.n_nodes != n_nodes:
            return f"{self.n_nodes} nodes, expected {n_nodes}"
        if rows is not None and len(rows) and not 0 <= rows.min() <= rows.max() < self.n_rows:
            return f"rows outside 0..{self.n_rows - 1}"
        if not _inside(indptr, entries, np.asarray(n_ends, dtype=np.int64)):
            return "neighbours outside the graph"
        return None


@dataclass(frozen=True)
class PathLists:
    """View of packed lists along one metapath, the one of index ``place``."""

    packed: PackedLists
    place: int

    @property
    def n_nodes(self) -> int:
        return self.packed.n_nodes

    @property
    def lengths(self) -> np.ndarray:
        """(n_nodes,) int64, neighbours of each node."""
        return np.diff(self.all().indptr) if self._with_self else self.bounds(np.arange(self.n_nodes))[1]

    def of(self, node: int) -> tuple[np.ndarray, np.ndarray]:
        """Ids (n,) int32 and weights (n,) float32 of one node's neighbours, best first, copied."""
        packed, paths = self.packed, len(self.packed.paths)
        row = node if packed.rows is None else packed.rows[node]
        start, stop = packed.indptr[row * paths + self.place : row * paths + self.place + 2]
        entries = packed.entries[start:stop]
        if self._with_self:
            entries = entries[entries["id"] != node][: packed.top_k]
        return np.ascontiguousarray(entries["id"]), np.ascontiguousarray(entries["weight"])

    def take(self, nodes: np.ndarray) -> Neighbours:
        """The lists of nodes (b,), in this order; reads these alone."""
        nodes = np.asarray(nodes)
        entries = self.packed.entries.view(np.ndarray)  # numba is slow to tell the type of numpy.memmap
        own = nodes if self._with_self else nodes[:0]
        return Neighbours(*_taken(entries, *self.bounds(nodes), own, self.packed.top_k))

    def all(self) -> Neighbours:
        """The lists of all nodes, copied."""
        return self.take(np.arange(self.n_nodes))

    @property
    def _with_self(self) -> bool:
        return self.packed.with_self[self.place]

    def bounds(self, nodes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """First entries and lengths of the stored lists of nodes (b,)."""
        rows = nodes if self.packed.rows is None else self.packed.rows[nodes]
        place = rows * len(self.packed.paths) + self.place
        starts = self.packed.indptr[place]
        return starts, self.packed.indptr[place + 1] - starts


NodeLists = Neighbours | PathLists
"""each node's neighbours along one metapath"""


def keeps_self(path: Metapath, exclude_own: bool) -> bool:
    """Whether stored lists hold the node itself, which is left out when they are read."""
    return exclude_own and path.start == path.end == "u"


def listed(ids: np.ndarray, scores: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    """Entries of the first ``lengths`` (n,) columns of each row of ids and scores, both (n, K)."""
    filled = np.arange(ids.shape[1]) < lengths[:, None]
    entries = np.empty(np.count_nonzero(filled), ENTRY)
    entries["id"], entries["weight"] = ids[filled], scores[filled]
    return entries


def rectangular(
    entries: np.ndarray, starts: np.ndarray, lengths: np.ndarray, width: int, nobody: int
) -> tuple[np.ndarray, np.ndarray]:
    """Stored lists (b,), at most ``width`` long, as ids (b, width) int64, padded with ``nobody``, and weights
    (b, width) float32, padded with 0.

    Args:
        entries: of :data:`ENTRY`.
        starts, lengths: (b,) as of :meth:`PathLists.bounds`.
    """
    ids = np.full((len(starts), width), nobody, dtype=np.int64)
    weights = np.zeros(ids.shape, dtype=np.float32)
    _lay_out(entries.view(np.ndarray), starts, lengths, ids, weights)
    return ids, weights


def pack(lists: Sequence[PackedLists]) -> PackedLists:
    """Puts lists along several metapaths, of the same nodes and rows, side by side."""
    counts = np.stack([np.diff(one.indptr) for one in lists], axis=1)
    indptr = np.concatenate([[0], np.cumsum(counts)])
    entries = np.empty(indptr[-1], lists[0].entries.dtype)
    for place, one in enumerate(lists):
        _spread(one.indptr, one.entries, indptr, place, len(lists), entries)
    return PackedLists(
        tuple(one.paths[0] for one in lists),
        indptr,
        entries,
        lists[0].rows,
        tuple(one.with_self[0] for one in lists),
        max(one.top_k for one in lists),
    )


@kernel()
def _spread(
    source: np.ndarray, entries: np.ndarray, indptr: np.ndarray, place: int, n_paths: int, packed: np.ndarray
) -> None:
    for row in range(len(source) - 1):
        start = indptr[row * n_paths + place]
        for entry in range(source[row], source[row + 1]):
            packed[start + entry - source[row]] = entries[entry]


@kernel()
def _taken(
    entries: np.ndarray, starts: np.ndarray, lengths: np.ndarray, own: np.ndarray, top_k: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Offsets, ids and weights of stored lists (b,), each without its node in ``own`` (b,), if that has any, and cut to
    ``top_k``: a stored list that does not hold its node has one entry more."""
    indptr = np.zeros(len(starts) + 1, np.int64)
    ids, weights = np.empty(lengths.sum(), np.int32), np.empty(lengths.sum(), np.float32)
    kept = 0
    for place in range(len(starts)):
        for entry in range(starts[place], starts[place] + lengths[place]):
            if len(own) and entries[entry].id == own[place]:
                continue
            if kept - indptr[place] == top_k:
                break
            ids[kept], weights[kept] = entries[entry].id, entries[entry].weight
            kept += 1
        indptr[place + 1] = kept
    return indptr, ids[:kept], weights[:kept]


@kernel()
def _lay_out(
    entries: np.ndarray, starts: np.ndarray, lengths: np.ndarray, ids: np.ndarray, weights: np.ndarray
) -> None:
    for row in range(len(starts)):
        for place in range(lengths[row]):
            entry = entries[starts[row] + place]
            ids[row, place], weights[row, place] = entry.id, entry.weight


@kernel()
def _inside(indptr: np.ndarray, entries: np.ndarray, n_ends: np.ndarray) -> bool:
    for row in range(len(indptr) - 1):
        for entry in range(indptr[row], indptr[row + 1]):
            if not 0 <= entries[entry].id < n_ends[row % len(n_ends)]:
                return False
    return True
