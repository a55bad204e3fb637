"""Plain random walks over the training pairs: what a model without learning reaches."""

import numpy as np
from scipy.sparse import csr_matrix

from mmbee_plugin.graph.donations import donation_graph

WALKS = {"walk u-a-u-a": (1, 0.0), "walk u-a-u-a-u-a": (2, 0.0), "walk u-a-u-a-u-a, order": (2, 3.0)}
"""rounds item-user-item, and how much an item late in the file is favoured; 3 is the best whole strength on
validation (``order_artefact.py``)"""


class Walk:
    """Probability that a random walk from a user ends at an item.

    Args:
        users, items: (n,) rows of the training pairs, repeats counting once.
        n_users, n_items: how many there are.
    """

    def __init__(self, users: np.ndarray, items: np.ndarray, n_users: int, n_items: int) -> None:
        graph: csr_matrix = donation_graph(users, items, None, n_users, n_items)
        graph.data[:] = 1
        self.graph = graph
        self.forward = graph.multiply(1 / np.maximum(graph.sum(axis=1), 1)).tocsr()
        back = graph.T.multiply(1 / np.maximum(graph.T.sum(axis=1), 1)).tocsr()
        self.around = (back @ self.forward).toarray()

    def __call__(self, users: np.ndarray, rounds: int) -> np.ndarray:
        """(B, n_items) after one step to an item and ``rounds`` times item-user-item."""
        walk = self.forward[users].toarray()
        for _ in range(rounds):
            walk = walk @ self.around
        return walk


def favour(item_rows: np.ndarray, strength: float) -> np.ndarray:
    """(n_items,) factor exp(strength x row / items), which favours items late in the file; row -1 is padding."""
    return np.exp(strength * np.maximum(item_rows, 0) / len(item_rows))
