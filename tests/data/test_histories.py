"""Histories against lists kept per user."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from mmbee_plugin.data.histories import DAY, Histories, positions_by_day


class Plain:
    """The same histories as Python lists: the oracle."""

    def __init__(self, users, items, times, kept):
        rows = range(len(users))
        order = sorted(rows, key=lambda row: (0 if times is None else times[row], row))
        self.entries = {
            user: [r for r in order if users[r] == user and kept[r]] for user in set(users.tolist())
        }
        self.rank = {row: place for place, row in enumerate(order)}
        self.users, self.items, self.times = users, items, times

    def before(self, row):
        return [
            r
            for r in self.entries[self.users[row]]
            if self.rank[r] < self.rank[row] and self.items[r] != self.items[row]
        ]

    def others(self, row):
        return [r for r in self.entries[self.users[row]] if self.items[r] != self.items[row]]

    def up_to(self, row):
        return [r for r in self.entries[self.users[row]] if self.rank[r] < self.rank[row]]

    def all(self, user):
        return self.entries.get(user, [])

    def check(self, slices, expected, length):
        ids, lengths, times = slices
        assert ids.shape == (len(expected), length) and ids.dtype == torch.int64
        assert lengths.dtype == torch.int64
        for place, rows in enumerate(expected):
            rows = rows[-length:]
            padding = [0] * (length - len(rows))
            assert lengths[place] == len(rows)
            assert ids[place].tolist() == [int(self.items[r]) for r in rows] + padding
            if self.times is None:
                assert times is None
            else:
                assert times.dtype == torch.float64
                assert times[place].tolist() == [float(self.times[r]) for r in rows] + padding


@pytest.mark.parametrize("timed", [True, False])
@pytest.mark.parametrize("labelled", [True, False])
@pytest.mark.parametrize("n_items", [4, 200])  # 4: users repeat items; 200: hardly
@pytest.mark.parametrize("length", [1, 3, 50])
def test_slices_are_the_lists(timed: bool, labelled: bool, n_items: int, length: int) -> None:
    rng = np.random.default_rng(n_items + length)
    n_users, n = 9, 120
    users, items = rng.integers(1, 8, n), rng.integers(1, n_items, n)  # user 8 has nothing, 0 is padding
    times = rng.integers(0, 30, n).astype(np.float64) if timed else None  # with ties
    kept = rng.random(n) < 0.5 if labelled else np.ones(n, dtype=bool)
    histories = Histories(users, items, n_users, times, kept if labelled else None)
    plain = Plain(users, items, times, kept)

    rows = rng.permutation(n)
    position = histories.positions[rows]
    plain.check(
        histories.before(users[rows], position, length, targets=items[rows]),
        [plain.before(r) for r in rows],
        length,
    )
    plain.check(
        histories.others(users[rows], position, length, targets=items[rows]),
        [plain.others(r) for r in rows],
        length,
    )
    plain.check(histories.up_to(users[rows], position, length), [plain.up_to(r) for r in rows], length)
    plain.check(histories.all(np.arange(n_users), length), [plain.all(u) for u in range(n_users)], length)
    own = rows[kept[rows]]  # of a kept row the target is the entry at its position
    for cut, expected in ((histories.before, plain.before), (histories.others, plain.others)):
        plain.check(cut(users[own], histories.positions[own], length), [expected(r) for r in own], length)


def test_ragged_items() -> None:
    histories = Histories([2, 1, 2, 2], [5, 6, 5, 7], n_users=4)
    row, items = histories.items_of([2, 3, 1])
    assert row.tolist() == [0, 0, 0, 2]
    assert items.tolist() == [5, 5, 7, 6]


def test_items_that_a_user_lacks() -> None:
    histories = Histories([2, 1, 2, 2], [5, 6, 5, 7], n_users=4)
    found = histories.lack([2, 3, 1], np.array([4, 5, 6]))
    assert found.tolist() == [[True, False, True], [True, True, True], [True, True, False]]


def test_no_interactions_at_all() -> None:
    histories = Histories(np.empty(0, np.int64), np.empty(0, np.int64), n_users=3, times=np.empty(0))
    ids, lengths, times = histories.all([0, 2], 4)
    assert ids.sum() == 0 and lengths.sum() == 0 and times is not None and times.sum() == 0
    ids, lengths, _ = histories.before([1], [0], 4, targets=[3])
    assert ids.tolist() == [[0, 0, 0, 0]] and lengths.tolist() == [0]


def test_positions_at_the_start_of_each_rows_day() -> None:
    rng = np.random.default_rng(4)
    users, times, kept = rng.integers(0, 6, 300), rng.uniform(0, 5 * DAY, 300), rng.random(300) < 0.6
    found = positions_by_day(users, times, kept, 7)
    for row, (user, day) in enumerate(zip(users, times // DAY, strict=True)):
        assert found[row] == np.sum(kept & (users == user) & (times < day * DAY))
    nobody = np.empty(0, np.int64)
    assert len(positions_by_day(nobody, nobody, nobody, 3)) == 0


def test_tensors_go_in_as_well() -> None:
    histories = Histories(torch.tensor([1, 1]), torch.tensor([3, 4]), n_users=2)
    assert histories.all(torch.tensor([1]), 2)[0].tolist() == [[3, 4]]


def test_memory_does_not_grow_with_the_length() -> None:
    rng = np.random.default_rng(0)
    n = 50_000
    histories = Histories(rng.integers(1, 500, n), rng.integers(1, 900, n), 500, times=rng.random(n))
    arrays = [value for value in vars(histories).values() if isinstance(value, np.ndarray)]
    assert sum(array.nbytes for array in arrays) < 20 * n
