"""What a day's replay measures: metrics by hour and of the whole day, and calibration by decile and hour."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mmbee_plugin.daily.ratios import scored
from mmbee_plugin.errors import InputError
from mmbee_plugin.evaluation.bootstrap import FEWEST, Interval, of_draws
from mmbee_plugin.evaluation.calibration import Calibration, calibration, quantile_bins
from mmbee_plugin.evaluation.metrics import log_losses
from mmbee_plugin.evaluation.resampling import ResampledUsers, ratios_on_users
from mmbee_plugin.experiments.comparison import METRICS as OF_ROWS
from mmbee_plugin.serving.replay import Replayed

METRICS: dict[str, str] = {"auc": "AUC", "uauc": "UAUC", "gauc": "GAUC", "log_loss": "Log loss"}
"""names -> headings; AUC, UAUC and GAUC of the rows as they are, log loss of the log"""
HOUR = 3600
DRAWS = 1000


@dataclass(frozen=True)
class Measures:
    """A day of a bundle.

    Attributes:
        whole: as of `whole`.
        hours: metric -> its value and interval by hour since the epoch, shifted to the log's clock, where it has both.
        deciles: calibration by tenths of the rows, lowest chances first.
        by_hour: calibration by hour since the epoch, as in ``hours``.
    """

    whole: Mapping[str, Interval]
    hours: Mapping[str, Mapping[int, Interval]]
    deciles: Calibration
    by_hour: Calibration


def has_scores(day: Replayed) -> bool:
    """Whether a day can be measured: whether any row has a finite score."""
    return len(scored(day)) > 0


def measure(day: Replayed, offset: float = 0.0) -> Measures:
    """Measures of the gift task over the rows with a finite score.

    Args:
        offset: seconds that the log's clock is ahead of UTC.

    Raises:
        InputError: no such row, data without time, or a bundle without chances of the log.
    """
    rows = _measurable(day)
    assert rows.times is not None
    hour = ((rows.times + offset) // HOUR).astype(np.int64)
    hours: dict[str, dict[int, Interval]] = {name: {} for name in METRICS}
    for one in np.unique(hour).tolist():
        for name, found in _metrics(rows.taken(hour == one)).items():
            if np.isfinite(found.low):
                hours[name][one] = found
    common = rows.chances, rows.labels[:, 0], rows.weights, rows.users
    bins = quantile_bins(rows.chances, rows.weights)
    return Measures(whole(day), hours, calibration(*common, bins), calibration(*common, hour))


def whole(day: Replayed) -> dict[str, Interval]:
    """The metrics of a whole day, with 95 % intervals over resampled users.

    Returns:
        the names of :data:`METRICS`, NaN where one is undefined; ``gift_rate``, gifts a row of the log, of all rows;
        ``factor``, predicted over observed gifts, infinite without a gift. Ends are NaN where less than
        :data:`~mmbee_plugin.evaluation.bootstrap.FEWEST` users gave a gift, or none other.

    Raises:
        InputError: as `measure`.
    """
    rows = _measurable(day)
    undefined = dict.fromkeys(METRICS, _without_ends(float("nan")))
    gift = day.labels[:, 0]
    rate = ratios_on_users(day.users, {"gift_rate": day.weights * gift}, day.weights, DRAWS)
    if not _enough(day.users, gift):
        rate = {name: _without_ends(found.mean) for name, found in rate.items()}
    one = calibration(rows.chances, rows.labels[:, 0], rows.weights, rows.users, draws=DRAWS)
    factor = Interval(float(one.ratio[0]), float("nan"), float(one.low[0]), float(one.high[0]))
    return {**undefined, **_metrics(rows), **rate, "factor": factor}


def _measurable(day: Replayed) -> Replayed:
    rows = scored(day)
    if not len(rows) or rows.times is None:
        raise InputError(
            f"{day.bundle}: {len(rows):,} of {len(day):,} rows with a score and a time; nothing to measure"
        )
    return rows


def _metrics(rows: Replayed) -> dict[str, Interval]:
    """Those of `METRICS` that rows have, by name."""
    users, gift, chances = rows.users, rows.labels[:, 0], rows.chances
    found: dict[str, Interval] = {}
    drawn = ResampledUsers(users, gift, DRAWS).values(chances)
    for name, metric in OF_ROWS.items():
        try:
            value = metric(users, gift, chances)
        except InputError:  # labels of one kind only, in all rows or in those of every user
            continue
        found[name] = of_draws(value, drawn[name]).interval
    losses = {"log_loss": rows.weights * log_losses(gift, chances)}
    loss = ratios_on_users(users, losses, rows.weights, DRAWS)["log_loss"]
    return {**found, "log_loss": loss if _enough(users, gift) else _without_ends(loss.mean)}


def _enough(users: NDArray, gift: NDArray) -> bool:
    """Whether enough users have a gift, and enough a row without one."""
    return min(len(np.unique(users[gift == label])) for label in (0, 1)) >= FEWEST


def _without_ends(value: float) -> Interval:
    return Interval(value, float("nan"), float("nan"), float("nan"))
