import numpy as np

from mmbee_plugin.data.folds import fold_of


def test_folds_follow_the_pair_and_the_seed():
    random = np.random.default_rng(0)
    users, authors = random.integers(0, 500, 20_000), random.integers(0, 300, 20_000)
    part = fold_of(users, authors, 5, 7)
    assert set(part) == set(range(5))
    counts = np.bincount(part)
    assert counts.min() > 3_600
    shuffled = random.permutation(len(users))
    np.testing.assert_array_equal(fold_of(users[shuffled], authors[shuffled], 5, 7), part[shuffled])
    assert (fold_of(users, authors, 5, 8) != part).mean() > 0.7
    # A fold is no function of either end alone.
    assert len(set(part[users == users[0]])) == 5
