"""The embedding tables of a job as TorchRec modules, and the inputs of GTRModel made from their vectors.

Three modules hold all tables, because TorchRec shares no weights between them:

* ``sequences``: ``author``, one vector an id, for the target and for the history; with BDR ``user`` as well, since
  peers are read one by one;
* ``bags``: ``user`` otherwise; ``query``, an author's N tokens as one row of N·d; ``words_<modality>``, mean of a bag;
* ``pools``: ``nodes_user`` and ``nodes_author``, weighted sums over neighbours, one feature for each part of a pool
  (:mod:`~mmbee_plugin.graph.pools`); the sums of a pool's parts add up to its mean.

A table of n users or authors has n + 1 rows: row r of the file is id r + 1, id 0 the default row of those unseen in
training (unused in the node tables). ``user`` and ``author`` have ``model.unseen_rows`` more for the unseen
(`torchrec.shards.ids`); ``query`` has none, since unseen authors read the model's default queries.
"""

from __future__ import annotations

from dataclasses import replace
from functools import reduce
from typing import TypeVar

import torch
from torch import nn
from torchrec.modules.embedding_configs import (
    BaseEmbeddingConfig,
    EmbeddingBagConfig,
    EmbeddingConfig,
    PoolingType,
)
from torchrec.modules.embedding_modules import EmbeddingBagCollection, EmbeddingCollection
from torchrec.sparse.jagged_tensor import JaggedTensor, KeyedTensor

from mmbee_plugin.graph.pools import Pool
from mmbee_plugin.modules.batch import AuthorSide, UserSide
from mmbee_plugin.modules.exchange import WORD_TABLES, word_table
from mmbee_plugin.modules.tokens import WORD_WIDTH
from mmbee_plugin.torchrec.batches.bags import PEERS
from mmbee_plugin.torchrec.batches.batch import Batch
from mmbee_plugin.torchrec.batches.inputs import Inputs
from mmbee_plugin.torchrec.shards.layout import NODES

Config = TypeVar("Config", bound=BaseEmbeddingConfig)

Looked = tuple[dict[str, JaggedTensor], KeyedTensor | None, KeyedTensor | None]
"""vectors of a batch from ``sequences``, ``bags`` and ``pools``."""


def section_of(table: str) -> str:
    """Name of a table's section in the settings ``tables``."""
    if table in NODES.values():
        return "nodes"
    return "words" if table.startswith(WORD_TABLES) else table


def sequence_configs(inputs: Inputs) -> list[EmbeddingConfig]:
    """Tables of ``sequences``."""
    unseen, width = inputs.model.unseen_rows, inputs.model.width
    rows = inputs.n_users + 1 + unseen, inputs.n_authors + 1 + unseen
    features = ["author", "history"]
    if not inputs.peer_paths:
        return [_config(EmbeddingConfig, "author", rows[1], width, features)]
    return [
        _config(EmbeddingConfig, "user", rows[0], width, ["user", PEERS["u"]]),
        _config(EmbeddingConfig, "author", rows[1], width, [*features, PEERS["a"]]),
    ]


def bag_configs(inputs: Inputs) -> list[EmbeddingBagConfig]:
    """Tables of ``bags``; there may be none."""
    width = inputs.model.width
    users = inputs.n_users + 1 + inputs.model.unseen_rows
    configs = []
    if inputs.model.user_ids and not inputs.peer_paths:
        configs.append(_config(EmbeddingBagConfig, "user", users, width, ["user"]))
    if inputs.num_queries:
        rows, numbers = inputs.n_authors + 1, inputs.num_queries * inputs.model.content_width
        configs.append(_config(EmbeddingBagConfig, "query", rows, numbers, ["query"]))
    for modality, vocabulary in inputs.words.items():
        name = word_table(modality)
        words = _config(EmbeddingBagConfig, name, vocabulary, WORD_WIDTH, [name])
        words.pooling = PoolingType.MEAN
        configs.append(words)
    return configs


