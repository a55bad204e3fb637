"""GraphCL's pairs: for a batch of nodes, metapath neighbours to pull near and random nodes to push away."""

from dataclasses import dataclass

import numpy as np

from mmbee_plugin.errors import InputError
from mmbee_plugin.graph.metapaths import Neighbours


@dataclass(frozen=True)
class PairBatch:
    """Shapes:
    - nodes: (n,) int64, the batch's nodes that have a positive, in the order they came
    - positives: (n, P) int64
    - negatives: (M,) int64, shared by the batch
    - mask: (n, M) bool, False where a negative is the node itself or one of its positives here
    """

    nodes: np.ndarray
    positives: np.ndarray
    negatives: np.ndarray
    mask: np.ndarray


class PairSampler:
    """Draws positives from the nodes' neighbour lists, with replacement, and negatives from all nodes of
    their type.

    Negatives are uniform and one draw serves the whole batch: the scores are then one matrix product, and
    each node still meets other ones in every epoch.

    Args:
        neighbours: the positives of every node, such as its u2a2u or a2u2a neighbours.
        n_nodes: nodes of the type that the neighbours are of.
        seed: of the draws.
        positives: P, draws a node.
        negatives: M, draws a batch.
        by_weight: draw positives by their weights; else evenly.
        same_type: the nodes and their neighbours are of one type, so a node must not be its own negative.

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
        if by_weight:
            # Running totals inside each row's stretch of [row, row + 1): one search serves rows of every
            # scale.
            degrees = np.diff(neighbours.indptr)
            total = np.concatenate([[0.0], np.cumsum(neighbours.weights, dtype=np.float64)])
            base, end = total[neighbours.indptr[:-1]], total[neighbours.indptr[1:]]
            with np.errstate(invalid="ignore", divide="ignore"):
                self._chances = (total[1:] - np.repeat(base, degrees)) / np.repeat(end - base, degrees)
            self._chances += np.repeat(np.arange(len(degrees)), degrees)

    def sample(self, nodes: np.ndarray) -> PairBatch:
        """Pairs for a batch of node rows (b,); those without a neighbour are left out."""
        degrees = np.diff(self.neighbours.indptr)
        nodes = np.asarray(nodes, dtype=np.int64)
        nodes = nodes[degrees[nodes] > 0]
        drawn = self.random.random((len(nodes), self.positives))
        first, degree = self.neighbours.indptr[nodes][:, None], degrees[nodes][:, None]
        if self.by_weight:
            place = np.searchsorted(self._chances, nodes[:, None] + drawn, side="right")
        else:
            place = first + (drawn * degree).astype(np.int64)
        place = np.clip(place, first, first + degree - 1)
        positives = self.neighbours.ids[place].astype(np.int64)
        negatives = self.random.integers(0, self.n_nodes, self.negatives)
        mask = np.ones((len(nodes), self.negatives), dtype=bool)
        for column in positives.T:
            mask &= column[:, None] != negatives
        if self.same_type:
            mask &= nodes[:, None] != negatives
        return PairBatch(nodes, positives, negatives, mask)
