"""What a day's replay measures: metrics by hour and of the whole day, and calibration by decile and hour."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mmbee_plugin.errors import InputError
from mmbee_plugin.evaluation.calibration import Calibration, calibration, quantile_bins, weighted_log_loss
from mmbee_plugin.evaluation.metrics import Hourly, auc, gauc, hourly, uauc
from mmbee_plugin.serving.replay import Replayed

METRICS: dict[str, str] = {"auc": "AUC", "uauc": "UAUC", "gauc": "GAUC", "log_loss": "Log loss"}
"""names -> headings; AUC, UAUC and GAUC of the rows as they are, log loss of the log"""
HOUR = 3600


@dataclass(frozen=True)
class Measures:
    """A day of a bundle.

    Attributes:
        whole: metric -> value over all scored rows; NaN where it is undefined.
        hours: metric -> its values by hour since the epoch, shifted to the log's clock; None where no hour has it.
        deciles: calibration by tenths of the rows, lowest chances first.
        by_hour: calibration by hour since the epoch, as in ``hours``.
        gift_rate: gifts a row of the log.
    """

    whole: Mapping[str, float]
    hours: Mapping[str, Hourly | None]
    deciles: Calibration
    by_hour: Calibration
    gift_rate: float


def measure(day: Replayed, offset: float = 0.0) -> Measures:
    """Measures of the gift task over the rows with a finite score.

    Args:
        offset: seconds that the log's clock is ahead of UTC.

    Raises:
        InputError: no such row, data without time, or a bundle without chances of the log.
    """
    rows = day.taken(day.scored & np.isfinite(day.logits[:, 0]))
    if not len(rows) or rows.times is None:
        raise InputError(
            f"{day.bundle}: {len(rows):,} of {len(day):,} rows with a score and a time; nothing to measure"
        )
    gift, chances, clock = rows.labels[:, 0], rows.chances, rows.times + offset
    columns: dict[str, tuple[Callable[..., float], tuple[NDArray, ...]]] = {
        "auc": (auc, (gift, chances)),
        "uauc": (uauc, (rows.users, gift, chances)),
        "gauc": (gauc, (rows.users, gift, chances)),
        "log_loss": (weighted_log_loss, (rows.weights, gift, chances)),
    }
    whole: dict[str, float] = {}
    hours: dict[str, Hourly | None] = {}
    for name, (metric, values) in columns.items():
        try:
            whole[name] = metric(*values)
            hours[name] = hourly(metric, clock, *values)
        except InputError:  # labels of one kind only, in all rows or in every hour
            whole.setdefault(name, float("nan"))
            hours[name] = None
    common = chances, gift, rows.weights, rows.users
    return Measures(
        whole,
        hours,
        calibration(*common, quantile_bins(chances, rows.weights)),
        calibration(*common, (clock // HOUR).astype(np.int64)),
        float(np.average(gift, weights=rows.weights)),
    )
