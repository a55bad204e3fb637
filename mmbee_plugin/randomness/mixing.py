"""Counter-based random numbers: a 64-bit mixing function of a key and a position, without the state of a stream."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

STEP = np.uint64(0x9E3779B97F4A7C15)
"""2^64 over the golden ratio, so that adjacent positions are mapped far apart"""
FACTORS = np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB)


def mix(key: int, places: NDArray) -> NDArray[np.uint64]:
    """Uniform 64-bit numbers, each a function of the key and its position (splitmix64).

    Args:
        key: 0 to 2^64 - 1.
        places: integers of any shape.

    Returns:
        uint64 in the shape of ``places``.
    """
    with np.errstate(over="ignore"):  # arithmetic is modulo 2^64
        return finalised(np.asarray(places).astype(np.uint64) * STEP + np.uint64(key))


def finalised(values: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """splitmix64's output for each state."""
    with np.errstate(over="ignore"):
        mixed = values + STEP
        mixed = (mixed ^ (mixed >> np.uint64(30))) * FACTORS[0]
        mixed = (mixed ^ (mixed >> np.uint64(27))) * FACTORS[1]
    return mixed ^ (mixed >> np.uint64(31))
