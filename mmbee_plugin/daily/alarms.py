"""Alarms: a shift in a day's log, as the served bundle saw it before anything was trained on it.

An alarm closes no gate, since a served model that is kept meets the same log; somebody should look. Bundles differ
from day to day in the level and spread of their chances, so a day is compared with what the same bundle answered to the
rows that it was held against the day before, and an hour with the day's other hours. Shares of gifts need no model.

Counts raise an alarm where they pass a limit beyond chance. Gifts of one user, and those to one author, are not
independent: a room that goes well may have a tenth of an evening's gifts. The variance of an observed over an expected
count is therefore summed from the residuals of whole users and of whole authors, which counts what is common to both
twice. Between several days before it is at least what these differ by.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from pydantic import Field
from scipy.stats import norm

from mmbee_plugin.evaluation.drift import Stability, stability
from mmbee_plugin.serving.replay import Replayed
from mmbee_plugin.settings.section import Section


class AlarmSettings(Section):
    """Limits beyond which a day's log raises an alarm."""

    days: int = Field(default=7, ge=1)
    """last days that a day is compared with"""
    psi: float = Field(default=0.25, ge=0)
    """population stability index of the bundle's chances, against its answers to yesterday's rows of the same hours"""
    gift_rate: float = Field(default=1.25, ge=1)
    """factor between the day's and the last days' gifts a row of the log"""
    calibration: float = Field(default=1.5, ge=1)
    """factor between the gifts and what the bundle's chances promise, of the day or of an hour"""
    unscored: float = Field(default=0.05, ge=0)
    """rise of the share of rows without a score"""
    sigmas: float = Field(default=3.0, ge=0)
    """standard errors that a day's gifts have to be away too; an hour's as many more as 24 chances of an alarm need"""


@dataclass(frozen=True)
class Alarm:
    """A shift in the log."""

    name: str
    words: str
    """what was found, in one line with the limit"""


def alarms(
    day: Replayed,
    before: Sequence[Replayed],
    settings: AlarmSettings | None = None,
    reference: Replayed | None = None,
) -> list[Alarm]:
    """The alarms of a day.

    Args:
        day: all of the day's rows, answered by the bundle that was served.
        before: the same of the last days, oldest first, each by its own bundle; the newest ``settings.days`` are read.
        settings: the limits.
        reference: the same bundle's answers to the held-out rows of its own gate.

    Raises:
        InputError: a bundle without chances of the log.
        ValueError: a reference of another bundle.
    """
    limits = settings or AlarmSettings()
    if reference is not None and reference.bundle != day.bundle:
        raise ValueError(f"the day was answered by {day.bundle}, the reference by {reference.bundle}")
    known = list(before)[-limits.days :]
    found: list[Alarm] = []
    if known:
        found += [
            *_unscored(day, known, limits),
            *_gift_rate(day, known, limits),
            *_hours(day, known, limits),
        ]
    if reference is not None:
        found += [*_scores(day, reference, limits), *_level(day, reference, limits)]
    return found


def day_stability(day: Replayed, reference: Replayed) -> Stability | None:
    """PSI of a bundle's chances in a day against those in a reference, in the hours that both have; None without a
    scored row on either side."""
    sides = [_scored(each) for each in (reference, day)]
    first, second = (np.unique(_clock(side)) for side in sides)
    last, now = (side.taken(np.isin(_clock(side), np.intersect1d(first, second))) for side in sides)
    if not len(last) or not len(now):
        return None
    return stability(last.chances, now.chances, last.weights, now.weights)


def _unscored(day: Replayed, before: Sequence[Replayed], limits: AlarmSettings) -> Iterator[Alarm]:
    rows = np.concatenate([~each.scored for each in before])
    usual = np.average(rows, weights=np.concatenate([each.weights for each in before]))
    found = np.average(~day.scored, weights=day.weights)
    if found - usual > limits.unscored:
        words = f"{found:.1%} of rows, {usual:.1%} in the last days (limit +{limits.unscored:.0%})"
        yield Alarm("rows without a score", words)


def _scores(day: Replayed, reference: Replayed, limits: AlarmSettings) -> Iterator[Alarm]:
    found = day_stability(day, reference)
    if found is not None and found.psi > limits.psi:
        yield Alarm("PSI", f"{found.psi:.3f} of the chances against yesterday's (limit {limits.psi:g})")


