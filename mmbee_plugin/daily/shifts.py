"""Shifts of a day's rows beside those of the last days: their number, what they lack, when and of whom they are, their
content."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.stats import norm

from mmbee_plugin.daily.alarm import Alarm, AlarmSettings
from mmbee_plugin.daily.ratios import Ratio, clock, row
from mmbee_plugin.serving.replay import Replayed
from mmbee_plugin.serving.scorer import STALE_BOARD

DAYS = 3
"""days from which a spread between days is told"""


def volume(day: Replayed, before: Sequence[Replayed], limits: AlarmSettings) -> Iterator[Alarm]:
    """The day has more or fewer rows of the log than the last days, by more than these differ by."""
    if len(before) < DAYS:
        return
    last = np.log([each.weights.sum() for each in before])
    rows = float(day.weights.sum())
    spread = np.std(last, ddof=1) * (1 + 1 / len(last)) ** 0.5
    if abs(np.log(rows) - last.mean()) > max(np.log(limits.volume), limits.sigmas * spread):
        words = f"{rows:,.0f}, {np.exp(last.mean()):,.0f} in one of the last days"
        yield Alarm("rows of the day", f"{words} (limit a factor of {limits.volume:g})")


def lacks(day: Replayed, before: Sequence[Replayed], limits: AlarmSettings) -> Iterator[Alarm]:
    """Shares of the rows without a score, or without what the bundle should have for them, that have risen."""
    marks = _lacking(day)
    for name in _in_all(marks, [_lacking(each) for each in before]):

        def lacking(part: Replayed, name: str = name) -> NDArray:
            return _lacking(part)[name]

        today, usual = Ratio.of([day], lacking, row), Ratio.of(before, lacking, row)
        between = 0.0
        if len(before) >= DAYS:
            between = float(np.var([Ratio.of([each], lacking, row).value for each in before], ddof=1))
        rise = today.value - usual.value
        if rise > limits.lacking and today.errors_above(usual, between) > limits.sigmas:
            words = f"{today.value:.1%} of rows, {usual.value:.1%} in the last days"
            yield Alarm(f"rows without {name}", f"{words} (limit +{limits.lacking:.0%})")


def hours_of_rows(day: Replayed, before: Sequence[Replayed], limits: AlarmSettings) -> Iterator[Alarm]:
    """One alarm for the hours whose share of the day's rows is not that of the last days."""
    sigmas = float(norm.isf(norm.sf(limits.sigmas) / 24))  # Bonferroni
    told = []
    for hour in np.unique(np.concatenate([clock(each) for each in (day, *before)])).tolist():

        def inside(part: Replayed, hour: int = hour) -> NDArray:
            return clock(part) == hour

        today, usual = Ratio.of([day], inside, row), Ratio.of(before, inside, row)
        if not usual.observed:
            continue
        variance = variance_of(usual, [Ratio.of([each], inside, row) for each in before])
        if today.is_off(usual.value, variance, usual.bursts(), limits.hours, sigmas):
            told.append(f"{hour:02d}h UTC {today.value:.1%} for {usual.value:.1%}")
    if told:
        yield Alarm("rows by hour", f"{', '.join(told)} (limit a factor of {limits.hours:g})")


def floods(day: Replayed, before: Sequence[Replayed], limits: AlarmSettings) -> Iterator[Alarm]:
    """An author or a user with a larger share of the rows than anybody had, by the spread of the largest share."""
    if len(before) < DAYS:
        return
    for name in ("author", "user"):
        shares = _shares(day, name)
        largest = max(shares, key=lambda token: shares[token])
        last = [_shares(each, name) for each in before]
        tops = np.log([max(each.values()) for each in last])
        spread = np.std(tops, ddof=1) * (1 + 1 / len(tops)) ** 0.5
        own = max(each.get(largest, 0.0) for each in last)
        limit = float(np.exp(tops.mean() + limits.sigmas * spread))
        if shares[largest] > max(limit, limits.flood * own):
            words = f"{shares[largest]:.1%} of rows are of {largest}, {own:.1%} or less in the last days"
            limits_told = f"(limit {limit:.1%}, and a factor of {limits.flood:g})"
            yield Alarm(f"rows of one {name}", f"{words} {limits_told}")


def content(day: Replayed, before: Sequence[Replayed], limits: AlarmSettings) -> Iterator[Alarm]:
    """Modalities whose standardised features have another mean square."""
    for name in _in_all(day.content, [each.content for each in before]):

        def squares(part: Replayed, name: str = name) -> NDArray:
            return np.nan_to_num(part.content[name])

        def there(part: Replayed, name: str = name) -> NDArray:
            return np.isfinite(part.content[name])

        today, usual = Ratio.of([day], squares, there), Ratio.of(before, squares, there)
        if not today.base or not usual.observed:
            continue
        factor = today.value / usual.value
        error = (usual.variance + (today.variance if today.observed else 0.0)) ** 0.5
        off = np.inf if not factor else abs(float(np.log(factor)))
        if off > max(float(np.log(limits.content)), limits.sigmas * error):
            words = f"a mean square of {today.value:.3g}, {usual.value:.3g} in the last days"
            yield Alarm(f"content: {name}", f"{words} (limit a factor of {limits.content:g})")


def _in_all(own: Mapping[str, NDArray], others: Sequence[Mapping[str, NDArray]]) -> list[str]:
    return [name for name in own if all(name in other for other in others)]


def _lacking(part: Replayed) -> dict[str, NDArray[np.bool_]]:
    """What rows can lack -> (n,) whether they do."""
    found = {"a score": ~part.scored} | {name: ~has for name, has in part.covered.items()}
    if STALE_BOARD in part.flags:
        found["a fresh board"] = part.flags[STALE_BOARD]
    return found


def _shares(part: Replayed, name: str) -> dict[str, float]:
    """Token -> share of the rows."""
    tokens, place = np.unique(part.authors if name == "author" else part.users, return_inverse=True)
    mass = np.bincount(place, part.weights)
    return dict(zip(tokens.tolist(), (mass / mass.sum()).tolist(), strict=True))


def variance_of(usual: Ratio, last: Sequence[Ratio]) -> float:
    """Relative variance of a usual ratio, at least what the last days differ by."""
    if len(last) < DAYS:
        return usual.variance
    return max(usual.variance, float(np.var([each.value / usual.value for each in last], ddof=1)))
