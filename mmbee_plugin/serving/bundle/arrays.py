"""Memory-mapped ``.npy`` files of a bundle; nothing pickled is read."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray


def mapped(path: Path) -> NDArray:
    """A file's array, read-only; processes of a machine share its pages."""
    return np.load(path, mmap_mode="r", allow_pickle=False)


def tensor(path: Path) -> torch.Tensor:
    """A file's array, mapped copy-on-write, since torch has no read-only tensors; pages that none writes are shared."""
    return torch.from_numpy(np.load(path, mmap_mode="c", allow_pickle=False))
