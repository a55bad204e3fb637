"""Stores that answer for a node's neighbours along a metapath: by reading its list, or by walking the graphs.

Both read packed rows of nodes, from files or from a key-value store (:mod:`mmbee_plugin.serving.store.rows`), and both
give the same lists to the last bit.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

import numpy as np

from mmbee_plugin.data.ragged import ragged
from mmbee_plugin.graph.best import keep_best
from mmbee_plugin.graph.lists import PackedLists, keeps_self
from mmbee_plugin.graph.metapaths import Metapath
from mmbee_plugin.graph.settings import GraphSettings
from mmbee_plugin.graph.topology import GIVEN, Topology
from mmbee_plugin.kernels import kernel

Listed = tuple[np.ndarray, np.ndarray]
"""ids (n,) int32 and weights (n,) float32 of a node's neighbours, best first"""
Rows = tuple[np.ndarray, np.ndarray, np.ndarray]
"""starts (b,) and stops (b,) int64 of the rows of nodes in entries, which have an ``id`` and a ``weight``"""


class RowStore(Protocol):
    """Packed rows of nodes."""

    def take(self, name: str, nodes: np.ndarray) -> Rows:
        """The rows of nodes (b,), which may repeat, along the step or metapath of this name."""
        ...


class NeighbourStore(Protocol):
    """Neighbours of nodes."""

    def neighbours(self, node: int, metapath: str) -> Listed:
        """The best neighbours of a node, a file row, along a metapath."""
        ...


class MappedRows:
    """Rows in memory-mapped files.

    Args:
        packed: of the users and of the authors.
    """

    def __init__(self, packed: Sequence[PackedLists]) -> None:
        self._along = {name: one.along(name) for one in packed for name in one.paths}
        # numba is slow to tell the type of numpy.memmap
        self._entries = {name: one.entries.view(np.ndarray) for one in packed for name in one.paths}

    def take(self, name: str, nodes: np.ndarray) -> Rows:
        starts, lengths = self._along[name].bounds(nodes)
        return starts, starts + lengths, self._entries[name]


class StoredNeighbours:
    """Reads stored lists.

    Args:
        rows: the lists of both sides, as packed.
        settings: of the lists.
    """

    def __init__(self, rows: RowStore, settings: GraphSettings) -> None:
        self.rows, self.settings = rows, settings

    def neighbours(self, node: int, metapath: str) -> Listed:
        (start,), (stop,), entries = self.rows.take(metapath, np.array([node]))
        found = entries[start:stop]
        if keeps_self(Metapath.parse(metapath), self.settings.exclude_own):
            found = found[found["id"] != node]
        found = found[: self.settings.top_k]
        return np.ascontiguousarray(found["id"]), np.ascontiguousarray(found["weight"])


