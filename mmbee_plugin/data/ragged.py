"""Ranges of different lengths, unrolled, and what pads lists of different lengths."""

import numpy as np
from numpy.typing import NDArray

NOBODY = int(np.iinfo(np.int32).max)
"""id of no author; pads ascending lists"""


def ragged(starts: NDArray, stops: NDArray) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Unrolls B ranges `starts[b]:stops[b]` into rows b and indices, both (sum of lengths,)."""
    lengths = stops - starts
    row = np.repeat(np.arange(len(lengths)), lengths)
    first = np.cumsum(lengths) - lengths
    return row, np.arange(len(row)) + (starts - first)[row]
