"""Rankings without training: popularity and plain walks over the training interactions."""

from __future__ import annotations

from collections.abc import Callable

import torch
from recbole.data.interaction import Interaction
from scipy.sparse import csr_matrix
from torch import Tensor

from mmbee_plugin.data.inspect.popularity import popularity_places
from mmbee_plugin.graph.donations import donation_graph, weigh
from mmbee_plugin.graph.metapaths import Metapath
from mmbee_plugin.graph.swing import swing
from mmbee_plugin.graph.walks import Walk
from mmbee_plugin.recbole.data.split import TrainingSplit

Score = Callable[[Interaction], Tensor]
"""a batch of B users -> (B, n_items), as a model's ``full_sort_predict``"""


def most_popular(dataset: TrainingSplit) -> Score:
    """Ranks items by their number of training interactions, ties by row in the ``.item`` file.

    RecBole's Pop differs: it counts an item once a batch.
    """
    rows = dataset.item_rows[dataset.inter_feat[dataset.iid_field].numpy()]
    place = popularity_places(rows, dataset.item_num - 1)
    scores = -torch.from_numpy(place[dataset.item_rows]).double()  # padding may have any score: it is masked
    return lambda interaction: scores.repeat(len(interaction), 1)


def walk(dataset: TrainingSplit, nodes: str) -> Score:
    """Scores items by the probability that a walk from the user along ``nodes``, such as ``uaua``, ends there.

    Interactions weigh alike; the step aa follows Swing similarity.
    """
    u2a = training_graph(dataset)
    found = Walk(Metapath(nodes), u2a, swing(u2a) if "aa" in nodes else None)
    return lambda interaction: torch.from_numpy(found(interaction[dataset.uid_field].numpy()))


def training_graph(dataset: TrainingSplit) -> csr_matrix:
    """(n_users, n_items) of RecBole's ids, 1 for each pair of the training split."""
    users, items = (dataset.inter_feat[field].numpy() for field in (dataset.uid_field, dataset.iid_field))
    kept = dataset.positive_rows()
    return weigh(donation_graph(users[kept], items[kept], None, dataset.user_num, dataset.item_num), "binary")