class WalkedNeighbours:
    """Walks the graphs, in the order of additions in which lists are made. Not for several threads at once.

    Args:
        rows: the steps of both sides, as packed.
        settings: of the lists.
        counts: number of users (``u``) and authors (``a``).
        joined: metapaths whose last two steps are multiplied first.
    """

    def __init__(
        self, rows: RowStore, settings: GraphSettings, counts: Mapping[str, int], joined: Sequence[str]
    ) -> None:
        self.rows, self.settings, self.joined = rows, settings, frozenset(joined)
        most = max(counts.values())
        self._sums, self._inner = np.zeros(most), np.zeros(most)
        self._met, self._inner_met = np.empty(most, np.int32), np.empty(most, np.int32)
        self._best = np.empty(settings.top_k, np.int32), np.empty(settings.top_k, np.float32)

    @classmethod
    def of(cls, topology: Topology) -> WalkedNeighbours:
        """Walks mapped files."""
        rows = MappedRows([topology.users, topology.authors])
        return cls(rows, topology.settings, topology.counts, topology.joined)

    def neighbours(self, node: int, metapath: str) -> Listed:
        path = Metapath.parse(metapath)
        start, stop, entries = self.rows.take(path.steps[0], np.array([node]))
        ids, weights = entries["id"][start[0] : stop[0]], entries["weight"][start[0] : stop[0]]
        if path.name in self.joined:
            ids, weights = self._through_joined(path, ids, weights)
        else:
            for step in path.steps[1:]:
                ids, weights = self._through(step, ids, weights)
        if self.settings.exclude_own:
            kept = self._allowed(path, node, ids)
            ids, weights = ids[kept], weights[kept]
        scores = weights.astype(np.float32)
        count = keep_best(np.ascontiguousarray(ids), scores, len(ids), *self._best)
        return self._best[0][:count].copy(), self._best[1][:count].copy()

    def _through(self, step: str, ids: np.ndarray, weights: np.ndarray) -> Listed:
        rows = self.rows.take(step, ids)
        return _stepped(np.ascontiguousarray(weights), *rows, self._sums, self._met)

    def _through_joined(self, path: Metapath, ids: np.ndarray, weights: np.ndarray) -> Listed:
        starts, stops, entries = self.rows.take(path.steps[1], ids)
        middle = entries[ragged(starts, stops)[1]]  # of all rows, one after the other
        last = self.rows.take(path.steps[2], middle["id"])
        scratch = self._inner, self._inner_met, self._sums, self._met
        return _stepped_twice(np.ascontiguousarray(weights), stops - starts, middle, *last, *scratch)

    def _allowed(self, path: Metapath, node: int, ids: np.ndarray) -> np.ndarray:
        """(n,) bool, whether ends are listed: not the node itself, nor ends of its gifts."""
        if path.start == path.end:
            return ids != node
        if path.hops == 1:
            return np.ones(len(ids), dtype=bool)
        capped = self.settings.walk_max_users is not None
        own = "u2a" if path.start == "u" else GIVEN if capped else "a2u"
        (start,), (stop,), entries = self.rows.take(own, np.array([node]))
        return ~np.isin(ids, entries["id"][start:stop])


@kernel()
def _stepped(
    weights: np.ndarray,
    starts: np.ndarray,
    stops: np.ndarray,
    entries: np.ndarray,
    sums: np.ndarray,
    met: np.ndarray,
) -> tuple[np.ndarray, np.ndarray]:
    """Ends of a step and their sums, the one met last first, as SciPy's product orders them."""
    count = 0
    for place in range(len(weights)):
        for entry in range(starts[place], stops[place]):
            end = entries[entry].id
            if sums[end] == 0:
                met[count] = end
                count += 1
            sums[end] += weights[place] * entries[entry].weight
    return _taken(sums, met, count)


@kernel()
def _stepped_twice(
    weights: np.ndarray,
    lengths: np.ndarray,
    middle: np.ndarray,
    starts: np.ndarray,
    stops: np.ndarray,
    entries: np.ndarray,
    inner: np.ndarray,
    inner_met: np.ndarray,
    sums: np.ndarray,
    met: np.ndarray,
) -> tuple[np.ndarray, np.ndarray]:
    """Ends of two steps whose product is made first: its row of each start, then their sum by ``weights``.

    ``middle`` has the edges of the first of them, ``lengths`` of each start one after the other.
    """
    count, edge = 0, 0
    for place in range(len(weights)):
        inner_count = 0
        for _ in range(lengths[place]):
            for entry in range(starts[edge], stops[edge]):
                end = entries[entry].id
                if inner[end] == 0:
                    inner_met[inner_count] = end
                    inner_count += 1
                inner[end] += middle[edge].weight * entries[entry].weight
            edge += 1
        for index in range(inner_count):
            end = inner_met[index]
            if sums[end] == 0:
                met[count] = end
                count += 1
            sums[end] += weights[place] * inner[end]
            inner[end] = 0
    return _taken(sums, met, count)


@kernel()
def _taken(sums: np.ndarray, met: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Ends met and their sums, the last first; ``sums`` is zero again."""
    ids, found = np.empty(count, np.int32), np.empty(count)
    for index in range(count):
        ids[count - 1 - index] = met[index]
        found[count - 1 - index] = sums[met[index]]
        sums[met[index]] = 0
    return ids, found
