"""Node tables and stored neighbour lists, the inputs of GIE and BDR, looked up by RecBole's ids."""

from __future__ import annotations

from functools import partial, reduce
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from mmbee_plugin.graph.lists import PathLists
from mmbee_plugin.graph.metapaths import Metapath, Neighbours
from mmbee_plugin.graph.pools import Pool, pools_of
from mmbee_plugin.graph.reach import NOBODY
from mmbee_plugin.graph.snapshot import Snapshot
from mmbee_plugin.recbole.data.split import TrainingSplit

AT_ONCE = 1024
"""lists that are sorted together"""


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
    id_of_row = _id_of_row(end_rows)
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


def ascending_lists(lists: PathLists, start_rows: np.ndarray, end_rows: np.ndarray) -> Neighbours:
    """Neighbour lists by row of the folder -> lists by RecBole id, each by ascending id, then one entry of `NOBODY`.

    Args:
        lists: over the folder's rows; read in pieces.
        start_rows, end_rows: as in :func:`rectangular_lists`.
    """
    id_of_row = _id_of_row(end_rows)
    lengths = np.where(start_rows >= 0, lists.lengths[start_rows], 0)
    indptr = np.concatenate([[0], np.cumsum(lengths)])
    ids = np.full(indptr[-1] + 1, NOBODY, dtype=np.int32)
    weights = np.zeros(len(ids), dtype=np.float32)
    for begin in range(0, len(start_rows), AT_ONCE):
        known = begin + np.flatnonzero(start_rows[begin : begin + AT_ONCE] >= 0)
        piece = lists.take(start_rows[known])
        found = id_of_row[piece.ids]
        order = np.lexsort((found, np.repeat(known, lengths[known])))
        within = slice(indptr[begin], indptr[min(begin + AT_ONCE, len(start_rows))])
        ids[within], weights[within] = found[order], piece.weights[order]
    return Neighbours(indptr, ids, weights)


def _id_of_row(rows: np.ndarray) -> np.ndarray:
    """(rows of the folder,) int32 RecBole id of each, from the row of each id (n,), -1 for padding."""
    found = np.zeros(rows.max() + 1, dtype=np.int32)
    found[rows[rows >= 0]] = np.flatnonzero(rows >= 0)
    return found


