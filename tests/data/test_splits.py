"""The split by user against lists kept per user, and its rounding for short histories."""

import numpy as np
import pytest

from mmbee_plugin.data.splits import leave_one_out, split_by_user


@pytest.mark.parametrize("timed", [True, False])
def test_each_users_newest_are_held_out(timed):
    random = np.random.default_rng(3)
    users = random.integers(0, 12, 400)
    times = random.integers(0, 50, 400).astype(float) if timed else None  # with ties
    parts = split_by_user(users, times)
    for user in range(12):
        rows = np.flatnonzero(users == user)
        if times is not None:
            rows = rows[np.argsort(times[rows], kind="stable")]
        assert (np.diff(parts[rows]) >= 0).all()
        held = max(1, int(0.1 * len(rows)))
        assert (parts[rows] == 1).sum() == (parts[rows] == 2).sum() == held


@pytest.mark.parametrize(
    ("count", "sizes"), [(1, [1, 0, 0]), (2, [1, 0, 1]), (3, [1, 1, 1]), (19, [17, 1, 1])]
)
def test_training_keeps_one_row_then_test_gets_one(count, sizes):
    assert np.bincount(split_by_user(np.zeros(count, dtype=int), None), minlength=3).tolist() == sizes


@pytest.mark.parametrize("timed", [True, False])
def test_the_last_two_of_each_user_are_held_out(timed):
    random = np.random.default_rng(4)
    users = random.permutation(np.repeat(np.arange(6), [1, 2, 3, 4, 9, 30]))
    times = random.integers(0, 20, len(users)).astype(float) if timed else None  # with ties
    parts = leave_one_out(users, times)
    for user in range(6):
        rows = np.flatnonzero(users == user)
        if times is not None:
            rows = rows[np.argsort(times[rows], kind="stable")]
        assert parts[rows].tolist() == ([0] * (len(rows) - 2) + [1, 2] if len(rows) > 2 else [0] * len(rows))
