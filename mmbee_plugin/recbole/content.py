"""Content and query tables: what the dataset folder knows of an item, looked up by RecBole's item ids."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import nn

from mmbee_plugin.data.features import BagFeatures, DenseFeatures, standardise
from mmbee_plugin.modules.batch import AuthorSide
from mmbee_plugin.modules.tokens import WORD_WIDTH


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
    """Learned mean of an item's word vectors (an embedding bag), for a modality given as a bag of words."""

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


class ContentTable(nn.Module):
    """All that MFQ needs of an item: raw modality vectors and the author's own query tokens.

    Args:
        dataset: an :class:`~mmbee_plugin.recbole.dataset.MMBeeDataset`.
        modalities: names of the modalities to read.
        width: width ``d`` of a query token.
        num_queries: query tokens ``N`` an author owns; 0 for none.
    """

    seen: torch.Tensor

    def __init__(self, dataset: Any, modalities: tuple[str, ...], width: int, num_queries: int = 4) -> None:
        super().__init__()
        tables: dict[str, DenseTable | BagTable] = {}
        for name in modalities:
            features = dataset.folder.features(name)
            kind = BagTable if isinstance(features, BagFeatures) else DenseTable
            tables[name] = kind(features, dataset.item_rows)
        self.tables = nn.ModuleDict(tables)
        self.widths = {name: table.width for name, table in tables.items()}
        self.num_queries = num_queries if modalities else 0
        seen = dataset.histories.item_counts(dataset.item_num) > 0
        self.register_buffer("seen", torch.from_numpy(seen), persistent=False)
        if self.num_queries:
            self.queries = nn.Embedding(dataset.item_num, self.num_queries * width, padding_idx=0)
            nn.init.normal_(self.queries.weight, std=0.1)

    def start_queries_from(self, author: torch.Tensor, noise: float) -> None:
        """Starts every query from its author's vector, tiled, plus noise (public data have no other start).

        Shapes:
            - author: (n_items, d)
        """
        if self.num_queries:
            with torch.no_grad():
                tiled = author.repeat(1, self.num_queries)
                self.queries.weight.copy_(tiled + noise * torch.randn_like(tiled))
                self.queries.weight[0].zero_()

    def forward(self, items: torch.Tensor, author: torch.Tensor) -> AuthorSide:
        """items (B,), their id vectors (B, d) -> the content part of an :class:`AuthorSide`; L = F = 1."""
        side = AuthorSide(author=author, seen=self.seen[items])
        for name, table in self.tables.items():
            side.segments[name] = table(items)[:, None, None, :]
            side.segment_mask[name] = table.get_buffer("present")[items].unsqueeze(1)
        if self.num_queries:
            side.queries = self.queries(items).unflatten(1, (self.num_queries, -1))
        return side
