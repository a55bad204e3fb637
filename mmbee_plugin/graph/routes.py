"""How the lists along a metapath are made: the best entries of the rows of a product of one to three graphs.

Any block of rows can be made alone; its bits are those of the whole.
"""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from scipy.sparse import csr_matrix

from mmbee_plugin.graph.lists import keeps_self, listed
from mmbee_plugin.graph.metapaths import Metapath
from mmbee_plugin.graph.plan import CACHED, COSTS
from mmbee_plugin.graph.product import best_of_product, is_heavy
from mmbee_plugin.graph.pruned import worth_pruning
from mmbee_plugin.graph.stored import best_of_rows, csr, narrow, row_work, rows_at, rows_between, sums_along

# Multiply-adds per stored part of the product of two steps; each yields at most one entry of 12 bytes.
_CHUNK = 50_000_000
# Multiply-adds of a product of two steps that is stored whole, in 12 GB at most. Beyond, each row walks three steps, 14
# times as long at 1e6 gifts.
_STORED = 1_000_000_000


@dataclass(frozen=True)
class Route:
    """The product whose rows hold a metapath's scores.

    Attributes:
        path: the metapath.
        steps: its normalised graphs in float64 with sorted columns; the product of several stands for them.
        starts: (n_rows,) int64, the node of each row of lists; None where all nodes have their own.
        own: U2A by the path's type of start nodes, whose pairs are left out; None leaves none out.
        exclude_own: as in :func:`~mmbee_plugin.graph.expansion.expand`.
        ranked: the last step's entries by falling value, if they are there; see ``product.best_of_product``.
    """

    path: Metapath
    steps: tuple[csr_matrix, ...]
    starts: np.ndarray | None
    own: csr_matrix | None
    exclude_own: bool
    ranked: tuple[np.ndarray, np.ndarray] | None = None

    @property
    def n_rows(self) -> int:
        return self.steps[0].shape[0] if self.starts is None else len(self.starts)

    @property
    def with_self(self) -> bool:
        """Whether stored lists hold the node itself."""
        return keeps_self(self.path, self.exclude_own)

    def best(self, top_k: int, start: int = 0, stop: int | None = None) -> tuple[np.ndarray, np.ndarray]:
        """Offsets, from 0, and entries of the lists in the rows from ``start`` up to ``stop``."""
        stop = self.n_rows if stop is None else stop
        top_k += self.with_self
        first, own = self._rows(self.steps[0], start, stop), self._own(start, stop)
        if len(self.steps) == 1:
            ids, scores, found = best_of_rows(first, own, top_k)
            return np.concatenate([[0], np.cumsum(found)]), listed(ids, scores, found)
        entries, counts = [], []
        second = narrow(self.steps[1]) if len(self.steps) == 3 else None
        for low, high in self._chunks(first):
            left = rows_between(first, low, high)
            if second is not None:
                left = narrow(left) @ second
            excluded = rows_between(own, low, high)
            ids, scores, found = best_of_product(left, self.steps[-1], excluded, top_k, self.ranked)
            entries.append(listed(ids, scores, found))
            counts.append(found)
        return np.concatenate([[0], np.cumsum(np.concatenate(counts))]), np.concatenate(entries)

    def work(self) -> np.ndarray:
        """(n_rows,) int64, multiply-adds of each row."""
        first, *others = self.steps
        if not others:
            work = np.diff(first.indptr).astype(np.int64)
        elif len(others) == 1:
            work = row_work(first, others[0])
        else:
            work = row_work(first, others[0]) + sums_along(first, row_work(*others))
        return work if self.starts is None else work[self.starts]

    def ranks(self, top_k: int) -> bool:
        """Whether rows of the whole product are pruned, for which the last step's entries are ranked."""
        if len(self.steps) != 2:
            return False
        degrees = np.diff(self.steps[0].indptr)
        degrees = degrees if self.starts is None else degrees[self.starts]
        top_k = min(top_k + self.with_self, self.steps[-1].shape[1])
        return bool(worth_pruning(self.work(), degrees, top_k, self.steps[-1].nnz).any())

    def seconds(self, top_k: int) -> np.ndarray:
        """(n_rows,) predicted processor seconds of each row."""
        work, columns = self.work(), self.steps[-1].shape[1]
        light = COSTS["light" if columns <= CACHED else "far"] * work
        heavy = COSTS["heavy"] * work + COSTS["scan"] * columns
        summed = np.where(is_heavy(work, columns), heavy, light) if len(self.steps) > 1 else 0.0
        return 1e-9 * (summed + COSTS["entry"] * np.minimum(work, top_k))

    def _rows(self, graph: csr_matrix, start: int, stop: int) -> csr_matrix:
        if self.starts is None:
            return rows_between(graph, start, stop)
        return rows_at(graph, self.starts[start:stop])

    def _own(self, start: int, stop: int) -> csr_matrix:
        """(stop - start, n_ends) entries to leave out."""
        path, count = self.path, stop - start
        if self.exclude_own and path.start == path.end == "a":
            nodes = np.arange(start, stop) if self.starts is None else self.starts[start:stop]
            each = nodes.astype(np.int32)
            return csr(np.arange(count + 1), each, np.ones(count, np.float32), self.steps[-1].shape[1])
        if self.own is not None:
            return self._rows(self.own, start, stop)
        return csr_matrix((count, self.steps[-1].shape[1]))

    def _chunks(self, first: csr_matrix) -> list[tuple[int, int]]:
        """Rows of ``first`` whose product with the second of three steps is stored at a time."""
        if len(self.steps) == 2:
            return [(0, first.shape[0])]
        chunk_of = np.cumsum(row_work(first, self.steps[1])) // _CHUNK
        return list(pairwise([0, *(np.flatnonzero(np.diff(chunk_of)) + 1), len(chunk_of)]))


def leaves_gifts_out(path: Metapath, exclude_own: bool) -> bool:
    """Whether the pairs of U2A are left out: on paths of several hops between users and authors."""
    return exclude_own and path.start != path.end and path.hops > 1


def joins(steps: list[csr_matrix]) -> bool:
    """Whether the product of the last two of three steps is stored, which decides how sums are rounded."""
    return row_work(*steps[1:]).sum() <= min(row_work(*steps[:2]).sum(), _STORED)
