"""Plain random walks: what the graphs say by themselves, without anything learnt."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from mmbee_plugin.graph.metapaths import Metapath, step_graphs


class Walk:
    """How likely a random walk along a metapath ends at each node, wherever that is.

    Unlike the lists of :func:`~mmbee_plugin.graph.metapaths.expand` nothing is cut and nothing left out, and the walk
    may be longer than three steps.

    Args:
        path: which steps to follow.
        u2a: (n_users, n_authors) weighted donation graph.
        a2a: (n_authors, n_authors) similarity graph; may be ``None`` where the path has no a2a step.

    Raises:
        InputError: an a2a step without its graph, or graphs that do not fit each other.
    """

    def __init__(self, path: Metapath, u2a: csr_matrix, a2a: csr_matrix | None = None) -> None:
        self.first, *later = step_graphs(path, u2a, a2a, "row")
        self.later = [step.T.tocsr() for step in later]

    def __call__(self, starts: NDArray[np.int64]) -> NDArray[np.float64]:
        """(B, n_ends) of walks from the nodes ``starts`` (B,); a node without an edge ends nowhere."""
        ends = self.first[starts].toarray().T
        for step in self.later:
            ends = step @ ends
        return ends.T
