"""What the interest encoders read of nodes: pooled neighbours along metapaths (GIE), or peers one by one (BDR)."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from mmbee_plugin.graph.metapaths import Metapath
from mmbee_plugin.torchrec.bags import Bag
from mmbee_plugin.torchrec.batch import AuthorPart, UserPart
from mmbee_plugin.torchrec.inputs import Inputs
from mmbee_plugin.torchrec.store import ShardStore
from mmbee_plugin.torchrec.tables import PEERS


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
    paths = inputs.user_paths if side == "u" else inputs.author_paths
    counts = []
    for path in paths:
        lengths, rows, weights = store.neighbours(path.name, nodes, fold)
        pools[path.name] = Bag(lengths, rows + 1, weights)
        counts.append(lengths)
    if paths:
        part.neighbour_count = torch.from_numpy(np.stack(counts, axis=1).astype(np.float32))
        part.attributes = _attributes(store, inputs.attribute_width, paths, nodes, fold)


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


def _attributes(
    store: ShardStore, width: int, paths: tuple[Metapath, ...], nodes: NDArray, fold: int | None
) -> torch.Tensor | None:
    """(B, P, D) mean attributes, zero for paths that end at users."""
    if not width:
        return None
    values = np.zeros((len(nodes), len(paths), width), dtype=np.float32)
    for place, path in enumerate(paths):
        found = store.attributes(path.name, nodes, fold)
        if found is not None:
            values[:, place] = found
    return torch.from_numpy(values)
