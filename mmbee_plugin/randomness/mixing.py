"""A 64-bit mixing function: random numbers that any process finds by their place alone, without a stream to follow."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

STEP = np.uint64(0x9E3779B97F4A7C15)
"""2^64 over the golden ratio: places next to each other lie far apart"""
FACTORS = np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB)


def mix(key: int, places: NDArray) -> NDArray[np.uint64]:
    """Even 64-bit numbers, each a function of the key and of its place (splitmix64).

    Args:
        key: 0 to 2^64 - 1.
        places: whole numbers of any shape.

    Returns:
        uint64 in the shape of the places.
    """
    with np.errstate(over="ignore"):  # arithmetic is modulo 2^64
        return finalised(np.asarray(places).astype(np.uint64) * STEP + np.uint64(key))


def finalised(values: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """The number that splitmix64 draws after each state."""
    with np.errstate(over="ignore"):
        mixed = values + STEP
        mixed = (mixed ^ (mixed >> np.uint64(30))) * FACTORS[0]
        mixed = (mixed ^ (mixed >> np.uint64(27))) * FACTORS[1]
    return mixed ^ (mixed >> np.uint64(31))
