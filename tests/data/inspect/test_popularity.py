from __future__ import annotations

import numpy as np
import pytest

from mmbee_plugin.data.inspect import popularity
from mmbee_plugin.data.inspect.popularity import rank_by_popularity
from mmbee_plugin.data.writer import Interactions


def _brute_force(train, held_out, n_items, k):
    counts = np.bincount(train.items, minlength=n_items)
    own, wanted = {}, {}
    for part, sets in ((train, own), (held_out, wanted)):
        for user, item in zip(part.users.tolist(), part.items.tolist(), strict=True):
            sets.setdefault(user, set()).add(item)
    recalls, ndcgs = [], []
    for user, positives in wanted.items():
        masked = own.get(user, set()) - positives
        ranking = sorted(set(range(n_items)) - masked, key=lambda item: (-counts[item], item))[:k]
        gains = [1 / np.log2(rank + 2) for rank, item in enumerate(ranking) if item in positives]
        recalls.append(len(gains) / len(positives))
        ndcgs.append(sum(gains) / sum(1 / np.log2(rank + 2) for rank in range(min(k, len(positives)))))
    return np.mean(recalls), np.mean(ndcgs), len(wanted)


@pytest.mark.parametrize("cells", [1 << 24, 40])
@pytest.mark.parametrize("n_items", [60, 12])
def test_as_by_hand(monkeypatch, cells, n_items):
    monkeypatch.setattr(popularity, "CELLS", cells)
    rng = np.random.default_rng(n_items)
    items = np.minimum(rng.geometric(0.08, 400) - 1, n_items - 1)
    train = Interactions(rng.integers(0, 30, 400), items)
    held_out = Interactions(
        rng.integers(0, 40, 90), rng.integers(0, n_items, 90)
    )  # new users, leaks, repetitions
    found = rank_by_popularity(train, held_out, n_items, topk=(5, 20))
    for k in (5, 20):
        recall, ndcg, users = _brute_force(train, held_out, n_items, k)
        assert found[f"recall@{k}"] == pytest.approx(recall) and found[f"ndcg@{k}"] == pytest.approx(ndcg)
        assert found["users"] == users
