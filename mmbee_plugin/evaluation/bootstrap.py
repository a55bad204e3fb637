"""Bootstrap over users: intervals of a mean, and a paired test between two models."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

DRAWS = 10_000
CHUNK = 200
"""draws held in memory at once"""
FEWEST = 10
"""users, or whatever else is drawn, below which draws say next to nothing of chance: no interval and no p-value then"""


@dataclass(frozen=True)
class Interval:
    """A mean over users with its bootstrap standard error and interval; NaN but for the mean of too few users."""

    mean: float
    standard_error: float
    low: float
    high: float


@dataclass(frozen=True)
class PairedDifference:
    """Mean difference of two models on the same users; ``p_value`` is two-sided, NaN of too few users."""

    interval: Interval
    p_value: float


def interval(values: NDArray[np.floating], seed: int = 0) -> Interval:
    """95 % percentile interval of the mean over users.

    Args:
        values: (n,) one value a user.
    """
    return of_draws(float(values.mean()), _resampled_means(values, seed)).interval


def paired(first: NDArray[np.floating], second: NDArray[np.floating], seed: int = 0) -> PairedDifference:
    """Paired bootstrap test of ``first - second``: both models are evaluated on the same resampled users.

    Args:
        first, second: (n,) one value a user (the mean over seeds), users in the same order.

    Raises:
        ValueError: different lengths.
    """
    if first.shape != second.shape:
        raise ValueError(f"{first.shape} and {second.shape} values cannot be paired")
    difference = first - second
    return of_draws(float(difference.mean()), _resampled_means(difference, seed))


def of_draws(estimate: float, draws: NDArray[np.floating]) -> PairedDifference:
    """A difference with its 95 % interval and p-value: twice the share of draws on the smaller side of zero.

    Args:
        estimate: the difference on all users.
        draws: (n,) the difference on resampled users. Those without a finite value, as all of less than :data:`FEWEST`
            users are, do not count; of the n others, ``p_value`` is between 2 / n and 1.
    """
    draws = draws[np.isfinite(draws)]
    if not len(draws):
        return PairedDifference(Interval(estimate, np.nan, np.nan, np.nan), np.nan)
    below, above = (draws <= 0).mean(), (draws >= 0).mean()
    low, high = np.quantile(draws, [0.025, 0.975])
    spread = Interval(estimate, float(draws.std()), float(low), float(high))
    return PairedDifference(spread, float(min(1.0, 2 * max(min(below, above), 1 / len(draws)))))


def holm(p_values: Sequence[float]) -> list[float]:
    """Holm's correction of several p-values of one family (Holm, 1979), in the given order; NaN, no test, stays."""
    tests = int(np.isfinite(p_values).sum())
    order = np.argsort(p_values, kind="stable")[:tests]  # NaN is last
    corrected = np.full(len(p_values), np.nan)
    worst = 0.0
    for place, index in enumerate(order):
        worst = max(worst, min(1.0, (tests - place) * p_values[index]))
        corrected[index] = worst
    return [float(value) for value in corrected]


def _resampled_means(values: NDArray[np.floating], seed: int) -> NDArray[np.float64]:
    if len(values) < FEWEST:
        return np.full(DRAWS, np.nan)
    generator = np.random.default_rng(seed)
    sizes = [CHUNK] * (DRAWS // CHUNK)
    return np.concatenate(
        [values[generator.integers(0, len(values), (size, len(values)))].mean(axis=1) for size in sizes]
    )
