"""Draws GraphCL's pairs: metapath neighbours as positives and random nodes as negatives of a batch of nodes."""

from dataclasses import dataclass

import numpy as np

from mmbee_plugin.errors import InputError
from mmbee_plugin.graph.lists import NodeLists
from mmbee_plugin.kernels import kernel


@dataclass(frozen=True)
class PairBatch:
    """Positives and negatives of a batch of nodes.

    Shapes:
        - nodes: (n,) int64, the batch's nodes with a positive, in its order
        - positives: (n, P) int64
        - negatives: (M,) int64, shared by the batch
        - mask: (n, M) bool, False where a negative is the node itself or one of its drawn positives
    """

    nodes: np.ndarray
    positives: np.ndarray
    negatives: np.ndarray
    mask: np.ndarray


class PairSampler:
    """Draws positives from each node's neighbour list, with replacement, and negatives uniformly from all nodes.

    The whole batch shares its negatives, so that the scores are one matrix product; they differ from batch to batch.

    Args:
        neighbours: candidate positives of every node, such as its u2a2u or a2u2a neighbours; a batch's lists are read
            at a time, so they may be memory-mapped.
        n_nodes: number of nodes of the neighbours' type.
        seed: of the draws.
        positives: P, positives per node.
        negatives: M, negatives per batch.
        by_weight: draw positives in proportion to their weights; else uniformly.
        same_type: whether nodes and neighbours are of one type; a node is then no negative of its own.

    Raises:
        InputError: a count below 1.
    """

    def __init__(
        self,
        neighbours: NodeLists,
        n_nodes: int,
        seed: int,
        positives: int,
        negatives: int,
        by_weight: bool,
        *,
        same_type: bool,
    ) -> None:
        for name, count in (("positives", positives), ("negatives", negatives)):
            if count < 1:
                raise InputError(f"{name}: {count} is out of range, expected at least 1")
        self.neighbours = neighbours
        self.n_nodes = n_nodes
        self.positives = positives
        self.negatives = negatives
        self.by_weight = by_weight
        self.same_type = same_type
        self.random = np.random.default_rng(seed)

    def sample(self, nodes: np.ndarray) -> PairBatch:
        """Draws the pairs of node rows (b,); nodes without a neighbour are left out."""
        nodes = np.asarray(nodes, dtype=np.int64)
        lists = self.neighbours.take(nodes)
        rows = np.flatnonzero(np.diff(lists.indptr))
        nodes = nodes[rows]
        drawn = self.random.random((len(nodes), self.positives))
        positives = _positives(lists.indptr, lists.ids, lists.weights, rows, drawn, self.by_weight)
        negatives = self.random.integers(0, self.n_nodes, self.negatives)
        return PairBatch(nodes, positives, negatives, _mask(nodes, positives, negatives, self.same_type))


@kernel()
def _positives(
    indptr: np.ndarray,
    ids: np.ndarray,
    weights: np.ndarray,
    rows: np.ndarray,
    drawn: np.ndarray,
    by_weight: bool,
) -> np.ndarray:
    """(n, P) neighbours from the lists ``rows`` (n,), none empty, at uniform draws (n, P) from [0, 1) of a list's
    weight or of its length."""
    positives = np.empty(drawn.shape, np.int64)
    sums = np.empty(0)
    for node in range(len(rows)):
        first, degree = indptr[rows[node]], indptr[rows[node] + 1] - indptr[rows[node]]
        if by_weight:
            if degree > len(sums):
                sums = np.empty(2 * degree)
            total = 0.0
            for place in range(degree):
                total += weights[first + place]
                sums[place] = total
        for column in range(drawn.shape[1]):
            if by_weight:
                place = np.searchsorted(sums[:degree], drawn[node, column] * total, side="right")
            else:
                place = int(drawn[node, column] * degree)
            positives[node, column] = ids[first + min(place, degree - 1)]
    return positives


@kernel()
def _mask(nodes: np.ndarray, positives: np.ndarray, negatives: np.ndarray, same_type: bool) -> np.ndarray:
    """(n, M) bool as in :class:`PairBatch`."""
    mask = np.empty((len(nodes), len(negatives)), np.bool_)
    for row in range(len(nodes)):
        for column in range(len(negatives)):
            mask[row, column] = not same_type or negatives[column] != nodes[row]
        for positive in positives[row]:
            for column in range(len(negatives)):
                mask[row, column] &= negatives[column] != positive
    return mask
