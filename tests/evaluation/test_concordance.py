"""Order within users against every pair of rows, and against AUC where the quantity has two values."""

from __future__ import annotations

from itertools import combinations

import numpy as np

from mmbee_plugin.evaluation.concordance import user_concordance
from mmbee_plugin.evaluation.metrics import user_auc


def drawn(values: int):
    """Users of 1 to some 20 rows, a quantity of so many values, and scores with ties."""
    random = np.random.default_rng(values)
    users = random.choice([3, 5, 8, 9, 40], 60, p=[0.4, 0.3, 0.2, 0.08, 0.02])
    return users, random.integers(values, size=60).astype(float), np.round(random.normal(size=60), 1)


def test_it_is_the_share_of_pairs_in_order():
    users, values, scores = drawn(6)
    found = user_concordance(users, values, scores)
    for user, share, rows in zip(*found, strict=True):
        own = np.flatnonzero(users == user)
        pairs = [(i, j) for i, j in combinations(own, 2) if values[i] != values[j]]
        wins = [0.5 + np.sign((values[i] - values[j]) * (scores[i] - scores[j])) / 2 for i, j in pairs]
        assert (share, rows) == (np.mean(wins), len(own))
    alone = {user for user in users if len(set(values[users == user])) < 2}
    assert set(found.users) == set(users) - alone


def test_of_two_values_it_is_auc():
    users, labels, scores = drawn(2)
    found, expected = user_concordance(users, labels, scores), user_auc(users, labels, scores)
    for own, other in zip(found, expected, strict=True):
        np.testing.assert_allclose(own, other)


def test_a_quantity_that_never_differs_orders_nothing():
    assert len(user_concordance(np.array([1, 1, 2]), np.array([4.0, 4.0, 5.0]), np.arange(3.0)).users) == 0
    assert len(user_concordance(np.empty(0), np.empty(0), np.empty(0)).users) == 0
