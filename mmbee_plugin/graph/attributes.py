"""Mean attributes: weighted means of content features, or other columns, over a node's neighbours."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from mmbee_plugin.graph.metapaths import Neighbours

# Feature columns converted to float32 at a time: a wide float16 file need not fit into memory.
_COLUMNS = 256


@dataclass(frozen=True)
class Attributes:
    """Columns of all authors or all users, with mean 0 and deviation 1 over the present rows.

    Shapes:
        - values: (n, D) float16 or float32, may be memory-mapped; absent rows enter no mean
        - present: (n,) bool
        - end: type of the nodes, ``a`` or ``u``
    """

    values: np.ndarray
    present: np.ndarray
    end: str = "a"

    def filled(self) -> np.ndarray:
        """(n, D) float32, zero for absent rows."""
        return np.where(self.present[:, None], self.values, 0).astype(np.float32)


@dataclass(frozen=True)
class MeanAttributes:
    """Weighted means over neighbours.

    Shapes:
        - values: (n_nodes, D) float32, zero without a neighbour that has the feature
        - fraction: (n_nodes,) float32 in [0, 1], share of the neighbours' weight that has it
    """

    values: np.ndarray
    fraction: np.ndarray


def mean_attributes(neighbours: Neighbours, attributes: Attributes) -> MeanAttributes:
    r"""Weighted mean feature over each node's neighbours that have one.

    For a linear projection W of features that are zero where absent,
    :math:`\mathrm{mean}(\theta + W x) = \mathrm{mean}(\theta) + \mathrm{fraction} \cdot
    W\,\mathrm{values}`, so a model projects one row instead of K neighbours.

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
    weights.eliminate_zeros()  # absent rows may hold NaN, and 0 x NaN is NaN
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
    """(n_nodes, D) weighted sums of all columns over each node's neighbours; None if their type has no column.

    Args:
        lists: neighbours of one type; a node's weights sum to 1 over all its lists.
        end: type of the neighbours, ``u`` or ``a``; columns of the other type are zero.
        columns: column name to the type of node that has it; D is their total width, in this order.
        own: values (n, D_c) of a column, zero where absent.
        mean: stored sums (n_nodes, D_c) of a column over these lists, if there are any.
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
