"""The popularity baseline: every user is shown the most bought items that they do not have yet."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from mmbee_plugin.data.histories import ragged
from mmbee_plugin.data.writer import Interactions
from mmbee_plugin.evaluation.metrics import exact_mean, exact_sum, ranking_metrics

CELLS = 1 << 24
"""How many cells (user, item) are looked at at once."""


def popularity_places(items: np.ndarray, n_items: int) -> np.ndarray:
    """(n_items,) int64, each item's place by the number of its training interactions `items` (n,), from 0 on.

    Ties are in the order of the items.
    """
    order = np.argsort(-np.bincount(items, minlength=n_items), kind="stable")
    place = np.empty(n_items, dtype=np.int64)
    place[order] = np.arange(n_items)
    return place


def rank_by_popularity(
    train: Interactions, held_out: Interactions, n_items: int, topk: Sequence[int] = (10, 20)
) -> dict[str, float]:
    """Means over the users of `held_out` of Recall, Precision and NDCG (`metrics.ranking_metrics`).

    Full ranking by `popularity_places`. A user's training items are masked, but never a held-out one, as in the runs.

    Args:
        train, held_out: rows of users and items; a pair counts once as a positive, every row as popularity.
        n_items: number of items.
        topk: the cut-offs.

    Returns:
        by names such as "recall@10", and under "users" how many users there are.
    """
    positive = np.unique(held_out.users * n_items + held_out.items)
    masked = np.setdiff1d(train.users * n_items + train.items, positive)
    place = popularity_places(train.items, n_items)
    users, positives = np.unique(positive // n_items, return_counts=True)
    starts, stops = (np.searchsorted(masked, (users + shift) * n_items) for shift in (0, 1))
    by_length = np.argsort(stops - starts, kind="stable")
    sums: dict[str, np.ndarray] = {}
    while len(by_length):
        # The best k open items lie within the first k + masked: as many users at once as that many cells hold.
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
