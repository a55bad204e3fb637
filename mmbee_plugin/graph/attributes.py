"""Mean attributes: what a node's neighbours have in common, as content features or other columns of theirs."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from mmbee_plugin.graph.metapaths import Neighbours

# Feature columns converted to float32 at a time, so that a wide float16 file never stands in memory whole.
_COLUMNS = 256


@dataclass(frozen=True)
class Attributes:
    """Columns of all authors or all users, of mean 0 and deviation 1 over those that have them.

    Shapes:
        - values: (n, D) float16 or float32, may be memory-mapped; absent rows are never read into a mean
        - present: (n,) bool
        - end: whose they are, ``a`` or ``u``
    """

    values: np.ndarray
    present: np.ndarray
    end: str = "a"

    def filled(self) -> np.ndarray:
        """(n, D) float32, zero where absent."""
        return np.where(self.present[:, None], self.values, 0).astype(np.float32)


@dataclass(frozen=True)
class MeanAttributes:
    """Weighted means over neighbours.

    Shapes:
        - values: (n_nodes, D) float32, zero where no neighbour has the feature
        - fraction: (n_nodes,) float32, the part of the neighbours' weight that has it, 0 to 1
    """

    values: np.ndarray
    fraction: np.ndarray


def mean_attributes(neighbours: Neighbours, attributes: Attributes) -> MeanAttributes:
    r"""The mean feature of each node's neighbours that have one, by the neighbours' weights.

    For a linear projection W of features that are zero where absent,
    :math:`\mathrm{mean}(\theta + W x) = \mathrm{mean}(\theta) + \mathrm{fraction} \cdot
    W\,\mathrm{values}`, so a model gets the projected mean of K neighbours for the price of one row.

    Example:
        >>> lists = Neighbours(np.array([0, 2, 3]), np.array([0, 1, 1]), np.array([0.6, 0.4, 1.0]))
        >>> mean_attributes(lists, Attributes(np.array([[3.0], [0.0]]), np.array([True, False])))
        MeanAttributes(values=array([[3.],
               [0.]], dtype=float32), fraction=array([0.6, 0. ], dtype=float32))
    """
    present = np.asarray(attributes.present, dtype=bool)
    weights = neighbours.matrix(len(present)).astype(np.float64)
    total = np.asarray(weights.sum(1)).ravel()
    weights.data *= present[weights.indices]
    weights.eliminate_zeros()  # an absent row may hold anything, and 0 x NaN is NaN
    covered = np.asarray(weights.sum(1)).ravel()
    weights.data /= np.repeat(covered, np.diff(weights.indptr))
    weights = weights.astype(np.float32)
    means = np.zeros((neighbours.n_nodes, attributes.values.shape[1]), np.float32)
    for start in range(0, means.shape[1], _COLUMNS):
        columns = slice(start, start + _COLUMNS)
        means[:, columns] = weights @ np.asarray(attributes.values[:, columns], dtype=np.float32)
    with np.errstate(invalid="ignore"):
        fraction = np.where(total > 0, covered / total, 0)
    return MeanAttributes(means, fraction.astype(np.float32))


def brought(
    lists: Neighbours,
    end: str,
    columns: Mapping[str, str],
    own: Callable[[str], np.ndarray],
    mean: Callable[[str], np.ndarray] | None = None,
) -> np.ndarray | None:
    """(n_nodes, D) what neighbours bring along: sums of all columns over lists, by their weights, side by side.

    Args:
        lists: of neighbours of one type, a node's weights summing to 1 over all its lists; None is returned where that
            type has no column.
        end: which type, ``u`` or ``a``; the other's columns are zero.
        columns: the type that has each column, in order.
        own: a column's values (n, D_c), zero where absent.
        mean: a column's sums (n_nodes, D_c) over these lists where they are stored.
    """
    if end not in columns.values():
        return None
    parts = []
    for name, of in columns.items():
        if of != end:
            parts.append(np.zeros((lists.n_nodes, own(name).shape[1]), dtype=np.float32))
        elif mean is not None:
            parts.append(mean(name))
        else:
            values = own(name)
            parts.append(lists.matrix(len(values)) @ values)
    return np.concatenate(parts, axis=1)
