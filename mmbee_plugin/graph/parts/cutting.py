"""Cuts rows into blocks of about equal predicted work."""

import numpy as np


def cut(seconds: np.ndarray, n_blocks: int) -> np.ndarray:
    """(n_blocks + 1,) int64 edges of blocks of consecutive rows, given each row's predicted seconds (n,).

    Example:
        >>> cut(np.array([4.0, 1.0, 1.0, 1.0, 1.0]), 2).tolist()
        [0, 1, 5]
    """
    before = np.concatenate([[0.0], np.cumsum(seconds)])
    if before[-1] <= 0:
        before = np.arange(len(before), dtype=np.float64)
    shares = np.arange(n_blocks + 1) * (before[-1] / n_blocks)
    edges = np.searchsorted(before, shares)
    # The nearer of the two edges beside each share.
    lower = np.maximum(edges - 1, 0)
    upper = np.minimum(edges, len(seconds))
    edges = np.where(shares - before[lower] < before[upper] - shares, lower, upper)
    edges[0], edges[-1] = 0, len(seconds)
    return np.maximum.accumulate(edges).astype(np.int64)
