"""User histories: one sorted copy of the training interactions, sliced when a batch is built.

RecBole's SequentialDataset stores a padded list per interaction, O(interactions x length). Here every interaction is
stored once, and a batch cuts its lists out of the users' runs.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from mmbee_plugin.data.folds import DAY
from mmbee_plugin.data.ragged import ragged

Slices = tuple[Tensor, Tensor, Tensor | None]


def positions_by_day(users: ArrayLike, times: ArrayLike, kept: ArrayLike, n_users: int) -> NDArray[np.int32]:
    """(n,) number of kept rows of the same user before the day of each row.

    Args:
        users: (n,) user ids.
        times: (n,) seconds; days are 24 hours, counted from 0.
        kept: (n,) bool.
        n_users: number of user ids.
    """
    user, keep = np.asarray(users), np.asarray(kept, dtype=bool)
    day = np.asarray(times) // DAY
    order = np.lexsort((day, user))
    user, day = user[order], day[order]
    before = np.cumsum(keep[order]) - keep[order]
    new = np.ones(len(order), dtype=bool)
    new[1:] = (user[1:] != user[:-1]) | (day[1:] != day[:-1])
    at_start = before[new][np.cumsum(new) - 1]
    earlier_users = np.concatenate(([0], np.cumsum(np.bincount(user[keep[order]], minlength=n_users))))
    positions = np.empty(len(order), dtype=np.int32)
    positions[order] = at_start - earlier_users[user]
    return positions


class Histories:
    """Interactions grouped by user, oldest first (CSR), in the caller's ids.

    `all`, `up_to`, `before` and `others` return `(ids, lengths, times)`: the most recent `length` entries, oldest
    first, as ids (B, length) int64 and times (B, length) float64 (None for data without time), both right-padded with
    0, and lengths (B,) int64.

    Args:
        users: (n,) user ids.
        items: (n,) item ids.
        n_users: number of user ids.
        times: (n,) seconds; None: rows are in order of time.
        kept: (n,) bool, rows that enter the histories (the positives of labelled data); all by default.

    Attributes:
        indptr: (n_users + 1,) int64; the entries of user u are `indptr[u]:indptr[u + 1]`.
        items: (entries,) int32.
        times: (entries,) float64 or None; float32 would be 8 seconds off after three years.
        repeats: (n_users,) int32, occurrences of the user's most repeated item.
        positions: (n,) int32, number of the user's entries before each given row, kept or not; (0,) for stored
            histories.
    """

    def __init__(
        self,
        users: ArrayLike,
        items: ArrayLike,
        n_users: int,
        times: ArrayLike | None = None,
        kept: ArrayLike | None = None,
    ) -> None:
        user, item = np.asarray(users), np.asarray(items)
        keep = np.ones(len(user), dtype=bool) if kept is None else np.asarray(kept, dtype=bool)
        order = np.argsort(user, kind="stable") if times is None else np.lexsort((np.asarray(times), user))
        kept_order = order[keep[order]]

        counts = np.bincount(user[kept_order], minlength=n_users)
        self.indptr = np.concatenate(([0], np.cumsum(counts))).astype(np.int64)
        self.items = item[kept_order].astype(np.int32)
        self.times = None if times is None else np.asarray(times)[kept_order].astype(np.float64)
        entries_before = np.cumsum(keep[order]) - keep[order]
        self.positions = np.empty(len(user), dtype=np.int32)
        self.positions[order] = entries_before - self.indptr[user[order]]
        self.repeats = self._most_repeats(user[kept_order])

    @classmethod
    def stored(cls, indptr: NDArray, items: NDArray, times: NDArray | None, repeats: NDArray) -> Histories:
        """Histories over the arrays of others, which may be memory-mapped; without `positions`."""
        histories = cls.__new__(cls)
        histories.indptr, histories.items, histories.times = indptr, items, times
        histories.repeats, histories.positions = repeats, np.empty(0, dtype=np.int32)
        return histories

    def all(self, users: ArrayLike, length: int) -> Slices:
        """The whole histories of users (B,), for evaluation."""
        user = np.asarray(users)
        return self.up_to(user, self.indptr[user + 1] - self.indptr[user], length)

    def up_to(self, users: ArrayLike, positions: ArrayLike, length: int) -> Slices:
        """The entries before `positions` (B,), of any item."""
        user = np.asarray(users)
        stop = self.indptr[user] + np.asarray(positions)
        start = np.maximum(self.indptr[user], stop - length)
        column = np.arange(length)
        index = start[:, None] + column  # (B, length)
        valid = index < stop[:, None]
        return self._gather(np.where(valid, index, 0), valid, stop - start)

    def before(
        self, users: ArrayLike, positions: ArrayLike, length: int, targets: ArrayLike | None = None
    ) -> Slices:
        """The entries before `positions` (B,) other than item `targets` (B,), by default the item at `positions`."""
        user, position = np.asarray(users), np.asarray(positions)
        start = self.indptr[user]
        return self._without_target(user, start + position, self._targets(start + position, targets), length)

    def others(
        self, users: ArrayLike, positions: ArrayLike, length: int, targets: ArrayLike | None = None
    ) -> Slices:
        """All entries of the user (leave one out) other than item `targets` (B,), by default the item at `positions`
        (B,)."""
        user, position = np.asarray(users), np.asarray(positions)
        target = self._targets(self.indptr[user] + position, targets)
        return self._without_target(user, self.indptr[user + 1], target, length)

    def items_of(self, users: ArrayLike) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """All entries of `users` (B,), unpadded: rows in `users` and item ids, both (E,)."""
        user = np.asarray(users)
        row, entry = ragged(self.indptr[user], self.indptr[user + 1])
        return row, self.items[entry].astype(np.int64)

    def lack(self, users: ArrayLike, items: NDArray) -> NDArray[np.bool_]:
        """(B, C) whether each user (B,) lacks each of the items (C,), which are distinct and ascending."""
        row, known = self.items_of(users)
        place = np.searchsorted(items, known).clip(max=len(items) - 1)
        hit = items[place] == known
        lacking = np.ones((np.size(users), len(items)), dtype=bool)
        lacking[row[hit], place[hit]] = False
        return lacking

    def _targets(self, entry: NDArray, targets: ArrayLike | None) -> NDArray:
        return self.items[entry] if targets is None else np.asarray(targets)

    def _most_repeats(self, user: NDArray) -> NDArray[np.int32]:
        """(n_users,) occurrences of the user's most repeated item: the most entries that leaving it out can drop."""
        repeats = np.zeros(len(self.indptr) - 1, dtype=np.int32)
        if len(user):
            order = np.lexsort((self.items, user))
            pair_user, pair_item = user[order], self.items[order]
            new_pair = (pair_user[1:] != pair_user[:-1]) | (pair_item[1:] != pair_item[:-1])
            edges = np.concatenate(([0], np.flatnonzero(new_pair) + 1, [len(order)]))
            np.maximum.at(repeats, pair_user[edges[:-1]], np.diff(edges))
        return repeats

    def _without_target(self, user: NDArray, stop: NDArray, target: NDArray, length: int) -> Slices:
        window = length + int(self.repeats[user].max(initial=0))
        index = stop[:, None] - window + np.arange(window)  # (B, window), right-aligned
        valid = index >= self.indptr[user][:, None]
        index = np.where(valid, index, 0)
        valid &= self._items_at(index) != target[:, None]
        valid &= np.cumsum(valid[:, ::-1], axis=1)[:, ::-1] <= length
        lengths = valid.sum(axis=1)
        left = np.arange(length) < lengths[:, None]  # (B, length)
        compact = np.zeros((len(user), length), dtype=np.int64)
        compact[left] = index[valid]
        return self._gather(compact, left, lengths)

    def _items_at(self, index: NDArray) -> NDArray:
        return self.items[index] if len(self.items) else np.zeros_like(index)

    def _gather(self, index: NDArray, valid: NDArray, lengths: NDArray) -> Slices:
        ids = torch.from_numpy(np.where(valid, self._items_at(index), 0).astype(np.int64))
        times = None
        if self.times is not None:
            values = self.times[index] if len(self.times) else np.zeros(index.shape)
            times = torch.from_numpy(np.where(valid, values, 0.0).astype(np.float64, copy=False))
        return ids, torch.from_numpy(lengths.astype(np.int64)), times
