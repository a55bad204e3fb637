"""What the interest encoders read of nodes: neighbours pooled (GIE), or peers one by one (BDR)."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from mmbee_plugin.graph.metapaths import Metapath, Neighbours
from mmbee_plugin.torchrec.batches.bags import PEERS, Bag
from mmbee_plugin.torchrec.batches.batch import AuthorPart, UserPart
from mmbee_plugin.torchrec.batches.inputs import Inputs
from mmbee_plugin.torchrec.shards.store import ShardStore


def add_neighbours(
    part: UserPart | AuthorPart,
    pools: dict[str, Bag],
    store: ShardStore,
    inputs: Inputs,
    side: str,
    nodes: NDArray,
    fold: int | None,
) -> None:
    """Fills in the counts and mean attributes of the neighbours of nodes (B,) of a side, ``u`` or ``a``, in the graph
    without a fold's edges; what node tables look up goes into ``pools``."""
    weighted = inputs.model.neighbour_weights
    chosen = inputs.pools_of(side)
    counts = np.zeros((len(nodes), len(chosen)), dtype=np.float32)
    attributes = np.zeros((*counts.shape, inputs.attribute_width), dtype=np.float32)
    for place, pool in enumerate(chosen):
        found = pool.lists(lambda path: _lists(store, path, nodes, fold), weighted)
        for one, lists in zip(pool.parts, found, strict=True):
            lengths = np.diff(lists.indptr)
            pools[one.name] = Bag(lengths, lists.ids + 1, lists.weights)
            counts[:, place] += lengths
            if inputs.attribute_width and one.end == "a":
                stored = pool.is_stored(weighted)
                attributes[:, place] = (
                    store.attributes(one.name, nodes, fold) if stored else store.attributes_over(lists)
                )
    if chosen:
        part.neighbour_count = torch.from_numpy(counts)
        part.attributes = torch.from_numpy(attributes) if inputs.attribute_width else None


def add_peers(
    part: UserPart | AuthorPart,
    sequences: dict[str, Bag],
    store: ShardStore,
    inputs: Inputs,
    side: str,
    nodes: NDArray,
    fold: int | None,
) -> None:
    """Fills in the weights of the nodes' peers, arguments as :func:`add_neighbours`; what the table of their own side
    looks up goes into ``sequences``."""
    for path in inputs.peer_paths:
        if Metapath.parse(path).start != side:
            continue
        lengths, rows, found = store.neighbours(path, nodes, fold)
        sequences[PEERS[side]] = Bag(lengths, store.user_ids(rows) if side == "u" else store.author_ids(rows))
        filled = np.arange(max(1, int(lengths.max(initial=0)))) < lengths[:, None]
        weights = np.zeros(filled.shape, dtype=np.float32)
        weights[filled] = found
        part.peer_weights = torch.from_numpy(weights)


def _lists(store: ShardStore, path: str, nodes: NDArray, fold: int | None) -> Neighbours:
    """The nodes' neighbours along a metapath, node by node of the batch."""
    lengths, rows, weights = store.neighbours(path, nodes, fold)
    return Neighbours(np.concatenate([[0], np.cumsum(lengths)]), rows, weights)
