"""Random walks whose scores are multiplied by a factor of the item's row in its file."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from mmbee_plugin.recbole.untrained import Score, walk


def favour(item_rows: NDArray, strength: float) -> NDArray:
    """(n_items,) factor exp(strength x row / items), larger for items late in the file; row -1 is padding."""
    return np.exp(strength * np.maximum(item_rows, 0) / len(item_rows))


def favoured_walk(dataset: Any, nodes: str, strength: float) -> Score:
    """A walk's scores times the factor of :func:`favour`."""
    score, factor = walk(dataset, nodes), torch.from_numpy(favour(dataset.item_rows, strength))
    return lambda interaction: score(interaction) * factor
