"""The features of static items as tables, looked up by RecBole's ids."""

from __future__ import annotations

import numpy as np
import torch
from torch import nn

from mmbee_plugin.data.features import BagFeatures, DenseFeatures, standardise
from mmbee_plugin.modules.tokens import WORD_WIDTH


def item_table(features: DenseFeatures | BagFeatures, rows: np.ndarray) -> DenseTable | BagTable:
    """The table of a modality; `rows` (n_items,) are the rows of RecBole's items, -1 for padding."""
    return BagTable(features, rows) if isinstance(features, BagFeatures) else DenseTable(features, rows)


class DenseTable(nn.Module):
    """Frozen vectors of one modality, standardised. Row i belongs to RecBole's item i; padding is absent."""

    values: torch.Tensor
    present: torch.Tensor

    def __init__(self, features: DenseFeatures, rows: np.ndarray) -> None:
        super().__init__()
        known = (rows >= 0) & features.present[np.maximum(rows, 0)]
        values = standardise(features.values, features.present)[np.maximum(rows, 0)]
        values[~known] = 0
        self.register_buffer("values", torch.from_numpy(values), persistent=False)
        self.register_buffer("present", torch.from_numpy(known), persistent=False)
        self.width = values.shape[1]

    def forward(self, items: torch.Tensor) -> torch.Tensor:
        """(B,) -> (B, D)."""
        return self.values[items]


class BagTable(nn.Module):
    """Mean of an item's learned word vectors, for a modality given as a bag of words."""

    words: torch.Tensor
    start: torch.Tensor
    length: torch.Tensor
    present: torch.Tensor

    def __init__(self, features: BagFeatures, rows: np.ndarray, width: int = WORD_WIDTH) -> None:
        super().__init__()
        known = (rows >= 0) & features.present[np.maximum(rows, 0)]
        length = np.where(known, np.diff(features.indptr)[np.maximum(rows, 0)], 0)
        self.register_buffer("words", torch.from_numpy(features.words.astype(np.int64)), persistent=False)
        start = torch.from_numpy(features.indptr[np.maximum(rows, 0)].astype(np.int64))
        self.register_buffer("start", start, persistent=False)
        self.register_buffer("length", torch.from_numpy(length.astype(np.int64)), persistent=False)
        self.register_buffer("present", torch.from_numpy(known), persistent=False)
        self.bag = nn.EmbeddingBag(features.vocabulary, width, mode="mean")
        nn.init.normal_(self.bag.weight, std=0.1)
        self.width = width

    def forward(self, items: torch.Tensor) -> torch.Tensor:
        """(B,) -> (B, width); an empty bag gives zeros."""
        length = self.length[items]
        offsets = length.cumsum(0) - length
        positions = torch.arange(int(length.sum()), device=items.device)
        flat = positions - offsets.repeat_interleave(length) + self.start[items].repeat_interleave(length)
        return self.bag(self.words[flat], offsets)
