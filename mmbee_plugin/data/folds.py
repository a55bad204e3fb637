"""Folds of cross-fitting: the part of the training interactions that a row's graph must not hold."""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mmbee_plugin.errors import InputError
from mmbee_plugin.randomness.mixing import finalised


class Folding(Protocol):
    """How rows are dealt, as :class:`~mmbee_plugin.graph.settings.GraphSettings` has it."""

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
    """The fold of each row: by ``order`` the number of later gifts, which may exceed the folds; by ``time`` the stretch
    of time; by ``pair`` a hash.

    Args:
        users, authors: (n,) file rows.
        positive: (n,) bool, the gifts.
        later: (n,) later gifts of the row's user; needed by order.
        times: (n,) seconds; needed by time.

    Raises:
        InputError: folds by time of data without it.
    """
    if folding.fold_by == "order":
        assert later is not None
        return np.asarray(later)
    if folding.fold_by == "time":
        if times is None:
            raise InputError("graph.fold_by: time, but the data have no time")
        return fold_of_time(times, np.asarray(times)[positive], folding.folds)
    return fold_of(users, authors, folding.folds, folding.fold_seed)


def fold_of(users: ArrayLike, authors: ArrayLike, folds: int, seed: int) -> NDArray[np.int64]:
    """The cross-fitting fold of each interaction, by a seeded hash of its pair.

    The pair decides, not the row, so that a repeated gift never has its twin in another fold, and a pair's
    fold does not depend on which other interactions there are.

    Returns:
        (n,) int64 in [0, folds).
    """
    # splitmix64's finaliser (Steele, Lea and Flood, OOPSLA 2014), once for each part of the key.
    mixed = finalised(np.asarray(users, dtype=np.uint64) + np.uint64(seed % 2**64))
    return (finalised(mixed ^ np.asarray(authors, dtype=np.uint64)) % np.uint64(folds)).astype(np.int64)


def fold_of_time(times: ArrayLike, training: ArrayLike, folds: int) -> NDArray[np.int64]:
    """The stretch of time in which each moment lies, of ``folds`` equal ones between the first and last gift.

    Args:
        times: (n,) seconds; what lies outside belongs to the first or last stretch.
        training: (m,) seconds of the training gifts.
        folds: how many stretches.

    Returns:
        (n,) int64 in [0, folds).
    """
    given = np.asarray(training, dtype=np.float64)
    first, last = (given.min(), given.max()) if len(given) else (0.0, 0.0)
    bounds = np.linspace(first, last, folds + 1)[1:-1]
    return np.searchsorted(bounds, np.asarray(times, dtype=np.float64), side="right")
