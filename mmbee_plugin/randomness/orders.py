"""Random orders of 0 .. n - 1 that come in pieces, so that no more than a piece need be in memory."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from mmbee_plugin.randomness.mixing import mix

WHOLE = 2**24
"""numbers up to which an order is drawn in one piece, evenly over all orders"""
ROUNDS = 6


def random_order(n: int, size: int, random: np.random.Generator) -> Iterator[NDArray[np.int64]]:
    """Pieces of ``size`` numbers, the last one shorter, that hold each of 0 .. n - 1 once.

    Up to ``WHOLE`` numbers are permuted in memory. Beyond, a bijection takes 0, 1, 2, … to their places, so that memory
    does not grow with n; it is one of 2^(64 · ROUNDS) orders, drawn by its keys.

    Args:
        n: how many numbers.
        size: of a piece.
        random: draws the order; used before the first piece alone.
    """
    if n <= WHOLE:
        order = random.permutation(n)
        yield from (order[start : start + size] for start in range(0, n, size))
        return
    keys = [int(key) for key in random.integers(2**64, size=ROUNDS, dtype=np.uint64)]
    for start in range(0, n, size):
        numbers = shuffled(np.arange(start, min(start + size, n)), n, keys)
        # What falls beyond n goes round once more, which keeps the map one to one.
        while (beyond := numbers >= n).any():
            numbers[beyond] = shuffled(numbers[beyond], n, keys)
        yield numbers


def shuffled(numbers: NDArray[np.int64], n: int, keys: list[int]) -> NDArray[np.int64]:
    """A bijection of the rectangle a · b that holds n numbers in as few rows as columns: each round moves the row by
    what its column mixes to, then the columns' turn comes (a Feistel network over two moduli)."""
    a = math.isqrt(n - 1) + 1
    b = -(-n // a)
    row, column = np.divmod(numbers, b)
    for number, key in enumerate(keys):
        if number % 2:
            column = (column + _below(b, key, row)) % b
        else:
            row = (row + _below(a, key, column)) % a
    return row * b + column


def _below(limit: int, key: int, places: NDArray[np.int64]) -> NDArray[np.int64]:
    return (mix(key, places) % np.uint64(limit)).astype(np.int64)
