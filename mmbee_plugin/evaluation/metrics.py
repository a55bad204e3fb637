"""AUC, UAUC, GAUC and log loss on labelled samples (MMBee, section 6.1 and eq. 13), and ranking metrics of each user.

Exact ties count one half; UAUC is the plain mean of AUC over the users that have both classes; GAUC weights this mean
by the user's impressions (all samples of that user). Other libraries differ: RecBole's GAUC ranks items and weights by
positives, TorchRec's is unweighted and does not halve ties.

UAUC, GAUC and log loss are averaged in integers (:func:`exact_sum`), so they depend neither on the order of the rows
nor on their distribution over processes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mmbee_plugin.errors import InputError


class UserAUC(NamedTuple):
    """AUC of every user that has both classes, users ascending.

    Attributes:
        users: (U,) user ids.
        auc: (U,) float64 in [0, 1].
        impressions: (U,) int64, all samples of the user.
    """

    users: NDArray
    auc: NDArray[np.float64]
    impressions: NDArray[np.int64]


class Hourly(NamedTuple):
    """A metric of each clock hour in which it is defined, hours ascending.

    Attributes:
        hours: (h,) int64, whole hours since the epoch (UTC).
        values: (h,) float64.
        mean: their plain mean, as the paper averages over the hours of the test day.
        undefined: number of hours with samples but no metric, such as AUC where all labels are the same.
    """

    hours: NDArray[np.int64]
    values: NDArray[np.float64]
    mean: float
    undefined: int


def auc(labels: ArrayLike, scores: ArrayLike) -> float:
    """Area under the ROC curve over all samples; ties count one half.

    Args:
        labels: (n,) 0/1 or bool.
        scores: (n,) finite or infinite numbers, not NaN.

    Raises:
        InputError: lengths differ, labels are not 0/1 or all the same, a score is NaN.

    Example:
        >>> auc([1, 0, 1, 0], [0.9, 0.1, 0.4, 0.4])  # of four pairs, three are right and one is a tie
        0.875
    """
    positive, score = _checked(labels, scores)
    value = user_auc(np.zeros(len(score), dtype=np.int8), positive, score).auc
    if len(value) == 0:
        raise InputError(f"labels: all {len(positive)} are {int(positive.any())}; AUC needs both 0 and 1")
    return float(value[0])


def user_auc(users: ArrayLike, labels: ArrayLike, scores: ArrayLike) -> UserAUC:
    """AUC per user, for the users that have both classes (possibly none).

    One sort by (user, score), then cumulative sums. In a run of equal scores each positive beats the negatives below
    the run and half of those inside it.

    Args:
        users: (n,) ids. labels: (n,) 0/1. scores: (n,).

    Raises:
        InputError: lengths differ, labels are not 0/1, a score is NaN.

    Example:
        >>> user_auc([7, 7, 7, 9, 9], [1, 0, 0, 1, 1], [0.9, 0.2, 0.3, 0.5, 0.6])  # user 9 has no negative
        UserAUC(users=array([7]), auc=array([1.]), impressions=array([3]))
    """
    positive, score = _checked(labels, scores)
    user = np.asarray(users).reshape(-1)
    if len(user) != len(score):
        raise InputError(f"users: {len(user)} values for {len(score)} scores; there must be one for each")
    if len(user) == 0:
        return UserAUC(user, np.empty(0), np.empty(0, dtype=np.int64))

    order = np.lexsort((score, user))
    user, score, positive = user[order], score[order], positive[order]
    new_user = np.concatenate(([True], user[1:] != user[:-1]))
    run_starts = np.flatnonzero(new_user | np.concatenate(([True], score[1:] != score[:-1])))
    user_starts = np.flatnonzero(new_user)  # (U,) rows
    first_run = np.searchsorted(run_starts, user_starts)  # (U,) runs

    positives_before = np.concatenate(([0], np.cumsum(positive, dtype=np.int64)))  # (n + 1,)
    run_edges = np.append(run_starts, len(user))
    run_positives = np.diff(positives_before[run_edges]).astype(np.float64)
    run_negatives = np.diff(run_edges) - run_positives
    negatives_before = np.concatenate(([0.0], np.cumsum(run_negatives)))
    runs_per_user = np.diff(np.append(first_run, len(run_starts)))
    below = negatives_before[:-1] - np.repeat(negatives_before[first_run], runs_per_user)
    wins = np.add.reduceat(run_positives * (below + 0.5 * run_negatives), first_run)

    impressions = np.diff(np.append(user_starts, len(user)))
    user_positives = np.add.reduceat(run_positives, first_run)
    pairs = user_positives * (impressions - user_positives)
    both = pairs > 0
    return UserAUC(user[user_starts[both]], wins[both] / pairs[both], impressions[both])


def uauc(users: ArrayLike, labels: ArrayLike, scores: ArrayLike) -> float:
    """Plain mean of AUC over the users that have both classes (eq. 13 with equal weights).

    Raises:
        InputError: as `user_auc`, or no user has both classes.

    Example:
        >>> uauc([7, 7, 7, 7, 9, 9], [1, 0, 0, 0, 1, 0], [0.9, 0.1, 0.2, 0.3, 0.4, 0.5])  # 1 and 0
        0.5
    """
    per_user = _some_user(user_auc(users, labels, scores))
    return exact_mean(exact_sum(per_user.auc), len(per_user.auc))


def gauc(users: ArrayLike, labels: ArrayLike, scores: ArrayLike) -> float:
    """Mean of AUC over the users that have both classes, weighted by the user's impressions.

    Source: MMBee (https://arxiv.org/abs/2407.00056), eq. 13.

    Raises:
        InputError: as `user_auc`, or no user has both classes.

    Example:
        >>> gauc([7, 7, 7, 7, 9, 9], [1, 0, 0, 0, 1, 0], [0.9, 0.1, 0.2, 0.3, 0.4, 0.5])  # 4 of 1 and 2 of 0
        0.6666666666666666
    """
    per_user = _some_user(user_auc(users, labels, scores))
    return exact_mean(exact_sum(per_user.auc, per_user.impressions), int(per_user.impressions.sum()))


def hourly(metric: Callable[..., float], times: ArrayLike, *columns: ArrayLike) -> Hourly:
    """A metric over each clock hour's samples, for example ``hourly(gauc, times, users, labels, scores)``.

    Args:
        metric: one of :func:`auc`, :func:`uauc`, :func:`gauc` and :func:`log_loss`.
        times: (n,) seconds since the epoch.
        columns: arguments of the metric, (n,) each; the last two are labels and scores.

    Raises:
        InputError: invalid labels or scores as in `auc`, lengths differ, or the metric is defined in no hour.

    Example:
        >>> hourly(auc, [0, 60, 3600, 3660], [1, 0, 1, 1], [0.9, 0.1, 0.4, 0.4])  # the second hour has no negative
        Hourly(hours=array([0]), values=array([1.]), mean=1.0, undefined=1)
    """
    checked = [np.asarray(column).reshape(-1) for column in columns]
    _checked(*checked[-2:])
    hour = np.floor(np.asarray(times, dtype=np.float64).reshape(-1) / 3600).astype(np.int64)
    if any(len(column) != len(hour) for column in checked):
        raise InputError(
            f"times: {len(hour)} values for {len(checked[-1])} scores; there must be one for each"
        )
    order = np.argsort(hour, kind="stable")
    found, starts = np.unique(hour[order], return_index=True)
    values = np.full(len(found), np.nan)
    for place, rows in enumerate(np.split(order, starts[1:])):
        try:
            values[place] = metric(*(column[rows] for column in checked))
        except InputError:  # inputs are checked above, so the hour's labels leave the metric undefined
            continue
    defined = ~np.isnan(values)
    if not defined.any():
        raise InputError(f"times: the metric is defined in none of the {len(found)} hours")
    return Hourly(found[defined], values[defined], float(values[defined].mean()), int((~defined).sum()))


def log_loss(labels: ArrayLike, scores: ArrayLike) -> float:
    """Mean binary cross-entropy in nats, the mean of :func:`log_losses`.

    Raises:
        InputError: as `log_losses`, or there is no sample.

    Example:
        >>> round(log_loss([1, 0], [0.8, 0.2]), 4)
        0.2231
    """
    losses = log_losses(labels, scores)
    if len(losses) == 0:
        raise InputError("labels: no samples; log loss needs at least one")
    return exact_mean(exact_sum(losses), len(losses))


def log_losses(labels: ArrayLike, scores: ArrayLike) -> NDArray[np.float64]:
    """(n,) binary cross-entropy in nats; probabilities are clipped to [eps, 1 - eps] of float64.

    Raises:
        InputError: invalid labels or scores as in `auc`, or a score outside [0, 1].
    """
    positive, score = _checked(labels, scores)
    outside = np.flatnonzero((score < 0) | (score > 1))
    if len(outside):
        raise InputError(
            f"scores, row {outside[0]}: {score[outside[0]]:g} is no probability; log loss needs [0, 1]"
        )
    eps = np.finfo(np.float64).eps
    probability = np.clip(score.astype(np.float64), eps, 1 - eps)
    return -np.where(positive, np.log(probability), np.log1p(-probability))


def ranking_metrics(
    hits: NDArray[np.bool_], positives: NDArray[np.int64], topk: Sequence[int] = (10, 20)
) -> dict[str, NDArray[np.float64]]:
    """Recall, precision and NDCG of each user, named such as ``recall@10``.

    Args:
        hits: (n, K) whether the item at each rank is one of the user's positives, best first; K is max(topk), or the
            number of items where that is smaller.
        positives: (n,) how many positives each user has, at least 1. NDCG's ideal has min(positives, k) hits.
        topk: the cut-offs k.

    Shapes:
        - each metric: (n,)

    Example:
        >>> hits = np.array([[True, False, True]])  # the first and the third of the list
        >>> {name: round(float(value[0]), 3) for name, value in ranking_metrics(hits, np.array([4]), [3]).items()}
        {'recall@3': 0.5, 'precision@3': 0.667, 'ndcg@3': 0.704}
    """
    discount = 1 / np.log2(np.arange(2, max(topk) + 2))
    ideal = np.concatenate([[0.0], np.cumsum(discount)])
    values = {}
    for k in topk:
        top = hits[:, :k].astype(np.float64)
        found = top.sum(axis=1)
        values[f"recall@{k}"] = found / positives
        values[f"precision@{k}"] = found / k
        values[f"ndcg@{k}"] = (top * discount[: top.shape[1]]).sum(axis=1) / ideal[np.minimum(positives, k)]
    return values


def metrics_of_ranks(
    users: NDArray, ranks: NDArray[np.int64], topk: Sequence[int] = (10, 20)
) -> tuple[NDArray, dict[str, NDArray[np.float64]]]:
    """The metrics of :func:`ranking_metrics` from the rank of each positive.

    Args:
        users: (n,) user of each positive. ranks: (n,) number of items before it in that user's ranking.
        topk: the cut-offs.

    Returns:
        the users (U,), ascending, and per metric one value a user (U,).

    Example:
        >>> users, values = metrics_of_ranks(np.array([5, 5, 8]), np.array([0, 9, 1]), topk=[2])
        >>> users.tolist(), values["recall@2"].tolist()
        ([5, 8], [0.5, 1.0])
    """
    names, row, positives = np.unique(users, return_inverse=True, return_counts=True)
    hits = np.zeros((len(names), max(topk)), dtype=bool)
    near = ranks < max(topk)
    hits[row[near], ranks[near]] = True
    return names, ranking_metrics(hits, positives, topk)


def exact_sum(values: NDArray[np.float64], weights: NDArray[np.int64] | None = None) -> NDArray[np.int64]:
    """The sum of ``weights * values`` in integers, so that partial sums can be added in any order without rounding.

    Args:
        values: (n,) in [0, 64); each is rounded to a multiple of 2^-54.
        weights: (n,) not negative, with a sum below 2^33; 1 each by default, for n below 2^33.

    Returns:
        (2,) int64: the sum is ``[0] * 2^-24 + [1] * 2^-54``.

    Example:
        >>> parts = exact_sum(np.array([0.25])) + exact_sum(np.array([0.75, 0.5]))  # of two processes
        >>> exact_mean(parts, 3)
        0.5
    """
    scaled = np.asarray(values, dtype=np.float64) * 2.0**24
    high = np.floor(scaled)
    limbs = np.stack([high, np.rint((scaled - high) * 2.0**30)]).astype(np.int64)
    return (limbs if weights is None else limbs * weights).sum(axis=1)


def exact_mean(total: NDArray[np.int64], count: int) -> float:
    """A sum of :func:`exact_sum` divided by ``count``, rounded once."""
    return ((int(total[0]) << 30) + int(total[1])) / (count << 54)


def _checked(labels: ArrayLike, scores: ArrayLike) -> tuple[NDArray[np.bool_], NDArray]:
    label, score = np.asarray(labels).reshape(-1), np.asarray(scores).reshape(-1)
    if len(label) != len(score):
        raise InputError(f"labels: {len(label)} values for {len(score)} scores; there must be one for each")
    wrong = np.flatnonzero((label != 0) & (label != 1))
    if len(wrong):
        raise InputError(f"labels, row {wrong[0]}: {label[wrong[0]]} is neither 0 nor 1")
    missing = np.flatnonzero(np.isnan(score))
    if len(missing):
        raise InputError(
            f"scores, row {missing[0]}: NaN ({len(missing)} of {len(score)} scores); no ranking exists"
        )
    return label.astype(bool), score


def _some_user(per_user: UserAUC) -> UserAUC:
    if len(per_user.users) == 0:
        raise InputError("labels: no user has both a 0 and a 1; UAUC and GAUC need at least one")
    return per_user
