"""A table of node vectors with its row-wise optimiser, compiled."""

import math
from typing import Literal

import numpy as np

from mmbee_plugin.kernels import kernel
from mmbee_plugin.offline.contrast import SUMS

EPS = 1e-10
"""added to row-wise Adagrad's roots; GraphCL's gradients are small"""


class NodeTable:
    """Node vectors (n, d), of which a step changes the rows that have a gradient.

    Args:
        start: (n, d) float32, the vectors before the first step; changed in place.
        learning_rate: of both optimisers.
        optimiser: ``sgd`` or ``adagrad``, the row-wise Adagrad of fbgemm (``EXACT_ROWWISE_ADAGRAD``): each row
            accumulates its mean squared gradient and divides its step by the root of the sum.

    Attributes:
        weight: (n, d), the vectors.
        squares: (n,), the sums of Adagrad; none for ``sgd``.
    """

    def __init__(self, start: np.ndarray, learning_rate: float, optimiser: Literal["adagrad", "sgd"]) -> None:
        self.weight = start
        self.learning_rate = learning_rate
        self.squares = np.zeros(len(start) if optimiser == "adagrad" else 0, start.dtype)
        self._place = np.full(len(start), -1, np.int32)

    def rows(self, ids: np.ndarray) -> np.ndarray:
        """Copies the vectors of nodes of any shape: (..., d)."""
        return self.weight.take(ids, axis=0)  # three times as fast as self.weight[ids]

    def step(self, ids: list[np.ndarray], gradients: list[np.ndarray]) -> None:
        """Updates each row once, with the sum of its gradients.

        Args:
            ids: rows, arrays of any shapes.
            gradients: of the same shapes with (d,) behind.
        """
        flat = np.concatenate([part.reshape(-1) for part in ids])
        of_rows = np.concatenate([part.reshape(-1, self.weight.shape[1]) for part in gradients])
        _step(self.weight, self.squares, self._place, flat, of_rows, self.learning_rate)


@kernel(fastmath=SUMS, error_model="numpy")
def _step(
    weight: np.ndarray,
    squares: np.ndarray,
    place: np.ndarray,
    rows: np.ndarray,
    gradients: np.ndarray,
    learning_rate: float,
) -> None:
    """Sums gradients at each row's first entry, then updates; ``place`` (n,) is -1 before and after."""
    width = weight.shape[1]
    for entry in range(len(rows)):
        first = place[rows[entry]]
        if first < 0:
            place[rows[entry]] = entry
        else:
            for column in range(width):
                gradients[first, column] += gradients[entry, column]
    for entry in range(len(rows)):
        row = rows[entry]
        if place[row] != entry:
            continue
        place[row] = -1
        scale = learning_rate
        if len(squares):
            square = weight.dtype.type(0)
            for column in range(width):
                square += gradients[entry, column] ** 2
            squares[row] += square / width
            scale /= math.sqrt(squares[row]) + EPS
        for column in range(width):
            weight[row, column] -= weight.dtype.type(scale) * gradients[entry, column]