def _gift_rate(day: Replayed, before: Sequence[Replayed], limits: AlarmSettings) -> Iterator[Alarm]:
    today, last = _Ratio.of([day], _row), [_Ratio.of([each], _row) for each in before]
    usual = _Ratio.of(before, _row)
    if not usual.observed:
        return
    variance = usual.variance
    if len(last) > 2:
        variance = max(variance, float(np.var([one.value / usual.value for one in last], ddof=1)))
    if today.is_off(usual.value, variance, limits.gift_rate, limits.sigmas):
        words = f"{today.value:.3%} of rows, {usual.value:.3%} in the last days"
        yield Alarm("gift rate", f"{words} (limit a factor of {limits.gift_rate:g})")


def _level(day: Replayed, reference: Replayed, limits: AlarmSettings) -> Iterator[Alarm]:
    today, usual = (_Ratio.of([_scored(each)], _chance) for each in (day, reference))
    if usual.observed and today.is_off(usual.value, usual.variance, limits.calibration, limits.sigmas):
        words = f"{1 / today.value:.2f}" if today.observed else "no gift"
        yield Alarm(
            "predicted over observed",
            f"{words}, {1 / usual.value:.2f} in yesterday's held-out rows (limit a factor of {limits.calibration:g})",
        )


def _hours(day: Replayed, before: Sequence[Replayed], limits: AlarmSettings) -> Iterator[Alarm]:
    """One alarm for the hours whose gifts do not fit the day's other hours, as the same hours of the last days did."""
    rows, last = _scored(day), [_scored(each) for each in before]
    sigmas = float(norm.isf(norm.sf(limits.sigmas) / 24))  # Bonferroni
    told = []
    for hour in np.unique(_clock(rows)).tolist():
        own, others = (_Ratio.of([rows.taken(chosen)], _chance) for chosen in _split(rows, hour))
        if not others.observed:
            continue
        expected, variance = others.value, others.variance
        parts = [[each.taken(chosen) for chosen in _split(each, hour)] for each in last]
        usual = [_Ratio.of(side, _chance) for side in zip(*parts, strict=True)]
        if usual and all(side.observed for side in usual):
            expected *= usual[0].value / usual[1].value
            variance += usual[0].variance + usual[1].variance
        if own.is_off(expected, variance, limits.calibration, sigmas):
            told.append(f"{hour:02d}h UTC {own.observed:.0f} gifts for {expected * own.base:.0f}")
    if told:
        yield Alarm("calibration by hour", f"{', '.join(told)} (limit a factor of {limits.calibration:g})")


@dataclass(frozen=True)
class _Ratio:
    """Gifts of the log over a base, such as its rows, or what chances promise.

    Attributes:
        residuals: sum of the squared residuals of whole users and of whole authors.
    """

    observed: float
    base: float
    residuals: float

    @classmethod
    def of(cls, parts: Sequence[Replayed], base: Callable[[Replayed], NDArray[np.float64]]) -> _Ratio:
        """Over several days, whose residuals are independent."""
        gifts = [part.weights * part.labels[:, 0] for part in parts]
        bases = [part.weights * base(part) for part in parts]
        observed, whole = (float(sum(map(np.sum, values))) for values in (gifts, bases))
        value = observed / whole if whole else 0.0
        squares = 0.0
        for part, given, own in zip(parts, gifts, bases, strict=True):
            for names in (part.users, part.authors):
                group = np.unique(names, return_inverse=True)[1]
                squares += float((np.bincount(group, given - value * own, minlength=1) ** 2).sum())
        return cls(observed, whole, squares)

    @property
    def value(self) -> float:
        return self.observed / self.base

    @property
    def variance(self) -> float:
        """Of the ratio, relative to its square."""
        return self.residuals / self.observed**2

    def is_off(self, usual: float, variance: float, factor: float, sigmas: float) -> bool:
        """Whether the ratio is beyond a factor of a usual one of this relative variance, and beyond chance."""
        expected = usual * self.base
        if not self.observed * factor < expected and not self.observed > expected * factor:
            return False
        # Without a gift there are no residuals, but as many gifts as expected vary by at least their number.
        spread = max(self.residuals, expected) + variance * expected**2
        return abs(self.observed - expected) > sigmas * spread**0.5


def _row(replayed: Replayed) -> NDArray[np.float64]:
    return np.ones(len(replayed))


def _chance(replayed: Replayed) -> NDArray[np.float64]:
    return replayed.chances


def _scored(replayed: Replayed) -> Replayed:
    return replayed.taken(replayed.scored & np.isfinite(replayed.logits[:, 0]))


def _clock(replayed: Replayed) -> NDArray[np.int64]:
    """(n,) hour of the day (UTC)."""
    assert replayed.times is not None
    return (replayed.times // 3600).astype(np.int64) % 24


def _split(replayed: Replayed, hour: int) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    inside = _clock(replayed) == hour
    return inside, ~inside
