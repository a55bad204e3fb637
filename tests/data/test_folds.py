import numpy as np
import pytest

from mmbee_plugin.data.folds import DAY, fold_of, fold_of_day
from mmbee_plugin.data.histories import Histories, positions_by_day
from mmbee_plugin.data.training_rows import TrainingRows
from mmbee_plugin.errors import InputError
from mmbee_plugin.graph.settings import SEEN


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


def test_folds_of_days_end_where_daily_histories_do():
    """By hand: a row sees the gifts before its day in its history, and in the graph of its fold."""
    random = np.random.default_rng(1)
    users, times = random.integers(0, 5, 300), random.uniform(0, 4.7 * DAY, 300)
    gifts = random.random(300) < 0.6
    folds = fold_of_day(times, times[gifts], 3)
    last = int(times[gifts].max() // DAY)
    assert [*folds] == [max(0, int(time // DAY) - last + 2) for time in times]
    seen_by_fold = [set(np.flatnonzero(gifts & SEEN["day"](folds, fold))) for fold in range(3)]
    positions = positions_by_day(users, times, gifts, 5)
    for row in np.flatnonzero(times // DAY >= last - 1):
        before = {other for other in np.flatnonzero(gifts) if times[other] < times[row] // DAY * DAY}
        assert seen_by_fold[folds[row]] == before
        assert positions[row] == sum(users[other] == users[row] for other in before)


def test_rows_of_the_last_days_alone_are_kept():
    times = np.array([0.0, 1.5, 2.0, 2.9]) * DAY
    users, items = np.zeros(4, int), np.arange(4)
    histories = Histories(users, items, 1, times)
    chosen = TrainingRows.chosen(users, items, np.ones(4, bool), times, histories, days=1)
    assert chosen.kept.tolist() == [False, False, True, True]
    assert histories.indptr.tolist() == [0, 4], "the others stay history"
    with pytest.raises(InputError, match="train_days 1: the data have no time"):
        TrainingRows.chosen(users, items, np.ones(4, bool), None, histories, days=1)
