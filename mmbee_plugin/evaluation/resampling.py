"""AUC, UAUC and GAUC on bootstrap samples of users.

A draw takes as many users as there are, with replacement, each with all of its samples. All models are evaluated on the
same draws, so their differences are paired.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from mmbee_plugin.evaluation.bootstrap import FEWEST, Interval, of_draws
from mmbee_plugin.evaluation.metrics import user_auc

DRAWS = 2000
MEAN_DRAWS = 10_000
"""draws of plain means over users, which are cheaper"""
CHUNK = 200
"""draws computed at once, to fit the processor's cache"""


class ResampledUsers:
    """Draws of the users of one set of labelled samples.

    Args:
        users: (n,) ids. labels: (n,) 0/1.
        draws: number of bootstrap samples; a two-sided p-value is at least 2 / draws.
    """

    def __init__(self, users: NDArray, labels: NDArray, draws: int = DRAWS, seed: int = 0) -> None:
        names, self.user = np.unique(users, return_inverse=True)
        self.positive = np.asarray(labels, dtype=bool)
        generator = np.random.default_rng(seed)
        sizes = [min(CHUNK, draws - start) for start in range(0, draws, CHUNK)]
        self.counts = [_counts(generator, len(names), size) for size in sizes]
        both = [
            np.bincount(self.user[rows], minlength=len(names)) for rows in (self.positive, ~self.positive)
        ]
        totals = [[total.astype(np.float32) @ counts for counts in self.counts] for total in both]
        self.enough = min(np.count_nonzero(total) for total in both) >= FEWEST
        self.pairs = np.prod([np.concatenate(total).astype(np.float64) for total in totals], axis=0)

    def values(self, scores: NDArray) -> dict[str, NDArray[np.float64]]:
        """auc, uauc and gauc, (draws,) each; NaN where a draw has no pair of a positive and a negative, and where less
        than :data:`~mmbee_plugin.evaluation.bootstrap.FEWEST` users have either label, of uauc and gauc both.

        Args:
            scores: (n,) of one model.
        """
        each = user_auc(self.user, self.positive, scores)
        auc, weight = each.auc, each.impressions.astype(np.float64)
        grouped = np.stack([auc, np.ones_like(auc), auc * weight, weight])
        sums = np.concatenate([grouped @ counts[each.users] for counts in self.counts], axis=1)  # (4, draws)
        if len(each.users) < FEWEST:
            sums[:] = np.nan
        of_pairs = self._wins(scores) if self.enough else np.full(len(self.pairs), np.nan)
        with np.errstate(invalid="ignore", divide="ignore"):
            return {"auc": of_pairs / self.pairs, "uauc": sums[0] / sums[1], "gauc": sums[2] / sums[3]}

    def _wins(self, scores: NDArray) -> NDArray[np.float64]:
        """(draws,) number of pairs with the positive above the negative, ties one half.

        Scores are bucketed by the positives' distinct scores; negatives between two of them share a bucket.
        """
        cuts, bucket_of_positive = np.unique(scores[self.positive], return_inverse=True)
        negative, users = scores[~self.positive], self.user[~self.positive]
        bucket = np.searchsorted(cuts, negative)  # the first cut at or above the negative
        inside = np.flatnonzero(bucket < len(cuts))
        tied = inside[cuts[bucket[inside]] == negative[inside]]
        positives = self._samples(bucket_of_positive, self.user[self.positive], len(cuts))
        negatives = self._samples(bucket[inside], users[inside], len(cuts))
        ties = self._samples(bucket[tied], users[tied], len(cuts))
        wins = []
        for counts in self.counts:
            below = np.cumsum(negatives @ counts, axis=0)  # float32 integers, exact below 2^24
            if ties.nnz:
                below -= (ties @ counts) / 2
            wins.append(np.einsum("cd,cd->d", positives @ counts, below, dtype=np.float64))
        return np.concatenate(wins)

    def _samples(self, bucket: NDArray, users: NDArray, n_buckets: int) -> csr_matrix:
        """(buckets, users) number of samples."""
        shape = (n_buckets, len(self.counts[0]))
        return csr_matrix((np.ones(len(users), dtype=np.float32), (bucket, users)), shape=shape)


def means_on_resampled_users(
    values: NDArray[np.float64], draws: int = MEAN_DRAWS, seed: int = 0
) -> NDArray[np.float64]:
    """Column means on bootstrap samples of users: (users, columns) -> (draws, columns), NaN of too few users."""
    if len(values) < FEWEST:
        return np.full((draws, values.shape[1]), np.nan)
    generator = np.random.default_rng(seed)
    sizes = [min(CHUNK, draws - start) for start in range(0, draws, CHUNK)]
    sums = [_counts(generator, len(values), size).T.astype(np.float64) @ values for size in sizes]
    return np.concatenate(sums) / len(values)


def ratios_on_users(
    users: NDArray, above: dict[str, NDArray], below: NDArray, draws: int = DRAWS, seed: int = 0
) -> dict[str, Interval]:
    """Sums of rows over a sum, each with its 95 % interval over resampled users.

    Args:
        users: (n,) ids. above: name -> values (n,) of the rows. below: (n,) not negative, and not all 0.
    """
    names, user = np.unique(users, return_inverse=True)
    columns = [np.bincount(user, values, minlength=len(names)) for values in (*above.values(), below)]
    sums = np.stack(columns, axis=1).astype(np.float64)
    drawn = means_on_resampled_users(sums, draws, seed)
    whole = sums.sum(axis=0)
    with np.errstate(invalid="ignore", divide="ignore"):
        shares = drawn / drawn[:, -1:]
    return {
        name: of_draws(float(whole[place] / whole[-1]), shares[:, place]).interval
        for place, name in enumerate(above)
    }


def _counts(generator: np.random.Generator, users: int, draws: int) -> NDArray[np.float32]:
    """(users, draws) times each user is drawn."""
    drawn = generator.integers(0, users, (draws, users)) + users * np.arange(draws)[:, None]
    counts = np.bincount(drawn.ravel(), minlength=draws * users).reshape(draws, users)
    return np.ascontiguousarray(counts.T, dtype=np.float32)
