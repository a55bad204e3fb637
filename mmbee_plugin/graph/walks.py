"""Random walks on the graphs: scores without learned parameters."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from mmbee_plugin.graph.metapaths import Metapath, step_graphs


class Walk:
    """Probabilities that a random walk along a metapath ends at each node.

    Unlike the lists of :func:`~mmbee_plugin.graph.expansion.expand` they cover all nodes, and the path may have more
    than three steps.

    Args:
        path: the metapath.
        u2a: (n_users, n_authors) weighted donation graph.
        a2a: (n_authors, n_authors) similarity graph; may be ``None`` for a path without a2a steps.

    Raises:
        InputError: an a2a step without A2A, or graphs that do not fit each other.
    """

    def __init__(self, path: Metapath, u2a: csr_matrix, a2a: csr_matrix | None = None) -> None:
        self.first, *later = step_graphs(path, u2a, a2a, "row")
        self.later = [step.T.tocsr() for step in later]

    def __call__(self, starts: NDArray[np.int64]) -> NDArray[np.float64]:
        """(B, n_ends) end probabilities from the nodes ``starts`` (B,); all zero for a node without edges."""
        ends = self.first[starts].toarray().T
        for step in self.later:
            ends = step @ ends
        return ends.T
