"""Alarms: a shift in a day's log, as the served bundle saw it before anything was trained on it.

An alarm closes no gate, since a served model that is kept meets the same log; somebody should look. Bundles differ
from day to day in the level and spread of their chances, so a day is compared with what the same bundle answered to the
rows that it was held against the day before, and an hour with the day's other hours. Shares of gifts need no model.

Counts raise an alarm where they pass a limit beyond chance (`ratios`), which between several days before is at least
what these differ by. `shifts` has the alarms of the rows themselves.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.stats import norm

from mmbee_plugin.daily import shifts
from mmbee_plugin.daily.alarm import Alarm, AlarmSettings
from mmbee_plugin.daily.ratios import Ratio, chance, clock, gift, row, scored
from mmbee_plugin.evaluation.drift import Stability, least_without_one, stability
from mmbee_plugin.serving.replay import Replayed


class Expected(NamedTuple):
    """An hour's gifts over those that chances promise, beside what it is expected to be.

    Attributes:
        hour: of the day (UTC). own: the hour's.
        usual, variance, bursts: as of `Ratio.is_off`.
    """

    hour: int
    own: Ratio
    usual: float
    variance: float
    bursts: float


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
        for look in (shifts.volume, shifts.lacks, shifts.hours_of_rows, shifts.floods, shifts.content):
            found += look(day, known, limits)
        found += [*_gift_rate(day, known, limits), *_hours(day, known, limits)]
    if reference is not None:
        found += [*_scores(day, reference, limits), *_level(day, reference, limits)]
    return found


def day_stability(day: Replayed, reference: Replayed) -> Stability | None:
    """PSI of a bundle's chances in a day against those in a reference, in the hours that both have; None without a
    scored row on either side."""
    last, now = _same_hours(reference, day)
    if not len(last) or not len(now):
        return None
    return stability(last.chances, now.chances, last.weights, now.weights)


def _same_hours(reference: Replayed, day: Replayed) -> list[Replayed]:
    """The scored rows of both in the hours that both have."""
    sides = [scored(each) for each in (reference, day)]
    first, second = (np.unique(clock(side)) for side in sides)
    return [side.taken(np.isin(clock(side), np.intersect1d(first, second))) for side in sides]


def _scores(day: Replayed, reference: Replayed, limits: AlarmSettings) -> Iterator[Alarm]:
    found = day_stability(day, reference)
    if found is None or found.psi <= limits.psi:
        return
    sides = _same_hours(reference, day)
    groups = [_binned(sides, name, found.edges) for name in ("users", "authors")]
    rows = [float(side.weights.mean()) for side in sides]
    if min(least_without_one(before, after, *rows) for before, after in groups) > limits.psi:
        yield Alarm("PSI", f"{found.psi:.3f} of the chances against yesterday's (limit {limits.psi:g})")


def gift_rate_of(parts: Sequence[Replayed]) -> Ratio:
    """Gifts a row of the log, of all rows of some days."""
    return Ratio.of(parts, gift, row)


def level_of(part: Replayed) -> Ratio:
    """Gifts over those that chances promise, of the rows with a score."""
    return Ratio.of([scored(part)], gift, chance)


def _binned(sides: Sequence[Replayed], name: str, edges: NDArray[np.float64]) -> list[NDArray[np.float64]]:
    """Weight (g, b) of the rows of each user or author in each bin of the chances, of each side."""
    tokens = np.unique(np.concatenate([getattr(side, name) for side in sides]))
    found = [np.zeros((len(tokens), len(edges) + 1)) for _ in sides]
    for side, weights in zip(sides, found, strict=True):
        place = np.searchsorted(tokens, getattr(side, name))
        np.add.at(weights, (place, np.searchsorted(edges, side.chances, side="right")), side.weights)
    return found


def _gift_rate(day: Replayed, before: Sequence[Replayed], limits: AlarmSettings) -> Iterator[Alarm]:
    today, usual = gift_rate_of([day]), gift_rate_of(before)
    if not usual.observed:
        return
    variance = shifts.variance_of(usual, [Ratio.of([each], gift, row) for each in before])
    if today.is_off(usual.value, variance, usual.bursts(), limits.gift_rate, limits.sigmas):
        words = f"{today.value:.3%} of rows, {usual.value:.3%} in the last days"
        yield Alarm("gift rate", f"{words} (limit a factor of {limits.gift_rate:g})")


def _level(day: Replayed, reference: Replayed, limits: AlarmSettings) -> Iterator[Alarm]:
    today, usual = level_of(day), level_of(reference)
    off = usual.value, usual.variance, usual.bursts(), limits.calibration, limits.sigmas
    if usual.observed and today.is_off(*off):
        words = f"{1 / today.value:.2f}" if today.observed else "no gift"
        yield Alarm(
            "predicted over observed",
            f"{words}, {1 / usual.value:.2f} in yesterday's held-out rows (limit a factor of {limits.calibration:g})",
        )


def expected_hours(day: Replayed, before: Sequence[Replayed]) -> Iterator[Expected]:
    """Each hour by the day's other hours, as the same hours of the last days were."""
    rows, last = scored(day), [scored(each) for each in before]
    for hour in np.unique(clock(rows)).tolist():
        own, others = (Ratio.of([rows.taken(chosen)], gift, chance) for chosen in _split(rows, hour))
        if not others.observed:
            continue
        expected, variance, bursts = others.value, others.variance, 0.0
        parts = [[each.taken(chosen) for chosen in _split(each, hour)] for each in last]
        usual = [Ratio.of(side, gift, chance) for side in zip(*parts, strict=True)]
        if usual and all(side.observed for side in usual):
            expected *= usual[0].value / usual[1].value
            variance += usual[0].variance + usual[1].variance
            bursts = usual[0].bursts()
        yield Expected(hour, own, expected, variance, bursts)


def _hours(day: Replayed, before: Sequence[Replayed], limits: AlarmSettings) -> Iterator[Alarm]:
    """One alarm for the hours whose gifts do not fit."""
    sigmas = float(norm.isf(norm.sf(limits.sigmas) / 24))  # Bonferroni
    told = [
        f"{one.hour:02d}h UTC {one.own.observed:.0f} gifts for {one.usual * one.own.base:.0f}"
        for one in expected_hours(day, before)
        if one.own.is_off(one.usual, one.variance, one.bursts, limits.calibration, sigmas)
    ]
    if told:
        yield Alarm("calibration by hour", f"{', '.join(told)} (limit a factor of {limits.calibration:g})")


def _split(part: Replayed, hour: int) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    inside = clock(part) == hour
    return inside, ~inside
