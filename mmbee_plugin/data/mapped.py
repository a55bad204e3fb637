"""Array files that several processes fill, each its own rows, through the page cache."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

_BLOCK = 1 << 20


def allocate(path: Path, dtype: np.dtype, shape: Sequence[int]) -> None:
    """Writes a `.npy` of zeros, plainly, so that a full disk is an OSError here and no fault of a mapping later."""
    header = {"descr": np.lib.format.dtype_to_descr(dtype), "fortran_order": False, "shape": tuple(shape)}
    zeros = bytes(_BLOCK)
    with path.open("wb") as stream:
        np.lib.format.write_array_header_1_0(stream, header)
        left = int(np.prod(shape, dtype=np.int64)) * dtype.itemsize
        while left > 0:
            left -= stream.write(zeros[:left])


def opened(path: Path) -> np.memmap:
    """The array of a file, for reading and writing; `flush` shows what was written to other machines."""
    return np.lib.format.open_memmap(path, mode="r+")
