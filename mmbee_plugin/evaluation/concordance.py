"""Order of scores within a user against the order of a known quantity: AUC where labels are numbers."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mmbee_plugin.evaluation.metrics import UserAUC


def user_concordance(users: NDArray, values: NDArray, scores: NDArray) -> UserAUC:
    """Of each user's pairs of rows with different values, the share that the scores order alike, ties one half.

    Harrell's C (Harrell et al., 1982) within a user; 1/2 without any relation. Of values 0 and 1 it is `user_auc`.

    Args:
        users: (n,) ids. values: (n,). scores: (n,).

    Returns:
        users with such a pair, ascending; ``auc`` is the share, ``impressions`` all rows of the user.

    Example:
        >>> user_concordance(np.array([7, 7, 7]), np.array([1.0, 2.0, 5.0]), np.array([0.1, 0.3, 0.2])).auc  # 2 of 3
        array([0.66666667])
    """
    names, user, rows = np.unique(users, return_inverse=True, return_counts=True)
    order = np.argsort(user, kind="stable")
    user, value, score = user[order], np.asarray(values)[order], np.asarray(scores)[order]
    pairs, wins = np.zeros((2, len(names)))
    for apart in range(1, rows.max(initial=1)):
        first = np.flatnonzero(user[apart:] == user[:-apart])
        first = first[value[first] != value[first + apart]]
        alike = np.sign(value[first + apart] - value[first]) * np.sign(score[first + apart] - score[first])
        pairs += np.bincount(user[first], minlength=len(names))
        wins += np.bincount(user[first], (1 + alike) / 2, len(names))
    some = pairs > 0
    return UserAUC(names[some], wins[some] / pairs[some], rows[some])
