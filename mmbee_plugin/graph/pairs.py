"""Draws GraphCL's pairs: metapath neighbours as positives and random nodes as negatives of a batch of nodes."""

from dataclasses import dataclass

import numpy as np

from mmbee_plugin.errors import InputError
from mmbee_plugin.graph.lists import NodeLists


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
        positives: int = 4,
        negatives: int = 256,
        by_weight: bool = True,
        *,
        same_type: bool = True,
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
        degrees = np.diff(lists.indptr)
        nodes, degrees = nodes[degrees > 0], degrees[degrees > 0]
        first = np.cumsum(degrees) - degrees
        drawn = self.random.random((len(nodes), self.positives))
        place = (
            self._weighted(lists.weights, first, degrees, drawn)
            if self.by_weight
            else drawn * degrees[:, None]
        )
        place = first[:, None] + np.minimum(place.astype(np.int64), degrees[:, None] - 1)
        positives = lists.ids[place].astype(np.int64)
        negatives = self.random.integers(0, self.n_nodes, self.negatives)
        mask = np.ones((len(nodes), self.negatives), dtype=bool)
        for column in positives.T:
            mask &= column[:, None] != negatives
        if self.same_type:
            mask &= nodes[:, None] != negatives
        return PairBatch(nodes, positives, negatives, mask)

    @staticmethod
    def _weighted(
        weights: np.ndarray, first: np.ndarray, degrees: np.ndarray, drawn: np.ndarray
    ) -> np.ndarray:
        """(n, P) positions in the lists, by weight, of uniform draws from [0, 1)."""
        row = np.repeat(np.arange(len(degrees)), degrees)
        total = np.concatenate([[0.0], np.cumsum(weights, dtype=np.float64)])
        base, end = total[first], total[first + degrees]
        # Row r's cumulative weights are scaled into [r, r + 1], so that one search serves all rows.
        chances = (total[1:] - base[row]) / (end - base)[row] + row
        wanted = np.arange(len(degrees))[:, None] + drawn
        return np.searchsorted(chances, wanted, side="right") - first[:, None]
