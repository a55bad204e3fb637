"""Neighbour lists, mean attributes and long walks of a snapshot, looked up by RecBole's ids.

What a snapshot stores as it is read, mean attributes and long walks, stays in its mapped files: it is most of a
snapshot, and its pages are shared with other processes.
"""

from __future__ import annotations

import warnings
from functools import partial

import numpy as np
import torch
from torch import nn

from mmbee_plugin.data.ragged import NOBODY
from mmbee_plugin.graph.attributes import MeanAttributes
from mmbee_plugin.graph.lists import ENTRY, rectangular
from mmbee_plugin.graph.metapaths import Neighbours
from mmbee_plugin.graph.pools import Pool
from mmbee_plugin.graph.snapshot import Snapshot, graphs_of
from mmbee_plugin.recbole.data.sums import weighted_sums


def mapped(array: np.ndarray) -> torch.Tensor:
    """A tensor over an array that may be mapped, read-only; nothing may write to it."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="The given NumPy array is not writable")
        return torch.from_numpy(array.view(np.ndarray))


def rectangular_lists(
    neighbours: Neighbours, start_rows: np.ndarray, end_rows: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Neighbour lists by row of the folder -> rectangular lists by RecBole id.

    Args:
        neighbours: lists over the folder's rows.
        start_rows: (n,) row of each RecBole id of the starting side, -1 for padding.
        end_rows: the same for the side where the path ends.

    Returns:
        ids (n, K) int32 and weights (n, K) float32, 0 for padding.
    """
    id_of_row = np.zeros(end_rows.max() + 1, dtype=np.int32)
    id_of_row[end_rows[end_rows >= 0]] = np.flatnonzero(end_rows >= 0)
    counts = np.diff(neighbours.indptr)
    ids = np.zeros((len(start_rows), max(1, int(counts.max(initial=0)))), dtype=np.int32)
    weights = np.zeros(ids.shape, dtype=np.float32)
    known = np.flatnonzero(start_rows >= 0)
    length = counts[start_rows[known]]
    row = np.repeat(known, length)
    column = np.arange(length.sum()) - np.repeat(length.cumsum() - length, length)
    source = np.repeat(neighbours.indptr[start_rows[known]], length) + column
    ids[row, column] = id_of_row[neighbours.ids[source]]
    weights[row, column] = neighbours.weights[source]
    return ids, weights


class MeanColumns(nn.Module):
    """Weighted sums of the neighbours' attributes, by row of the folder: each column's mean times its fraction."""

    def __init__(self, columns: list[MeanAttributes]) -> None:
        super().__init__()
        self._count = len(columns)
        for place, column in enumerate(columns):
            for name, values in vars(column).items():
                self.register_buffer(f"{name}_{place}", mapped(values), persistent=False)

    def forward(self, rows: torch.Tensor) -> torch.Tensor:
        """rows (B,), -1 for padding -> (B, D), zero for padding."""
        first, known = rows.clamp(min=0), (rows >= 0).to(torch.float32)
        parts = [
            self.get_buffer(f"values_{place}")[first]
            * (self.get_buffer(f"fraction_{place}")[first] * known)[:, None]
            for place in range(self._count)
        ]
        return torch.cat(parts, dim=1)


