"""Drift between two days or two versions of a model: the population stability index of scores, and norms of tables."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

BINS = 10
CHUNK = 65_536
"""rows of a table read at once"""


class Stability(NamedTuple):
    """Population stability index with the shares that it compares.

    Attributes:
        psi: sum over the bins of (after - before) ln(after / before).
        edges: (b - 1,) float64 inner edges of the bins; a score on an edge is in the bin above.
        before, after: (b,) float64 shares of the rows.
    """

    psi: float
    edges: NDArray[np.float64]
    before: NDArray[np.float64]
    after: NDArray[np.float64]


def stability(
    before: NDArray,
    after: NDArray,
    weights_before: NDArray | None = None,
    weights_after: NDArray | None = None,
    bins: int = BINS,
) -> Stability:
    """Population stability index (PSI) of scores, in bins of equal weight of those before.

    By custom, below 0.1 is no shift, and above 0.25 a large one. Without any shift it is about
    ``(bins - 1) (1 / n + 1 / m)`` for n and m independent rows. An empty bin counts as half a row, or the index would
    be infinite.

    Args:
        before: (n,) scores. after: (m,) scores.
        weights_before, weights_after: rows of the log that each stands for; 1 each by default.
        bins: fewer where scores are equal.

    Raises:
        ValueError: no scores, or scores that are not finite.

    Example:
        >>> same = np.arange(100.0)
        >>> stability(same, same, bins=4).psi
        0.0
        >>> round(stability(same, same + 25, bins=4).psi, 3)  # the lowest quarter is gone, the highest is half
        1.13
    """
    sides = []
    for scores, weights in ((before, weights_before), (after, weights_after)):
        scores = np.asarray(scores, dtype=np.float64)
        if not len(scores) or not np.isfinite(scores).all():
            raise ValueError(f"{len(scores)} scores, of which not all are finite")
        sides.append((scores, np.ones(len(scores)) if weights is None else np.asarray(weights, np.float64)))
    edges = _inner_edges(*sides[0], bins)
    shares = []
    for scores, weights in sides:
        counts = np.bincount(np.searchsorted(edges, scores, side="right"), weights, minlength=len(edges) + 1)
        shares.append(_shares(counts, weights.mean()))
    first, second = shares
    return Stability(float(_psi(first, second)), edges, first, second)


def least_without_one(
    before: NDArray[np.float64],
    after: NDArray[np.float64],
    weight_before: float = 1.0,
    weight_after: float = 1.0,
) -> float:
    """Least PSI without the rows of one group, such as an author, on both sides: a shift that no group makes alone.

    Args:
        before, after: (g, b) weight of each group's rows in each bin.
        weight_before, weight_after: mean weight of a row, of which an empty bin counts as half.

    Example:
        >>> before = np.array([[5.0, 5], [5, 5], [0, 0]])
        >>> after = np.array([[5.0, 5], [5, 5], [90, 0]])  # of one group, and of all
        >>> least_without_one(before, after), least_without_one(before, before * [1, 3]) > 0.2
        (0.0, True)
    """
    sides = [side.sum(axis=0) - side for side in (before, after)]
    there = np.all([side.sum(axis=1) > 0 for side in sides], axis=0)
    shares = map(_shares, (side[there] for side in sides), (weight_before, weight_after))
    return float(_psi(*shares).min(initial=np.inf))


def mean_norm(table: NDArray, most: int = 1 << 20) -> float:
    """Root mean square of the rows' norms, of at most about ``most`` rows at equal distances.

    Args:
        table: (n, ...) floats, may be memory-mapped; a row is everything but the first axis.
    """
    rows = table[:: max(1, len(table) // most)]
    total = 0.0
    for start in range(0, len(rows), CHUNK):
        part = np.asarray(rows[start : start + CHUNK], dtype=np.float64)
        total += float((part**2).sum())
    return float(np.sqrt(total / max(1, len(rows))))


def relative_drift(before: float, after: float) -> float:
    """Change of a norm relative to the one before: 0.1 is a growth by a tenth; infinite from zero."""
    if before == 0:
        return 0.0 if after == 0 else float("inf")
    return after / before - 1


def _inner_edges(scores: NDArray[np.float64], weights: NDArray[np.float64], bins: int) -> NDArray[np.float64]:
    order = np.argsort(scores, kind="stable")
    mass = np.cumsum(weights[order])
    wanted = mass[-1] * np.arange(1, bins) / bins
    # The first score that lies wholly above each share of the mass opens the next bin.
    place = np.minimum(np.searchsorted(mass, wanted, side="right"), len(scores) - 1)
    edges = np.unique(scores[order][place])
    return edges[edges > scores[order][0]]


def _shares(weights: NDArray, row: float) -> NDArray[np.float64]:
    """Shares of weights (..., b), in which an empty bin counts as half a row of the weight ``row``."""
    counts = np.maximum(weights, 0.5 * row)
    return counts / counts.sum(axis=-1, keepdims=True)


def _psi(before: NDArray[np.float64], after: NDArray[np.float64]) -> NDArray[np.float64]:
    """PSI of shares (..., b)."""
    return ((after - before) * np.log(after / before)).sum(axis=-1)
