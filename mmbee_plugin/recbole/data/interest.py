"""Node tables and stored neighbour lists, the inputs of GIE and BDR, looked up by RecBole's ids."""

from __future__ import annotations

from functools import reduce
from typing import Any

import numpy as np
import torch
from torch import nn

from mmbee_plugin.graph.metapaths import Metapath
from mmbee_plugin.graph.pools import Pool, pools_of
from mmbee_plugin.graph.snapshot import Snapshot
from mmbee_plugin.recbole.data.neighbours import NeighbourLists, ReachLists, pooled_lists
from mmbee_plugin.recbole.data.split import TrainingSplit


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
        self.reach = ReachLists(snapshot, rows["u"]) if snapshot.settings.reach_top_k else None
        nobody = torch.zeros(1, dtype=torch.long)
        found = [one.attributes(nobody, None) for one in lists.values()]
        self.attribute_width = max((part.shape[1] for part in found if part is not None), default=0)
        self._snapshot = snapshot
        snapshot.rest()

    def tables(self) -> dict[str, nn.Module]:
        """The node tables by their names in an exchange file."""
        return {"nodes_user": self.nodes["u"], "nodes_author": self.nodes["a"]}

    def names(self, side: str) -> tuple[str, ...]:
        """Names of the means of side ``u`` or ``a``, in tensor order: metapaths, joined by + if pooled together."""
        return tuple(pool.name for pool in self.pools[side])

    def user(self, users: torch.Tensor, fold: int | None = None) -> dict[str, torch.Tensor | None]:
        """Fields of :class:`UserSide` for users (B,); with ``fold``, from the graph without that fold's edges."""
        reach = self.reach(users, fold) if self.reach is not None else {}
        fields = {**self._side("u", users, fold), **reach}
        self._snapshot.rest()
        return fields

    def author(self, items: torch.Tensor, fold: int | None = None) -> dict[str, torch.Tensor | None]:
        """Fields of :class:`AuthorSide` for items (B,), as ``user``."""
        fields = self._side("a", items, fold)
        self._snapshot.rest()
        return fields

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
