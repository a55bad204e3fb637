"""Negatives of a global batch: the same on every process, since all draw them from the batch's own seed."""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from mmbee_plugin.errors import InputError

REDRAWS = 32


class KnownItems(Protocol):
    """Where the training items of users are."""

    n_authors: int

    def known(self, user_rows: NDArray) -> tuple[NDArray, NDArray]:
        """user_rows (B,) -> (row in the batch, author row), one entry a training item."""


def draw_negatives(
    store: KnownItems, users: NDArray, count: int, generator: np.random.Generator
) -> NDArray[np.int64]:
    """Authors drawn evenly from those that a user has no training item with.

    What hits a training item is drawn again; users with nearly every author get the rest from what they lack.

    Args:
        users: (B,) user rows.
        count: draws M a user.

    Returns:
        (B, M) author rows.

    Raises:
        InputError: a user has every author.
    """
    distinct, row_of = np.unique(users, return_inverse=True)
    row, author = store.known(distinct)
    taken = np.unique(row.astype(np.int64) * store.n_authors + author)  # ascending
    base = (row_of.astype(np.int64) * store.n_authors).repeat(count)
    drawn = generator.integers(store.n_authors, size=base.size)
    clash = np.flatnonzero(_within(base + drawn, taken))
    for _ in range(REDRAWS):
        if not len(clash):
            break
        drawn[clash] = generator.integers(store.n_authors, size=clash.size)
        clash = clash[_within(base[clash] + drawn[clash], taken)]
    for start in np.unique(base[clash]):
        own = taken[(taken >= start) & (taken < start + store.n_authors)] - start
        left = np.setdiff1d(np.arange(store.n_authors), own)
        if not len(left):
            user = distinct[start // store.n_authors]
            raise InputError(
                f"user row {user} has all {store.n_authors:,} authors as training items, so no negative exists"
            )
        places = clash[base[clash] == start]
        drawn[places] = generator.choice(left, size=len(places))
    return drawn.reshape(len(users), count)


def _within(keys: NDArray, ascending: NDArray) -> NDArray[np.bool_]:
    if not len(ascending):
        return np.zeros(len(keys), dtype=bool)
    place = np.searchsorted(ascending, keys).clip(max=len(ascending) - 1)
    return ascending[place] == keys
