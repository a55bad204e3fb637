"""Content and query tables of items and live segments, looked up by RecBole's ids."""

from __future__ import annotations

import numpy as np
import torch
from torch import nn

from mmbee_plugin.data.segments import SegmentFeatures, windows
from mmbee_plugin.modules.batch import AuthorSide
from mmbee_plugin.modules.mfq import initial_queries
from mmbee_plugin.modules.named import ModalityModules
from mmbee_plugin.recbole.data.modalities import BagTable, DenseTable, item_table
from mmbee_plugin.recbole.data.split import TrainingSplit
from mmbee_plugin.recbole.data.training_rows import learned_items


class SegmentTable(nn.Module):
    """Frozen vectors of all segments in one modality, as stored; standardised at lookup.

    Args:
        segments: the segments of a live folder.
        modality: name of the modality.
        until: time in seconds; mean and deviation are those of the segments that have ended by then.
    """

    values: torch.Tensor
    present: torch.Tensor
    mean: torch.Tensor
    deviation: torch.Tensor

    def __init__(self, segments: SegmentFeatures, modality: str, until: float) -> None:
        super().__init__()
        stored = segments.values(modality)
        missing = np.zeros((1, *stored.shape[1:]), dtype=stored.dtype)  # row -1
        values = torch.from_numpy(np.concatenate([stored, missing]))
        present = torch.from_numpy(np.append(segments.present(modality), False))
        self.register_buffer("values", values, persistent=False)
        self.register_buffer("present", present, persistent=False)
        for name, row in segments.scaling(modality, until)._asdict().items():
            self.register_buffer(name, torch.from_numpy(row), persistent=False)
        self.width = values.shape[2]

    def forward(self, rows: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Rows (B, L) of segments, -1 for none -> (B, L, F, D), zero where absent, and (B, L) bool."""
        present = self.present[rows]
        values = (self.values[rows].float() - self.mean) / self.deviation
        return values * present[:, :, None, None], present


class SegmentWindows(nn.Module):
    """Rows of an author's last L segments at a sample's moment.

    Args:
        dataset: the training split of a live folder.
        length: L.
    """

    first: torch.Tensor
    newest: torch.Tensor

    def __init__(self, dataset: TrainingSplit, length: int) -> None:
        super().__init__()
        assert dataset.trained_until is not None  # live data have time
        segments, rows = dataset.folder.segments, dataset.item_rows
        self.length = length
        newest = np.where(rows >= 0, segments.newest(dataset.trained_until)[rows], -1)
        self.register_buffer("first", segments.first, persistent=False)
        self.register_buffer("newest", torch.from_numpy(newest), persistent=False)

    def forward(self, items: torch.Tensor, segments: torch.Tensor | None) -> torch.Tensor:
        """Items (B,) and the rows (B,) of their newest known segments, -1 for none -> rows (B, L), see `windows`.

        Without ``segments``, the newest are those at the end of training.
        """
        return windows(self.first, self.newest[items] if segments is None else segments, self.length)


class ContentTable(nn.Module):
    """Inputs of a content encoder: an item's raw modality vectors and the author's own query tokens.

    Args:
        dataset: the training split, an :class:`~mmbee_plugin.recbole.data.dataset.MMBeeDataset`.
        modalities: names of the modalities to read.
        width: width ``d`` of a query token.
        num_queries: query tokens ``N`` an author owns; 0 for none.
        length: segments ``L`` of a sample of live data; a static item is one segment.
        shared_queries: whether the tokens are offsets from tokens that all authors share.
        authors: (items, width) id vectors that the tokens start from; None for a random start.
    """

    seen: torch.Tensor

    def __init__(
        self,
        dataset: TrainingSplit,
        modalities: tuple[str, ...],
        width: int,
        num_queries: int = 4,
        length: int = 1,
        shared_queries: bool = True,
        authors: torch.Tensor | None = None,
    ) -> None:
        super().__init__()
        folder = dataset.folder
        tables: dict[str, DenseTable | BagTable | SegmentTable] = {}
        for name in modalities:
            if folder.live is not None:
                assert dataset.trained_until is not None  # live data have time
                tables[name] = SegmentTable(folder.segments, name, dataset.trained_until)
            else:
                tables[name] = item_table(folder.features(name), dataset.item_rows)
        self.tables = ModalityModules(tables)
        self.windows = SegmentWindows(dataset, length) if tables and folder.live is not None else None
        self.widths = {name: table.width for name, table in tables.items()}
        self.num_queries = num_queries if modalities else 0
        seen = torch.from_numpy(learned_items(dataset))
        self.register_buffer("seen", seen, persistent=False)
        if self.num_queries:
            self.queries = nn.Embedding(dataset.item_num, self.num_queries * width, padding_idx=0)
            with torch.no_grad():
                drawn = self.queries.weight.normal_()
                drawn.copy_(initial_queries(drawn, shared_queries, authors))
                self.queries.weight[0].zero_()

    def forward(
        self, items: torch.Tensor, author: torch.Tensor, segments: torch.Tensor | None = None
    ) -> AuthorSide:
        """The content part of an :class:`AuthorSide`.

        Args:
            items: (B,) ids. author: (B, d) their id vectors.
            segments: (B,) rows of the newest known segments, -1 for none; None takes those at the end of training.
        """
        side = AuthorSide(author=author, seen=self.seen[items])
        window = None if self.windows is None else self.windows(items, segments)
        for name, table in self.tables.items():
            if window is None:
                values, present = table(items)[:, None, None, :], table.get_buffer("present")[items, None]
            else:
                values, present = table(window)
            side.segments[name], side.segment_mask[name] = values, present
        if self.num_queries:
            side.queries = self.queries(items).unflatten(1, (self.num_queries, -1))
        return side
