"""Mean attributes: what a node's neighbours have in common as content features."""

from dataclasses import dataclass

import numpy as np

from mmbee_plugin.graph.metapaths import Neighbours

# Feature columns converted to float32 at a time, so that a wide float16 file never stands in memory whole.
_COLUMNS = 256


@dataclass(frozen=True)
class Attributes:
    """Dense features of the authors, standardised by whoever passes them in.

    Shapes:
        - values: (n_authors, D) float16 or float32, may be memory-mapped; absent rows are never read into a
          mean
        - present: (n_authors,) bool
    """

    values: np.ndarray
    present: np.ndarray


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
