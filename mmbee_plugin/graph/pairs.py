"""Draws GraphCL's pairs: metapath neighbours as positives and random nodes as negatives of a batch of nodes."""

from dataclasses import dataclass

import numpy as np

from mmbee_plugin.errors import InputError
from mmbee_plugin.graph.metapaths import Neighbours


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
        neighbours: candidate positives of every node, such as its u2a2u or a2u2a neighbours.
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
        neighbours: Neighbours,
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
        """Draws the pairs of node rows (b,); nodes without a neighbour are left out.

        Reads the lists of these nodes only, so the neighbours may be memory-mapped.
        """
        nodes = np.asarray(nodes, dtype=np.int64)
        first = self.neighbours.indptr[nodes]
        degrees = self.neighbours.indptr[nodes + 1] - first
        nodes, first, degrees = (column[degrees > 0] for column in (nodes, first, degrees))
        drawn = self.random.random((len(nodes), self.positives))
        draw = self._weighted if self.by_weight else self._even
        place = draw(first, degrees, drawn)
        place = first[:, None] + np.minimum(place, degrees[:, None] - 1)
        positives = self.neighbours.ids[place].astype(np.int64)
        negatives = self.random.integers(0, self.n_nodes, self.negatives)
        mask = np.ones((len(nodes), self.negatives), dtype=bool)
        for column in positives.T:
            mask &= column[:, None] != negatives
        if self.same_type:
            mask &= nodes[:, None] != negatives
        return PairBatch(nodes, positives, negatives, mask)

    def _weighted(self, first: np.ndarray, degrees: np.ndarray, drawn: np.ndarray) -> np.ndarray:
        """(n, P) positions in the nodes' lists, by weight, of uniform draws from [0, 1)."""
        start = np.cumsum(degrees) - degrees
        row = np.repeat(np.arange(len(degrees)), degrees)
        entry = np.arange(len(row)) + (first - start)[row]
        total = np.concatenate([[0.0], np.cumsum(self.neighbours.weights[entry], dtype=np.float64)])
        base, end = total[start], total[start + degrees]
        # Row r's cumulative weights are scaled into [r, r + 1], so that one search serves all rows.
        chances = (total[1:] - base[row]) / (end - base)[row] + row
        wanted = np.arange(len(degrees))[:, None] + drawn
        return np.searchsorted(chances, wanted, side="right") - start[:, None]

    def _even(self, first: np.ndarray, degrees: np.ndarray, drawn: np.ndarray) -> np.ndarray:
        """(n, P) positions in the nodes' lists, uniform, of draws from [0, 1)."""
        return (drawn * degrees[:, None]).astype(np.int64)
