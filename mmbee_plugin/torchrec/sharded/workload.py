"""Estimates how many rows of each table a process looks up in a step, for the planner."""

from __future__ import annotations

from mmbee_plugin.graph.settings import GraphSettings
from mmbee_plugin.modules.exchange import word_table
from mmbee_plugin.torchrec.batches.inputs import Inputs
from mmbee_plugin.torchrec.settings import Settings
from mmbee_plugin.torchrec.shards.layout import NODES

WORDS_A_BAG = 20
"""words assumed in an author's bag"""


def workload(inputs: Inputs, settings: Settings, world_size: int) -> tuple[int, dict[str, list[float]]]:
    """Stride of a process's batch, and by table the mean number of ids in a bag of each feature.

    Upper bounds: full histories, full neighbour lists, no candidate drawn twice.
    """
    train = settings.train
    users = _share(train.batch_size, world_size)
    candidates = train.batch_size * (1 + train.negatives)
    if inputs.shares_pool:
        candidates = min(candidates, inputs.n_authors)
    authors = _share(candidates, world_size)
    stride = max(users, authors)
    a_user, an_author = users / stride, authors / stride
    neighbours = GraphSettings().top_k
    peers = [neighbours] if inputs.peer_paths else []
    factors = {
        "author": [an_author, a_user * settings.data.history_length, *(an_author * peer for peer in peers)],
        "user": [a_user, *(a_user * peer for peer in peers)],
    }
    factors["query"] = [an_author]
    for modality in inputs.words:
        factors[word_table(modality)] = [an_author * WORDS_A_BAG]
    for side, table in NODES.items():
        factors[table] = [
            neighbours * len(part.paths) * (a_user if pool.start == "u" else an_author)
            for pool in inputs.pools
            for part in pool.parts
            if part.end == side
        ]
    return stride, factors


def _share(total: int, world_size: int) -> int:
    return -(-total // world_size)
