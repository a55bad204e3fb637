"""Alarms: a day's log against the last days', as each day's served bundle saw it before anything was trained on it.

An alarm closes no gate, since a served model that is kept meets the same shifted log; somebody should look. Shares and
counts raise one where they pass a limit beyond chance. Gifts of one user are not independent, so the variance of a
count is the sum of the squares of the users' own counts; with several days before, it is at least what the days differ
by.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from mmbee_plugin.evaluation.drift import Stability, stability
from mmbee_plugin.serving.replay import Replayed
from mmbee_plugin.settings.section import Section


class AlarmSettings(Section):
    """Limits beyond which a day's log raises an alarm."""

    days: int = Field(default=7, ge=1)
    """last days that a day is compared with"""
    psi: float = Field(default=0.25, ge=0)
    """population stability index of the day's chances against the last days'"""
    gift_rate: float = Field(default=1.25, ge=1)
    """factor between the day's and the last days' gifts a row of the log"""
    calibration: float = Field(default=1.5, ge=1)
    """factor between the gifts of an hour and those that the chances promise, set right by the last days' same hour"""
    unscored: float = Field(default=0.05, ge=0)
    """rise of the share of rows without a score"""
    sigmas: float = Field(default=4.0, ge=0)
    """standard errors that a rate or an hour's gifts have to be away too"""


@dataclass(frozen=True)
class Alarm:
    """A shift in the log."""

    name: str
    words: str
    """what was found, in one line with the limit"""


def alarms(day: Replayed, before: Sequence[Replayed], settings: AlarmSettings | None = None) -> list[Alarm]:
    """The alarms of a day; none on the first, which has nothing to be compared with.

    Args:
        day: all of the day's rows, answered by the bundle that was served.
        before: the same of the last days, oldest first; the newest ``settings.days`` are read.

    Raises:
        InputError: a bundle without chances of the log.
    """
    limits = settings or AlarmSettings()
    known = list(before)[-limits.days :]
    if not known:
        return []
    return [
        *_unscored(day, known, limits),
        *_scores(day, known, limits),
        *_gift_rate(day, known, limits),
        *_hours(day, known, limits),
    ]


def _unscored(day: Replayed, before: Sequence[Replayed], limits: AlarmSettings) -> Iterator[Alarm]:
    usual = np.average(np.concatenate([~each.scored for each in before]), weights=_joined(before, "weights"))
    found = np.average(~day.scored, weights=day.weights)
    if found - usual > limits.unscored:
        words = f"{found:.1%} of rows, {usual:.1%} in the last days (limit +{limits.unscored:.0%})"
        yield Alarm("rows without a score", words)


def _scores(day: Replayed, before: Sequence[Replayed], limits: AlarmSettings) -> Iterator[Alarm]:
    found = day_stability(day, before)
    if found is not None and found.psi > limits.psi:
        yield Alarm("PSI", f"{found.psi:.3f} of the chances against the last days (limit {limits.psi:g})")


def day_stability(day: Replayed, before: Sequence[Replayed]) -> Stability | None:
    """PSI of a day's chances against those of the days before; None without scores on either side."""
    last, now = [each.taken(_finite(each)) for each in before], day.taken(_finite(day))
    if not len(now) or not sum(map(len, last)):
        return None
    return stability(_joined(last, "chances"), now.chances, _joined(last, "weights"), now.weights)


def _gift_rate(day: Replayed, before: Sequence[Replayed], limits: AlarmSettings) -> Iterator[Alarm]:
    sides = [_gifts(each) for each in before]
    usual = sum(gifts for gifts, _, _ in sides) / sum(rows for _, _, rows in sides)
    gifts, variance, rows = _gifts(day)
    expected = usual * rows
    spread = variance + (rows / sum(each for _, _, each in sides)) ** 2 * sum(each for _, each, _ in sides)
    if len(before) > 2:
        rates = np.array([count / size for count, _, size in sides]) * rows
        spread = max(spread, float(rates.var(ddof=1)))
    if _is_off(gifts, expected, spread, limits.gift_rate, limits.sigmas):
        words = f"{gifts / rows:.3%} of rows, {usual:.3%} in the last days (limit a factor of {limits.gift_rate:g})"
        yield Alarm("gift rate", words)


def _hours(day: Replayed, before: Sequence[Replayed], limits: AlarmSettings) -> Iterator[Alarm]:
    """One alarm for all hours whose gifts are not what the chances promise."""
    today, usual = _by_hour([day]), _by_hour(before)
    told = []
    for hour in range(24):
        (gifts, variance, predicted), (last, last_variance, last_predicted) = today[hour], usual[hour]
        if last_predicted <= 0 or last <= 0 or predicted <= 0:
            continue
        expected = predicted * last / last_predicted
        spread = variance + (expected / last) ** 2 * last_variance
        if _is_off(gifts, expected, spread, limits.calibration, limits.sigmas):
            told.append(f"{hour:02d}h {gifts:.0f} gifts for {expected:.0f}")
    if told:
        yield Alarm("calibration by hour", f"{', '.join(told)} (limit a factor of {limits.calibration:g})")


def _is_off(found: float, expected: float, variance: float, factor: float, sigmas: float) -> bool:
    """Whether a count is beyond both the factor and the standard errors; with no event the expected ones vary."""
    far = found > expected * factor or found * factor < expected
    return far and abs(found - expected) > sigmas * max(variance, expected) ** 0.5


def _gifts(replayed: Replayed) -> tuple[float, float, float]:
    """Gifts of the log with their variance, and rows of the log."""
    gifts = replayed.weights * replayed.labels[:, 0]
    return float(gifts.sum()), _variance(replayed.users, gifts), float(replayed.weights.sum())


def _by_hour(days: Sequence[Replayed]) -> NDArray[np.float64]:
    """(24, 3) gifts, their variance and the sum of the chances by hour of the day (UTC), over scored rows."""
    found = np.zeros((24, 3))
    for each in days:
        rows = each.taken(_finite(each))
        if rows.times is None:
            continue
        hour = (rows.times // 3600).astype(np.int64) % 24
        gifts = rows.weights * rows.labels[:, 0]
        found[:, 0] += np.bincount(hour, gifts, minlength=24)
        found[:, 2] += np.bincount(hour, rows.weights * rows.chances, minlength=24)
        for one in range(24):
            found[one, 1] += _variance(rows.users[hour == one], gifts[hour == one])
    return found


def _variance(users: NDArray, counts: NDArray[np.float64]) -> float:
    """Variance of a sum whose terms are independent between users only."""
    user = np.unique(users, return_inverse=True)[1]
    return float((np.bincount(user, counts) ** 2).sum()) if len(counts) else 0.0


def _finite(replayed: Replayed) -> NDArray[np.bool_]:
    return replayed.scored & np.isfinite(replayed.logits[:, 0])


def _joined(days: Sequence[Replayed], name: str) -> NDArray:
    return np.concatenate([getattr(day, name) for day in days])