class NeighbourLists(nn.Module):
    """The lists of one part of a pool: of the whole graph, and of the graph without each fold's edges.

    Args:
        start_rows: (n,) row of each RecBole id of the side that has the lists, -1 for padding.
        end_rows: the same for the neighbours.
    """

    def __init__(self, start_rows: np.ndarray, end_rows: np.ndarray) -> None:
        super().__init__()
        self._start_rows, self._end_rows = start_rows, end_rows

    def keep(self, fold: int | None, lists: Neighbours, attributes: np.ndarray | None) -> None:
        """Stores a fold's lists and attributes (n_nodes, D), by row of the folder; fold None is the whole graph."""
        start = self._start_rows
        ids, weights = rectangular_lists(lists, start, self._end_rows)
        self._keep("ids", fold, torch.from_numpy(ids))
        self._keep("weights", fold, torch.from_numpy(weights))
        if attributes is not None:
            by_id = attributes[np.maximum(start, 0)] * (start >= 0)[:, None]
            self._keep("attributes", fold, torch.from_numpy(by_id.astype(np.float32)))

    def pool(
        self, nodes: torch.Tensor, table: torch.Tensor, fold: int | None
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """nodes (B,), table (n, d) -> weighted sums (B, d) and list lengths (B,)."""
        ids, weights = self.of(nodes, fold)
        pooled = F.embedding_bag(ids, table, per_sample_weights=weights, mode="sum", padding_idx=0)
        return pooled, (weights > 0).sum(dim=1).to(table.dtype)

    def of(self, nodes: torch.Tensor, fold: int | None) -> tuple[torch.Tensor, torch.Tensor]:
        """nodes (B,) -> neighbours' ids (B, K) int32 and weights (B, K), 0 for padding; a pool's weights sum to 1."""
        return self._get("ids", fold)[nodes], self._get("weights", fold)[nodes]

    def attributes(self, nodes: torch.Tensor, fold: int | None) -> torch.Tensor | None:
        """nodes (B,) -> weighted sums (B, D) of the neighbours' attributes, or None if they have none."""
        table = self._buffers.get(f"attributes_{fold}")
        return None if table is None else table[nodes]

    def _keep(self, name: str, fold: int | None, values: torch.Tensor) -> None:
        self.register_buffer(f"{name}_{fold}", values, persistent=False)

    def _get(self, name: str, fold: int | None) -> torch.Tensor:
        return self.get_buffer(f"{name}_{fold}")


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
    for fold in (None, *range(snapshot.settings.folds)):
        lists = pool.lists(partial(snapshot.neighbours, fold=fold), weighted)
        for part, one in zip(pool.parts, lists, strict=True):
            stored = part.name if pool.is_stored(weighted) else None
            brought = snapshot.brought(one, part.end, fold, stored) if attributes else None
            found[part.name].keep(fold, one, brought)
    return found


class ReachLists(nn.Module):
    """The users' long-walk lists, of the whole graph and of the graph without each fold's edges; ids ascending.

    They are kept end to end, as those of a fold are shorter than the longest.
    """

    def __init__(self, snapshot: Snapshot, rows: dict[str, np.ndarray]) -> None:
        super().__init__()
        self._longest: dict[int | None, int] = {}
        for fold in (None, *range(snapshot.settings.folds)):
            lists = ascending_lists(snapshot.reach_lists(fold).along("reach"), rows["u"], rows["a"])
            self._longest[fold] = max(1, int(np.diff(lists.indptr).max()))
            for name, values in vars(lists).items():
                self.register_buffer(f"{name}_{fold}", torch.from_numpy(values), persistent=False)

    def forward(self, users: torch.Tensor, fold: int | None) -> dict[str, torch.Tensor | None]:
        """users (B,) -> the fields ``reach_ids`` and ``reach_weights`` of :class:`UserSide`."""
        indptr, ids, weights = (self.get_buffer(f"{name}_{fold}") for name in ("indptr", "ids", "weights"))
        column = torch.arange(self._longest[fold], device=users.device)
        place = indptr[users][:, None] + column
        place = torch.where(place < indptr[users + 1][:, None], place, len(ids) - 1)
        return {"reach_ids": ids[place].long(), "reach_weights": weights[place]}


class InterestTable(nn.Module):
    """The node tables Θ of users and authors, and the neighbour lists over which their vectors are averaged.

    Args:
        dataset: an :class:`~mmbee_plugin.recbole.data.dataset.MMBeeDataset`.
        snapshot: the offline stage's result for this dataset's training interactions.
        metapaths: the paths to read, each of them in the snapshot.
        width: width ``d`` of a node vector.
        attributes: read the neighbours' mean attributes too.
        pretrained: start the tables from GraphCL's vectors instead of fresh ones (the paper's Θ(-) row is fresh).
        init_std: standard deviation of the tables' entries; GraphCL's are scaled to it.
        pooling: one mean per metapath (``concat``), or one per side over the set of all neighbours (``set``).
        neighbour_weights: weigh neighbours by their scores; else means are plain.
    """

    def __init__(
        self,
        dataset: TrainingSplit,
        snapshot: Snapshot,
        metapaths: tuple[Metapath, ...],
        width: int,
        attributes: bool = True,
        pretrained: bool = True,
        init_std: float = 0.1,
        pooling: str = "concat",
        neighbour_weights: bool = True,
    ) -> None:
        super().__init__()
        rows = {"u": dataset.user_rows, "a": dataset.item_rows}
        stored = dict(zip("ua", snapshot.nodes(), strict=True)) if pretrained else {}
        self.nodes = nn.ModuleDict(
            {side: _node_table(row, stored.get(side), width, init_std) for side, row in rows.items()}
        )
        pools = pools_of(metapaths, pooling)
        self.pools = {side: tuple(pool for pool in pools if pool.start == side) for side in "ua"}
        lists: dict[str, NeighbourLists] = {}
        for pool in pools:
            lists |= pooled_lists(pool, snapshot, rows, neighbour_weights, attributes)
        self.lists = nn.ModuleDict(lists)
        self.reach = ReachLists(snapshot, rows) if snapshot.settings.reach_top_k else None
        nobody = torch.zeros(1, dtype=torch.long)
        found = [one.attributes(nobody, None) for one in lists.values()]
        self.attribute_width = max((part.shape[1] for part in found if part is not None), default=0)

    def tables(self) -> dict[str, nn.Module]:
        """The node tables by their names in an exchange file."""
        return {"nodes_user": self.nodes["u"], "nodes_author": self.nodes["a"]}

    def names(self, side: str) -> tuple[str, ...]:
        """Names of the means of side ``u`` or ``a``, in tensor order: metapaths, joined by + if pooled together."""
        return tuple(pool.name for pool in self.pools[side])

    def user(self, users: torch.Tensor, fold: int | None = None) -> dict[str, torch.Tensor | None]:
        """Fields of :class:`UserSide` for users (B,); with ``fold``, from the graph without that fold's edges."""
        reach = self.reach(users, fold) if self.reach is not None else {}
        return {**self._side("u", users, fold), **reach}

    def author(self, items: torch.Tensor, fold: int | None = None) -> dict[str, torch.Tensor | None]:
        """Fields of :class:`AuthorSide` for items (B,), as ``user``."""
        return self._side("a", items, fold)

    def _side(self, side: str, nodes: torch.Tensor, fold: int | None) -> dict[str, torch.Tensor | None]:
        if not self.pools[side]:
            return {}
        means = [self._mean(pool, nodes, fold) for pool in self.pools[side]]
        vectors, counts, attributes = (torch.stack(part, dim=1) for part in zip(*means, strict=True))
        return {
            "neighbours": vectors,
            "neighbour_count": counts,
            "attributes": attributes if self.attribute_width else None,
        }

    def _mean(
        self, pool: Pool, nodes: torch.Tensor, fold: int | None
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """nodes (B,) -> means (B, d) over their neighbours, the neighbours' number (B,) and mean attributes (B, D)."""
        vectors, counts, attributes = [], [], []
        for part in pool.parts:
            lists: Any = self.lists[part.name]
            vector, count = lists.pool(nodes, self.nodes[part.end].weight, fold)
            vectors.append(vector)
            counts.append(count)
            if (brought := lists.attributes(nodes, fold)) is not None:
                attributes.append(brought)
        if not attributes:
            attributes = [vectors[0].new_zeros(len(nodes), self.attribute_width)]
        return reduce(torch.add, vectors), reduce(torch.add, counts), reduce(torch.add, attributes)


class PeerTable(nn.Module):
    """Id vectors of the most similar users and authors, the input of BDR.

    Args:
        dataset: an :class:`~mmbee_plugin.recbole.data.dataset.MMBeeDataset`.
        snapshot: holds the lists of the paths.
        paths: ``peer_paths`` of an interest encoder.
        user, author: the model's tables of id vectors.
    """

    attribute_width = 0

    def __init__(
        self,
        dataset: TrainingSplit,
        snapshot: Snapshot,
        paths: tuple[str, ...],
        user: nn.Embedding,
        author: nn.Embedding,
    ) -> None:
        super().__init__()
        rows = {"u": dataset.user_rows, "a": dataset.item_rows}
        lists: dict[str, NeighbourLists] = {}
        for name in paths:
            lists |= pooled_lists(Pool((Metapath.parse(name),)), snapshot, rows)
        self.lists = nn.ModuleDict(lists)
        self._path = {name[0]: name for name in paths}
        self._tables = {"u": user, "a": author}  # a plain dict: as submodules they would be saved twice

    def tables(self) -> dict[str, nn.Module]:
        """Empty: there are no node vectors."""
        return {}

    def user(self, users: torch.Tensor, fold: int | None = None) -> dict[str, torch.Tensor]:
        """Fields of :class:`UserSide` for users (B,); with ``fold``, from the graph without that fold's edges."""
        return self._side("u", users, fold)

    def author(self, items: torch.Tensor, fold: int | None = None) -> dict[str, torch.Tensor]:
        """Fields of :class:`AuthorSide` for items (B,), as ``user``."""
        return self._side("a", items, fold)

    def _side(self, side: str, nodes: torch.Tensor, fold: int | None) -> dict[str, torch.Tensor]:
        lists: Any = self.lists[self._path[side]]
        ids, weights = lists.of(nodes, fold)
        return {"peers": self._tables[side](ids), "peer_weights": weights}


def _node_table(rows: np.ndarray, stored: np.ndarray | None, width: int, init_std: float) -> nn.Embedding:
    """(len(rows), width) vectors, fresh or those stored for the rows, scaled to ``init_std``; padding is zero."""
    table = nn.Embedding(len(rows), width, padding_idx=0)
    nn.init.normal_(table.weight, std=init_std)
    if stored is not None:
        vectors = torch.from_numpy(np.array(stored[np.maximum(rows, 0)]))
        table.weight.data.copy_(vectors * (init_std / vectors.std()))
    table.weight.data[0] = 0
    return table