def pool_configs(inputs: Inputs) -> list[EmbeddingBagConfig]:
    """Tables of ``pools``; none if no metapath is read."""
    rows = {"u": inputs.n_users + 1, "a": inputs.n_authors + 1}
    configs = []
    for side, table in NODES.items():
        features = [part.name for pool in inputs.pools for part in pool.parts if part.end == side]
        if features:
            configs.append(_config(EmbeddingBagConfig, table, rows[side], inputs.model.width, features))
    return configs


class Tables(nn.Module):
    """All tables of a job; unsharded until TorchRec wraps the model.

    Args:
        inputs: which tables, and their sizes.
        device: ``meta`` if the tables are to be sharded, so that nothing is allocated before.
    """

    def __init__(self, inputs: Inputs, device: torch.device) -> None:
        super().__init__()
        bags, pools = bag_configs(inputs), pool_configs(inputs)
        self.sequences = EmbeddingCollection(tables=sequence_configs(inputs), device=device)
        self.bags = EmbeddingBagCollection(tables=bags, device=device) if bags else None
        self.pools = EmbeddingBagCollection(tables=pools, is_weighted=True, device=device) if pools else None

    def forward(self, batch: Batch) -> Looked:
        """Looks up all ids of a batch; collective if the tables are sharded."""
        bags = self.bags(batch.bags) if self.bags is not None else None
        pools = self.pools(batch.pools) if self.pools is not None else None
        return self.sequences(batch.sequences), bags, pools


def user_side(inputs: Inputs, batch: Batch, looked: Looked) -> UserSide:
    """The batch's users, completed with the looked-up vectors."""
    sequences, bags, pools = looked
    side = batch.users
    assert side is not None
    count, longest = side.history_mask.shape
    user = None
    if inputs.peer_paths:
        user = sequences["user"].values()
    elif inputs.model.user_ids:
        assert bags is not None
        user = _first(bags["user"], count)
    return replace(
        side,
        user=user,
        history=_first(sequences["history"].to_padded_dense(longest), count),
        neighbours=_means(pools, inputs.pools_of("u"), count),
        peers=_peers(sequences, "u", side.peer_weights),
    )


def author_side(inputs: Inputs, batch: Batch, looked: Looked) -> AuthorSide:
    """The batch's authors, completed with the looked-up vectors."""
    sequences, bags, pools = looked
    side = batch.authors
    assert side is not None
    count = len(side.author)
    queries, segments = None, side.segments
    if inputs.num_queries:
        assert bags is not None
        queries = _first(bags["query"], count).unflatten(1, (inputs.num_queries, -1))
    if inputs.words:
        assert bags is not None
        words = {name: _first(bags[word_table(name)], count)[:, None, None] for name in inputs.words}
        segments = {name: words[name] if name in words else segments[name] for name in inputs.modalities}
    return replace(
        side,
        author=sequences["author"].values(),
        queries=queries,
        segments=segments,
        neighbours=_means(pools, inputs.pools_of("a"), count),
        peers=_peers(sequences, "a", side.peer_weights),
    )


def _first(rows: torch.Tensor, count: int) -> torch.Tensor:
    """The first rows. Of all of them there is no slice, whose gradient would be copied into one of zeros."""
    return rows if rows.shape[0] == count else rows[:count]


def _means(looked: KeyedTensor | None, pools: tuple[Pool, ...], count: int) -> torch.Tensor | None:
    """(count, P, d) mean over each pool, added up from its parts; None without pools."""
    if looked is None or not pools:
        return None
    means = (reduce(torch.add, [_first(looked[part.name], count) for part in pool.parts]) for pool in pools)
    return torch.stack(list(means), dim=1)


def _peers(
    sequences: dict[str, JaggedTensor], side: str, weights: torch.Tensor | None
) -> torch.Tensor | None:
    """Vectors (B, K, d) of each node's peers, zero for padding, for weights (B, K); None without weights."""
    if weights is None:
        return None
    return _first(sequences[PEERS[side]].to_padded_dense(weights.shape[1]), len(weights))


def _config(kind: type[Config], name: str, rows: int, width: int, features: list[str]) -> Config:
    # `write_initial` writes the rows after sharding; TorchRec's own initial values would depend on the shards.
    return kind(
        name=name, num_embeddings=rows, embedding_dim=width, feature_names=features, init_fn=nn.init.zeros_
    )
