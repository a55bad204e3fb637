"""Popularity baseline: ranks items by their training interactions, without those the user already has."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from mmbee_plugin.data.ragged import ragged
from mmbee_plugin.data.writer import Interactions
from mmbee_plugin.evaluation.metrics import exact_mean, exact_sum, ranking_metrics

CELLS = 1 << 24
"""(user, item) cells ranked at a time"""


def popularity_places(items: np.ndarray, n_items: int) -> np.ndarray:
    """(n_items,) int64, rank from 0 of each item by its count in the training interactions `items` (n,); ties by id."""
    order = np.argsort(-np.bincount(items, minlength=n_items), kind="stable")
    place = np.empty(n_items, dtype=np.int64)
    place[order] = np.arange(n_items)
    return place


def rank_by_popularity(
    train: Interactions, held_out: Interactions, n_items: int, topk: Sequence[int] = (10, 20)
) -> dict[str, float]:
    """Recall, Precision and NDCG (`metrics.ranking_metrics`), averaged over the users of `held_out`.

    Full ranking by `popularity_places`; as in the runs, training items are masked unless they are held out too.

    Args:
        train, held_out: rows of users and items; repeated pairs count once as positives, each time as popularity.
        n_items: number of items.
        topk: the cut-offs.

    Returns:
        values by names such as "recall@10"; "users" is the number of users.
    """
    positive = np.unique(held_out.users * n_items + held_out.items)
    masked = np.setdiff1d(train.users * n_items + train.items, positive)
    place = popularity_places(train.items, n_items)
    users, positives = np.unique(positive // n_items, return_counts=True)
    starts, stops = (np.searchsorted(masked, (users + shift) * n_items) for shift in (0, 1))
    by_length = np.argsort(stops - starts, kind="stable")
    sums: dict[str, np.ndarray] = {}
    while len(by_length):
        # The best k open items are among the first k + masked; a batch has the users that fit into CELLS.
        depths = np.minimum(max(topk) + (stops - starts)[by_length], n_items)
        size = max(1, int(np.searchsorted(depths * np.arange(1, len(depths) + 1), CELLS)))
        chosen, by_length = by_length[:size], by_length[size:]
        depth = int(depths[:size][-1])
        open_ = np.ones((len(chosen), depth), dtype=bool)
        hit = np.zeros_like(open_)
        for cells, keys, low, high in (
            (open_, masked, starts[chosen], stops[chosen]),
            (hit, positive, *_positive_range(positive, users[chosen], n_items)),
        ):
            row, index = ragged(low, high)
            column = place[keys[index] % n_items]
            cells[row[column < depth], column[column < depth]] = cells is hit
        best = np.argsort(~open_, axis=1, kind="stable")[:, : max(topk)]
        hits = np.take_along_axis(hit & open_, best, axis=1)
        for name, values in ranking_metrics(hits, positives[chosen], topk).items():
            sums[name] = sums.get(name, 0) + exact_sum(values)
    return {name: exact_mean(total, len(users)) for name, total in sums.items()} | {
        "users": float(len(users))
    }


def _positive_range(keys: np.ndarray, users: np.ndarray, n_items: int) -> tuple[np.ndarray, np.ndarray]:
    return np.searchsorted(keys, users * n_items), np.searchsorted(keys, (users + 1) * n_items)
