"""Negatives of a global batch, a function of the row's number in the batch: every process draws the same."""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from mmbee_plugin.randomness.mixing import mix
from mmbee_plugin.randomness.streams import Purpose, key

REDRAWS = 32


class KnownItems(Protocol):
    """Training items of users."""

    n_authors: int

    def known(self, users: NDArray) -> tuple[NDArray, NDArray]:
        """users (B,) rows -> (row in the batch, author row), one entry a training item."""

    def history_lengths(self, users: NDArray) -> NDArray:
        """users (B,) rows -> (B,) training items, repeated ones counted again."""


def has_every_author(
    store: KnownItems, users: NDArray, among: NDArray[np.int64] | None = None
) -> NDArray[np.bool_]:
    """(B,) users who have every author, or every one ``among`` these, as a training item, so no negative exists."""
    among = np.arange(store.n_authors) if among is None else among
    found = np.zeros(len(users), dtype=bool)
    many = np.flatnonzero(store.history_lengths(users) >= len(among))
    if len(many):
        row, author = store.known(users[many])
        row, author = (part[np.isin(author, among)].astype(np.int64) for part in (row, author))
        pairs = np.unique(row * store.n_authors + author)
        found[many] = np.bincount(pairs // store.n_authors, minlength=len(many)) == len(among)
    return found


def draw_negatives(
    store: KnownItems,
    users: NDArray,
    rows: NDArray,
    count: int,
    place: tuple[int, int, int],
    among: NDArray[np.int64] | None = None,
) -> NDArray[np.int64]:
    """Draws authors uniformly from those that are no training item of the user.

    A hit on a training item is redrawn up to `REDRAWS` times, then drawn from the list of other authors. A user with
    every author (`has_every_author`) gets any.

    Args:
        store: of the training items.
        users: (b,) user rows of some rows of a global batch.
        rows: (b,) numbers of these rows in the batch.
        count: draws M a row.
        place: seed, epoch and number of the batch.
        among: ascending rows of the authors to draw from; all by default.

    Returns:
        (b, M) author rows.
    """
    authors = np.arange(store.n_authors) if among is None else among
    distinct, row_of = np.unique(users, return_inverse=True)
    row, author = store.known(distinct)
    taken = np.unique(row.astype(np.int64) * store.n_authors + author)  # ascending
    base = (row_of.astype(np.int64) * store.n_authors).repeat(count)
    cells = (np.asarray(rows, dtype=np.int64)[:, None] * count + np.arange(count)).ravel()
    drawn = np.empty(cells.size, dtype=np.int64)
    clash = np.arange(cells.size)
    for attempt in range(1 + REDRAWS):
        drawn[clash] = authors[_below(len(authors), place, attempt, cells[clash])]
        clash = clash[_within(base[clash] + drawn[clash], taken)]
        if not len(clash):
            break
    for start in np.unique(base[clash]):
        own = taken[(taken >= start) & (taken < start + store.n_authors)] - start
        left = np.setdiff1d(authors, own)
        places = clash[base[clash] == start]
        if len(left):
            drawn[places] = left[_below(len(left), place, 1 + REDRAWS, cells[places])]
    return drawn.reshape(len(users), count)


def _below(limit: int, place: tuple[int, int, int], attempt: int, cells: NDArray) -> NDArray[np.int64]:
    drawn = mix(key(Purpose.NEGATIVES, *place, attempt), cells)
    return (drawn % np.uint64(limit)).astype(np.int64)


def _within(keys: NDArray, ascending: NDArray) -> NDArray[np.bool_]:
    if not len(ascending):
        return np.zeros(len(keys), dtype=bool)
    place = np.searchsorted(ascending, keys).clip(max=len(ascending) - 1)
    return ascending[place] == keys
