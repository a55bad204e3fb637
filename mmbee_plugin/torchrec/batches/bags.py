"""Sparse features as NumPy arrays, and their conversion to TorchRec's KeyedJaggedTensor."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torchrec.sparse.jagged_tensor import KeyedJaggedTensor

PEERS = {"u": "peers_user", "a": "peers_author"}
"""feature of each side's peers"""


class Bag(NamedTuple):
    """One feature of ``n`` rows: lengths (n,), ids (nnz,) and, if weighted, weights (nnz,)."""

    lengths: NDArray
    ids: NDArray
    weights: NDArray | None = None


def singles(ids: NDArray) -> Bag:
    """Bags of one id each, from ids (n,)."""
    return Bag(np.ones(len(ids), dtype=np.int64), ids)


def keyed(features: Mapping[str, Bag], stride: int) -> KeyedJaggedTensor:
    """Joins features, each padded with empty bags to ``stride``. Either all are weighted or none."""
    lengths = np.zeros((len(features), stride), dtype=np.int64)
    for place, bag in enumerate(features.values()):
        lengths[place, : len(bag.lengths)] = bag.lengths
    weights = [bag.weights for bag in features.values() if bag.weights is not None]
    return KeyedJaggedTensor(
        keys=list(features),
        values=torch.from_numpy(np.concatenate([bag.ids for bag in features.values()]).astype(np.int64)),
        lengths=torch.from_numpy(lengths.ravel()),
        weights=torch.from_numpy(np.concatenate(weights).astype(np.float32)) if weights else None,
        stride=stride,
    )
