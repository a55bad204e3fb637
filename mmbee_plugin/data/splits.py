"""Splits interactions into training, validation and test by each user's order: by shares, or the last ones held out."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

RATIOS = (0.8, 0.1, 0.1)


def split_by_user(
    users: NDArray, times: NDArray | None, ratios: tuple[float, float, float] = RATIOS
) -> NDArray[np.int8]:
    """The part of each interaction: each user's oldest are training, the newest test.

    The parts of a user are rounded as RecBole rounds them (``Dataset._calcu_split_ids``): down, but validation and
    test get one where they would get none, test first, as long as training keeps one.

    Args:
        users: (n,) user of each interaction.
        times: (n,), or None: then the order of the rows is the order of time. Ties keep the order of the rows.
        ratios: of training, validation and test; they sum to 1.

    Returns:
        (n,) 0 for training, 1 for validation, 2 for test.
    """
    order = np.argsort(users, kind="stable") if times is None else np.lexsort((times, users))
    _, start, count = np.unique(users[order], return_index=True, return_counts=True)
    sizes = [(ratio * count).astype(np.int64) for ratio in ratios]
    sizes[0] = count - sizes[1] - sizes[2]
    open_ = np.ones(len(count), dtype=bool)
    for part in (2, 1):
        open_ &= sizes[0] > 1
        short = open_ & (ratios[part] * count > 0) & (ratios[part] * count < 1)
        sizes[part] += short
        sizes[0] -= short
    rank = np.arange(len(users)) - np.repeat(start, count)
    part_of_rank = (rank >= np.repeat(sizes[0], count)).astype(np.int8)
    part_of_rank += rank >= np.repeat(sizes[0] + sizes[1], count)
    parts = np.empty(len(users), dtype=np.int8)
    parts[order] = part_of_rank
    return parts


def leave_one_out(users: NDArray, times: NDArray | None) -> NDArray[np.int8]:
    """Each user's newest interaction is test, the one before it validation; users with fewer than three only train.

    Args:
        users, times: as for :func:`split_by_user`.

    Returns:
        (n,) 0 for training, 1 for validation, 2 for test.
    """
    order = np.argsort(users, kind="stable") if times is None else np.lexsort((times, users))
    _, start, count = np.unique(users[order], return_index=True, return_counts=True)
    later = np.repeat(start + count, count) - 1 - np.arange(len(users))
    parts = np.empty(len(users), dtype=np.int8)
    parts[order] = np.where(np.repeat(count, count) > 2, np.maximum(2 - later, 0), 0)
    return parts
