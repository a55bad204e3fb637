"""Random permutations of 0 .. n - 1, generated in pieces; large ones take the memory of one piece."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from mmbee_plugin.randomness.mixing import mix

WHOLE = 2**24
"""largest n whose permutation is drawn in memory, uniformly"""
ROUNDS = 6


def random_order(n: int, size: int, random: np.random.Generator) -> Iterator[NDArray[np.int64]]:
    """Yields a permutation of 0 .. n - 1 in pieces of ``size`` numbers, the last one shorter.

    Up to ``WHOLE`` numbers are permuted in memory. Beyond, a keyed bijection maps 0, 1, 2, … to the permutation, one of
    2^(64 · ROUNDS), in memory that does not grow with n.

    Args:
        n: how many numbers.
        size: of a piece.
        random: draws the permutation or its keys, before the first piece only.
    """
    if n <= WHOLE:
        order = random.permutation(n)
        yield from (order[start : start + size] for start in range(0, n, size))
        return
    keys = [int(key) for key in random.integers(2**64, size=ROUNDS, dtype=np.uint64)]
    for start in range(0, n, size):
        numbers = shuffled(np.arange(start, min(start + size, n)), n, keys)
        # Cycle walking: numbers beyond n are mapped again, which keeps the map one to one.
        while (beyond := numbers >= n).any():
            numbers[beyond] = shuffled(numbers[beyond], n, keys)
        yield numbers


def shuffled(numbers: NDArray[np.int64], n: int, keys: list[int]) -> NDArray[np.int64]:
    """A keyed bijection of 0 .. a·b - 1, the nearly square rectangle that holds n numbers: a Feistel network over two
    moduli, whose rounds alternately shift the row by a hash of the column and the column by a hash of the row."""
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
