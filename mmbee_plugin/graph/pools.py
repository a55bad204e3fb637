"""Pools: the neighbours averaged together, of one metapath or of all of a side (MMBee, eq. 10-12)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from mmbee_plugin.graph.metapaths import Metapath, Neighbours


@dataclass(frozen=True)
class Part:
    """The metapaths of a pool that end at one type of node, and so read one table."""

    paths: tuple[Metapath, ...]

    @property
    def name(self) -> str:
        """Its metapaths, joined by +."""
        return _joined(self.paths)

    @property
    def end(self) -> str:
        """Type of the neighbours, u or a."""
        return self.paths[0].end


@dataclass(frozen=True)
class Pool:
    """Metapaths from one side whose neighbours are averaged together."""

    paths: tuple[Metapath, ...]

    @property
    def name(self) -> str:
        """Its metapaths, joined by +."""
        return _joined(self.paths)

    @property
    def start(self) -> str:
        """Type of the start nodes, u or a."""
        return self.paths[0].start

    @property
    def parts(self) -> tuple[Part, ...]:
        """Its metapaths grouped by the type of their end nodes."""
        ends = dict.fromkeys(path.end for path in self.paths)
        return tuple(Part(tuple(path for path in self.paths if path.end == end)) for end in ends)

    def is_stored(self, weighted: bool) -> bool:
        """Whether the offline stage stores its mean: that of a single metapath, weighted by the scores."""
        return weighted and len(self.paths) == 1

    def lists(self, read: Callable[[str], Neighbours], weighted: bool) -> list[Neighbours]:
        """Neighbour lists of each part, without duplicates; a node's weights sum to 1 over all parts.

        Args:
            read: the lists of a metapath, by its name.
            weighted: weights are the scores, normalised per metapath and summed for a neighbour of several; else equal.
        """
        found = []
        for part in self.parts:
            lists = [read(path.name) for path in part.paths]
            if weighted and len(self.paths) > 1:
                lists = [normalised([one])[0] for one in lists]
            united = _united(lists) if len(lists) > 1 else lists[0]
            found.append(united if weighted else replace(united, weights=np.ones(len(united.ids))))
        return normalised(found)


def pools_of(paths: Sequence[Metapath], pooling: str) -> tuple[Pool, ...]:
    """Pools of metapaths, the users' first: one per metapath (``concat``) or one per side (``set``).

    Example:
        >>> paths = [Metapath.parse(name) for name in ("u2a2u", "u2a2a", "a2a")]
        >>> [pool.name for pool in pools_of(paths, "set")]
        ['u2a2u+u2a2a', 'a2a']
    """
    sides = {start: tuple(path for path in paths if path.start == start) for start in "ua"}
    if pooling == "set":
        return tuple(Pool(side) for side in sides.values() if side)
    return tuple(Pool((path,)) for side in sides.values() for path in side)


def normalised(parts: Sequence[Neighbours]) -> list[Neighbours]:
    """Scales the weights of each node to sum to 1 over all parts; float32. Empty lists stay empty."""
    rows = [_rows(part) for part in parts]
    total = np.zeros(parts[0].n_nodes)
    for row, part in zip(rows, parts, strict=True):
        total += np.bincount(row, weights=part.weights, minlength=len(total))
    total[total == 0] = 1
    return [
        replace(part, weights=(part.weights / total[row]).astype(np.float32))
        for row, part in zip(rows, parts, strict=True)
    ]


def _united(lists: Sequence[Neighbours]) -> Neighbours:
    """Union of several lists of each node: each neighbour once with the sum of its weights, by ascending id."""
    row, ids, weights = (
        np.concatenate(columns)
        for columns in zip(*((_rows(one), one.ids, one.weights) for one in lists), strict=True)
    )
    span = int(ids.max(initial=0)) + 1
    pairs, place = np.unique(row * span + ids, return_inverse=True)
    counts = np.bincount(pairs // span, minlength=lists[0].n_nodes)
    indptr = np.concatenate([[0], np.cumsum(counts)])
    summed = np.bincount(place, weights=weights, minlength=len(pairs))
    return Neighbours(indptr, (pairs % span).astype(ids.dtype), summed)


def _rows(lists: Neighbours) -> np.ndarray:
    """(n,) int64, node of each entry."""
    return np.repeat(np.arange(lists.n_nodes, dtype=np.int64), np.diff(lists.indptr))


def _joined(paths: Sequence[Metapath]) -> str:
    return "+".join(path.name for path in paths)
