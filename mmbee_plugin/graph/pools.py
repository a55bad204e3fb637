"""Which neighbours one mean is taken over: those along a metapath, or the set of a side's (MMBee, eq. 10-12)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from mmbee_plugin.graph.metapaths import Metapath, Neighbours


@dataclass(frozen=True)
class Part:
    """The metapaths of a pool that lead to nodes of one type, which have a table of their own."""

    paths: tuple[Metapath, ...]

    @property
    def name(self) -> str:
        """Its metapaths, joined by +."""
        return _joined(self.paths)

    @property
    def end(self) -> str:
        """The type of the neighbours, u or a."""
        return self.paths[0].end


@dataclass(frozen=True)
class Pool:
    """Metapaths from one side over whose neighbours one mean is taken."""

    paths: tuple[Metapath, ...]

    @property
    def name(self) -> str:
        """Its metapaths, joined by +."""
        return _joined(self.paths)

    @property
    def start(self) -> str:
        """The type of the node whose neighbours they are, u or a."""
        return self.paths[0].start

    @property
    def parts(self) -> tuple[Part, ...]:
        """Its metapaths by the type of the neighbours: a user and an author are never the same node."""
        ends = dict.fromkeys(path.end for path in self.paths)
        return tuple(Part(tuple(path for path in self.paths if path.end == end)) for end in ends)

    def is_stored(self, weighted: bool) -> bool:
        """Whether its mean is the one that the offline stage takes: of one metapath, by the scores."""
        return weighted and len(self.paths) == 1

    def lists(self, read: Callable[[str], Neighbours], weighted: bool) -> list[Neighbours]:
        """A list for each of the parts, a neighbour once however many metapaths lead to it.

        Args:
            read: the lists of a metapath, by its name.
            weighted: by the scores, each metapath's made to sum to 1 and those of a neighbour added; else all alike.

        Returns:
            lists in which a node's weights over all parts sum to 1: those of a mean over the whole pool.
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
    """The pools of metapaths, the users' first: one a metapath (``concat``), or one a side (``set``).

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
    """Lists of the same nodes with float32 weights that sum to 1 over all parts of a node; an empty one stays so."""
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
    """One list a node of all that several have, each neighbour once with the sum of its weights, by ascending id."""
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
    """(n,) int64, the node whose neighbour each entry is."""
    return np.repeat(np.arange(lists.n_nodes, dtype=np.int64), np.diff(lists.indptr))


def _joined(paths: Sequence[Metapath]) -> str:
    return "+".join(path.name for path in paths)
