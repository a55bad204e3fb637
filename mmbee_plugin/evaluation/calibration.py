"""Calibration of a chance: predicted over observed events by bin, in the log that sampled rows stand for.

The chances are those in the log, see `chances`. The rows that are evaluated may be kept at another share of its
negatives, s', than those of training: each negative then stands for 1 / s' rows of the log and is weighed by that.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from mmbee_plugin.errors import InputError
from mmbee_plugin.evaluation.bootstrap import FEWEST
from mmbee_plugin.evaluation.resampling import means_on_resampled_users

DRAWS = 2000
Z = 1.959964
"""normal quantile of 95 % intervals"""


class Calibration(NamedTuple):
    """Predicted and observed events of each bin, in rows of the log.

    Attributes:
        bins: (b,) int64 numbers of the bins that have rows, ascending.
        rows: (b,) float64 rows of the log.
        predicted: (b,) float64 sum of the chances.
        observed: (b,) float64 number of events.
        low, high: (b,) float64 ends of the 95 % interval of predicted over observed, over resampled users; ``high`` is
            infinite where too few draws have an event.
        fewest, most: (b,) float64 ends of the 95 % interval of the observed events in as many rows.
    """

    bins: NDArray[np.int64]
    rows: NDArray[np.float64]
    predicted: NDArray[np.float64]
    observed: NDArray[np.float64]
    low: NDArray[np.float64]
    high: NDArray[np.float64]
    fewest: NDArray[np.float64]
    most: NDArray[np.float64]

    @property
    def ratio(self) -> NDArray[np.float64]:
        """(b,) predicted over observed; infinite without an event."""
        with np.errstate(divide="ignore", invalid="ignore"):
            return self.predicted / self.observed


def quantile_bins(values: NDArray, weights: NDArray, bins: int = 10) -> NDArray[np.int64]:
    """(n,) bin of each value, bins of equal weight from 0 for the lowest; equal values share a bin.

    Example:
        >>> quantile_bins(np.array([0.1, 0.9, 0.2, 0.3]), np.ones(4), 2).tolist()
        [0, 1, 0, 1]
    """
    distinct, place = np.unique(values, return_inverse=True)
    mass = np.bincount(place, weights, minlength=len(distinct))
    middle = np.cumsum(mass) - mass / 2
    return np.minimum(middle / mass.sum() * bins, bins - 1).astype(np.int64)[place]


def calibration(
    chances: NDArray,
    labels: NDArray,
    weights: NDArray,
    users: NDArray,
    bins: NDArray[np.int64] | None = None,
    draws: int = DRAWS,
    seed: int = 0,
) -> Calibration:
    """Predicted and observed events by bin.

    Draws of a bin without an event have none either. What it may have had at most is the end of Wilson's score interval
    for none of its rows (Wilson, 1927), and the least that its ratio may be follows from that. Of less than
    :data:`~mmbee_plugin.evaluation.bootstrap.FEWEST` users the ends are open.

    Args:
        chances: (n,) of an event in the log. labels: (n,) 0 or 1. weights: (n,) rows of the log that each stands for.
        users: (n,) ids; intervals resample users, whose rows depend on each other.
        bins: (n,) such as hours or `quantile_bins`; None for a single bin.
        draws: bootstrap samples. seed: of these.

    Raises:
        InputError: no rows.
    """
    if not len(chances):
        raise InputError("chances: no rows; calibration needs at least one")
    found, place = np.unique(np.zeros(len(chances), np.int64) if bins is None else bins, return_inverse=True)
    names, user = np.unique(users, return_inverse=True)
    cell, size = user * len(found) + place, len(names) * len(found)
    columns = [
        np.bincount(cell, values, minlength=size).reshape(len(names), len(found))
        for values in (weights * chances, weights * np.asarray(labels, dtype=np.float64), weights)
    ]
    means = np.split(means_on_resampled_users(np.concatenate(columns, axis=1), draws, seed), 3, axis=1)
    with np.errstate(divide="ignore", invalid="ignore"):
        drawn = np.stack([means[0] / means[1], means[1] / means[2]])
    # A draw without an event is infinitely far above; one without rows of the bin (NaN) says nothing of it.
    if len(names) < FEWEST:
        low, fewest, high, most = np.repeat([[0.0], [0.0], [np.inf], [1.0]], len(found), axis=1)
    else:
        (low, fewest), (high, most) = np.nanquantile(drawn, [0.025, 0.975], axis=1, method="nearest")
    predicted, observed, rows = (column.sum(axis=0) for column in columns)
    none = observed == 0
    most = np.where(none, Z**2 / (rows + Z**2), most) * rows
    low = np.where(none, predicted / most, low)
    return Calibration(
        found, rows, predicted, observed, low, np.where(none, np.inf, high), fewest * rows, most
    )
