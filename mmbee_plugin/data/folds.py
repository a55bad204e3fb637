"""Cross-fitting folds: the training interactions to exclude from the graph that a training row reads."""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mmbee_plugin.errors import InputError
from mmbee_plugin.randomness.mixing import finalised

DAY = 86_400.0
"""seconds of a day, which is counted from 0 of the data's clock"""


class Folding(Protocol):
    """The fold settings of :class:`~mmbee_plugin.graph.settings.GraphSettings`."""

    @property
    def folds(self) -> int: ...
    @property
    def fold_by(self) -> str: ...
    @property
    def fold_seed(self) -> int: ...


def deal(
    folding: Folding,
    users: ArrayLike,
    authors: ArrayLike,
    positive: NDArray[np.bool_],
    later: NDArray | None,
    times: NDArray | None,
) -> NDArray[np.int64]:
    """Fold of each row, (n,) int64, by ``folding.fold_by``: ``order``, the number of the user's later gifts, which may
    exceed the number of folds; ``time``, the interval of time; ``day``, the day; ``pair``, a hash of user and author.

    Args:
        users, authors: (n,) file rows.
        positive: (n,) bool, whether the row is a gift.
        later: (n,) number of the user's gifts after the row; needed for ``order``.
        times: (n,) seconds; needed for ``time`` and ``day``.

    Raises:
        InputError: ``time`` or ``day`` for data without time.
    """
    if folding.fold_by == "order":
        assert later is not None
        return np.asarray(later)
    if folding.fold_by in BY_TIME:
        if times is None:
            raise InputError(f"graph.fold_by: {folding.fold_by}, but the data have no time")
        return BY_TIME[folding.fold_by](times, np.asarray(times)[positive], folding.folds)
    return fold_of(users, authors, folding.folds, folding.fold_seed)


def fold_of(users: ArrayLike, authors: ArrayLike, folds: int, seed: int) -> NDArray[np.int64]:
    """Fold of each interaction by a seeded hash of its user and author, (n,) int64 in [0, folds).

    Repeated gifts of a pair share a fold, and a pair's fold does not depend on the other interactions.
    """
    # splitmix64's finaliser (Steele, Lea and Flood, OOPSLA 2014), once per part of the key.
    mixed = finalised(np.asarray(users, dtype=np.uint64) + np.uint64(seed % 2**64))
    return (finalised(mixed ^ np.asarray(authors, dtype=np.uint64)) % np.uint64(folds)).astype(np.int64)


def fold_of_time(times: ArrayLike, training: ArrayLike, folds: int) -> NDArray[np.int64]:
    """Interval of each time among ``folds`` equal ones from the first to the last gift, (n,) int64 in [0, folds).

    Args:
        times: (n,) seconds; earlier and later ones fall into the first and the last interval.
        training: (m,) seconds of the training gifts.
        folds: number of intervals.
    """
    given = np.asarray(training, dtype=np.float64)
    first, last = (given.min(), given.max()) if len(given) else (0.0, 0.0)
    bounds = np.linspace(first, last, folds + 1)[1:-1]
    return np.searchsorted(bounds, np.asarray(times, dtype=np.float64), side="right")


def fold_of_day(times: ArrayLike, training: ArrayLike, folds: int) -> NDArray[np.int64]:
    """Day of each time among the last ``folds`` days with training, (n,) int64 in [0, folds).

    Days are those of `history: daily`, so that a row's graph ends where its history does.

    Args:
        times: (n,) seconds; earlier days fall into the first fold.
        training: (m,) seconds of the training gifts.
        folds: number of days.
    """
    last = np.floor(np.max(training, initial=0.0) / DAY)
    day = np.floor(np.asarray(times, dtype=np.float64) / DAY)
    return (day - last + folds - 1).clip(0, folds - 1).astype(np.int64)


BY_TIME = {"time": fold_of_time, "day": fold_of_day}