class NeighbourLists(nn.Module):
    """The lists of one part of a pool: of the whole graph, and of the graph without each fold's edges.

    Args:
        start_rows: (n,) row of each RecBole id of the side that has the lists, -1 for padding.
        end_rows: the same for the neighbours.
    """

    rows: torch.Tensor

    def __init__(self, start_rows: np.ndarray, end_rows: np.ndarray) -> None:
        super().__init__()
        self._start_rows, self._end_rows = start_rows, end_rows
        self.register_buffer("rows", torch.from_numpy(start_rows), persistent=False)
        self.means = nn.ModuleDict()

    def keep(self, fold: int | None, lists: Neighbours, attributes: list[MeanAttributes]) -> None:
        """Stores a fold's lists and the columns of its attributes, by row of the folder; None is the whole graph."""
        ids, weights = rectangular_lists(lists, self._start_rows, self._end_rows)
        self.register_buffer(f"ids_{fold}", torch.from_numpy(ids), persistent=False)
        self.register_buffer(f"weights_{fold}", torch.from_numpy(weights), persistent=False)
        if attributes:
            self.means[str(fold)] = MeanColumns(attributes)

    def pool(
        self, nodes: torch.Tensor, table: torch.Tensor, fold: int | None
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """nodes (B,), table (n, d) -> weighted sums (B, d) and list lengths (B,)."""
        ids, weights = self.of(nodes, fold)
        return weighted_sums(ids, weights, table), (weights > 0).sum(dim=1).to(table.dtype)

    def of(self, nodes: torch.Tensor, fold: int | None) -> tuple[torch.Tensor, torch.Tensor]:
        """nodes (B,) -> neighbours' ids (B, K) int32 and weights (B, K), 0 for padding; a pool's weights sum to 1."""
        ids, weights = (self.get_buffer(f"{name}_{fold}") for name in ("ids", "weights"))
        return ids.index_select(0, nodes), weights.index_select(0, nodes)

    def attributes(self, nodes: torch.Tensor, fold: int | None) -> torch.Tensor | None:
        """nodes (B,) -> weighted sums (B, D) of the neighbours' attributes, or None if they have none."""
        return self.means[str(fold)](self.rows[nodes]) if str(fold) in self.means else None


def pooled_lists(
    pool: Pool,
    snapshot: Snapshot,
    rows: dict[str, np.ndarray],
    weighted: bool = True,
    attributes: bool = False,
) -> dict[str, NeighbourLists]:
    """The lists of a pool's parts, by name.

    Args:
        pool: metapaths that are pooled together.
        snapshot: holds the lists of these metapaths.
        rows: row of each RecBole id, by side (``u``, ``a``), -1 for padding.
        weighted: weigh neighbours by their scores, else all alike.
        attributes: whether to keep the neighbours' mean attributes too.
    """
    found = {part.name: NeighbourLists(rows[pool.start], rows[part.end]) for part in pool.parts}
    for fold in graphs_of(snapshot.settings):
        lists = pool.lists(partial(snapshot.neighbours, fold=fold), weighted)
        for part, one in zip(pool.parts, lists, strict=True):
            stored = part.name if pool.is_stored(weighted) else None
            columns = snapshot.means(one, part.end, fold, stored) if attributes else []
            found[part.name].keep(fold, one, columns)
    return found


class ReachLists(nn.Module):
    """The users' long-walk lists, of the whole graph and of the graph without each fold's edges.

    Authors are rows of the folder, ascending, as they are stored.

    Args:
        snapshot: holds the lists.
        user_rows: (n,) row of each RecBole id of a user, -1 for padding.
    """

    def __init__(self, snapshot: Snapshot, user_rows: np.ndarray) -> None:
        super().__init__()
        self._longest: dict[int | None, int] = {}
        for fold in graphs_of(snapshot.settings):
            lists = snapshot.reach_lists(fold).along("reach")
            starts, lengths = lists.bounds(np.maximum(user_rows, 0))
            lengths *= user_rows >= 0
            self._longest[fold] = max(1, int(lengths.max()))
            entries = lists.packed.entries.view("<i8").reshape(-1)  # author and bits of the weight, half each
            if not len(entries):  # padding reads the first
                entries = np.zeros(1, dtype=np.int64)
            arrays = {"starts": starts, "lengths": lengths, "entries": entries}
            for name, values in arrays.items():
                self.register_buffer(f"{name}_{fold}", mapped(values), persistent=False)

    def forward(self, users: torch.Tensor, fold: int | None) -> dict[str, torch.Tensor | None]:
        """users (B,) -> the fields ``reach_ids`` and ``reach_weights`` of :class:`UserSide`."""
        read = self.laid_out if users.device.type == "cpu" else self.gathered
        return dict(zip(("reach_ids", "reach_weights"), read(users, fold), strict=True))

    def laid_out(self, users: torch.Tensor, fold: int | None) -> tuple[torch.Tensor, torch.Tensor]:
        """Ids (B, K) int64 and weights (B, K) of users (B,), copied entry by entry: a CPU's way."""
        starts, lengths, entries = self._stored(fold)
        stored = entries.numpy().view(ENTRY)
        found = starts[users].numpy(), lengths[users].numpy()
        ids, weights = rectangular(stored, *found, self._longest[fold], NOBODY)
        return torch.from_numpy(ids), torch.from_numpy(weights)

    def gathered(self, users: torch.Tensor, fold: int | None) -> tuple[torch.Tensor, torch.Tensor]:
        """The same in whole arrays, a GPU's way."""
        starts, lengths, entries = self._stored(fold)
        column = torch.arange(self._longest[fold], device=users.device)
        filled = column < lengths[users][:, None]
        place = torch.where(filled, starts[users][:, None] + column, 0)
        halves = entries[place].view(torch.int32).unflatten(1, (-1, 2))
        ids = torch.where(filled, halves[..., 0].long(), NOBODY)
        return ids, torch.where(filled, halves[..., 1].contiguous().view(torch.float32), 0)

    def _stored(self, fold: int | None) -> tuple[torch.Tensor, ...]:
        return tuple(self.get_buffer(f"{name}_{fold}") for name in ("starts", "lengths", "entries"))
