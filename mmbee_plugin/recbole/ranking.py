"""Ranking metrics of every single user, for intervals and paired tests; RecBole reports their means alone."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from mmbee_plugin.metrics import ranking_metrics


@torch.no_grad()
def per_user_metrics(
    score: Callable[[Any], torch.Tensor], loader: Any, topk: Sequence[int] = (10, 20)
) -> tuple[NDArray[np.int64], dict[str, NDArray[np.float64]]]:
    """Recall, precision and NDCG of each user in a full-ranking evaluation.

    Args:
        score: a model's ``full_sort_predict``: a batch of B users -> (B, n_items) or flattened.
        loader: a full-ranking loader; its mask is applied as RecBole's trainer does.
        topk: the cut-offs.

    Returns:
        user ids (n,), and per metric of :func:`~mmbee_plugin.metrics.ranking_metrics` one value a user (n,).
    """
    users: list[NDArray[np.int64]] = []
    parts: dict[str, list[NDArray[np.float64]]] = {}
    for interaction, masked, positive_user, positive_item in loader:
        rows = len(interaction)
        scores = score(interaction).view(rows, -1).cpu().clone()
        scores[:, 0] = -np.inf
        if masked is not None:
            scores[masked] = -np.inf
        relevant = torch.zeros(scores.shape, dtype=torch.bool)
        relevant[positive_user, positive_item] = True
        hits = relevant.gather(1, scores.topk(min(max(topk), scores.shape[1]), dim=1).indices).numpy()
        for name, value in ranking_metrics(hits, relevant.sum(dim=1).numpy(), topk).items():
            parts.setdefault(name, []).append(value)
        users.append(interaction[loader._dataset.uid_field].numpy())
    return np.concatenate(users), {name: np.concatenate(values) for name, values in parts.items()}
