"""The gate: whether a candidate bundle may replace the served one, by both bundles' answers to the same held-out rows.

A limit on a metric closes the gate where it is passed beyond chance: the 95 % interval of the paired difference over
resampled users excludes zero. What depends on no draw (scores that are not finite, coverage, norms, directions) has no
such allowance. A closed gate keeps the served bundle, so a candidate is measured against it and not against an ideal:
where both are out of calibration, the log has shifted, which raises an alarm (`alarms`) and closes nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from mmbee_plugin.daily.norms import drift
from mmbee_plugin.errors import InputError
from mmbee_plugin.evaluation.bootstrap import FEWEST, Interval, of_draws
from mmbee_plugin.evaluation.drift import stability
from mmbee_plugin.evaluation.metrics import log_losses, user_auc
from mmbee_plugin.evaluation.resampling import means_on_resampled_users
from mmbee_plugin.serving.replay import Replayed
from mmbee_plugin.settings.section import Section

DRAWS = 2000


class GateSettings(Section):
    """Limits beyond which a candidate is not published."""

    gauc_drop: float = Field(default=0.005, ge=0)
    """fall of GAUC below the served bundle's, beyond chance"""
    log_loss_rise: float = Field(default=0.02, ge=0)
    """rise of the log loss in the log, relative to the served bundle's, beyond chance"""
    calibration: float = Field(default=1.5, ge=1)
    """factor by which predicted over observed gifts is further from 1 than the served bundle's, beyond chance"""
    coverage_drop: float = Field(default=0.02, ge=0)
    """fall of the share of rows that a bundle scores, or whose user, author or segments it has"""
    neighbours_drop: float = Field(default=0.25, ge=0)
    """fall of the share of rows whose user or author has neighbours, which come and go with the gifts in the window"""
    norm_drift: float = Field(default=0.5, ge=0)
    """growth of a table's mean norm, or of a part's weights, since the served bundle; 0.5: by half, or to 1 / 1.5"""
    direction: float = Field(default=0.8, ge=-1, le=1)
    """cosine with the served bundle, of a part's weights or of the id vectors by token, that a candidate which goes on
    from it keeps after a day's training; its square after two, and so on"""
    psi: float = Field(default=0.25, ge=0)
    """population stability index of the logits, level and spread apart, candidate against served bundle, unless the log
    loss is lower beyond chance"""


@dataclass(frozen=True)
class Check:
    """One comparison of the gate."""

    name: str
    passed: bool
    words: str
    """what was found, in one line with the limit"""
    change: Interval | None = None
    """from the served bundle, over resampled users; None for a check of all rows as they are"""
    limit: float | None = None
    """of the change, in its unit"""


@dataclass(frozen=True)
class Verdict:
    """What the gate decides."""

    candidate: str
    served: str | None
    rows: int
    checks: tuple[Check, ...]

    @property
    def opens(self) -> bool:
        """Whether the candidate may be published."""
        return all(check.passed for check in self.checks)

    @property
    def reason(self) -> str:
        """The failed checks in one line; of an open gate all of them."""
        told = [check for check in self.checks if check.passed == self.opens]
        return "; ".join(f"{check.name} {check.words}" for check in told)

    def described(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        return {**asdict(self), "opens": self.opens, "reason": self.reason}

    @classmethod
    def read(cls, told: Mapping[str, Any]) -> Verdict:
        """A verdict from its fields as plain values."""
        checks = (
            Check(**{**check, "change": check.get("change") and Interval(**check["change"])})
            for check in told["checks"]
        )
        return cls(**{**told, "checks": tuple(checks)})


def judge(
    candidate: Replayed,
    served: Replayed | None = None,
    norms: tuple[Mapping[str, float], Mapping[str, float]] | None = None,
    directions: Mapping[str, float] | None = None,
    settings: GateSettings | None = None,
    seed: int = 0,
    days: int = 1,
) -> Verdict:
    """Judges a candidate on rows that it was not trained on.

    Args:
        candidate, served: answers of both to the same rows. Without a served bundle anything finite is better than
            nothing, so metrics are told and not limited.
        norms: of the served bundle and of the candidate, see :func:`~mmbee_plugin.daily.norms.norms`.
        directions: of a candidate that goes on from the served bundle, see
            :func:`~mmbee_plugin.daily.norms.directions`; None for one that was trained from nothing.
        settings: the limits.
        seed: of the bootstrap samples.
        days: that the candidate was trained on since the served bundle. Each may turn it as far as the limit.

    Raises:
        InputError: a bundle without chances of the log.
        ValueError: answers to different rows.
    """
    limits = settings or GateSettings()
    checks = list(_own(candidate))
    both = candidate.scored & np.isfinite(candidate.logits).all(axis=1)
    if served is not None:
        if not (
            np.array_equal(served.users, candidate.users)
            and np.array_equal(served.authors, candidate.authors)
        ):
            raise ValueError("the bundles were replayed on different rows")
        checks += _coverage(candidate, served, limits)
        both &= served.scored & np.isfinite(served.logits).all(axis=1)
    if not both.any():
        checks.append(Check("scores", False, f"none of {len(candidate):,} rows has one to compare"))
    else:
        checks += _metrics(
            candidate.taken(both), None if served is None else served.taken(both), limits, seed
        )
    if norms is not None:
        checks += _norms(*norms, limits)
    if directions:
        checks.append(_directions(directions, limits, days))
    plain = tuple(replace(check, passed=bool(check.passed)) for check in checks)  # no numpy.bool_
    return Verdict(candidate.bundle, None if served is None else served.bundle, len(candidate), plain)


def coverage(replayed: Replayed) -> dict[str, float]:
    """Shares of the log's rows that have a score, and whose user, author, neighbours and segments the bundle has."""
    every = {"scored": replayed.scored, **replayed.covered}
    return {name: float(np.average(rows, weights=replayed.weights)) for name, rows in every.items()}


def _own(candidate: Replayed) -> Iterator[Check]:
    scored = candidate.scored
    wrong = int((~np.isfinite(candidate.logits[scored])).any(axis=1).sum())
    words = "all finite" if not wrong else f"not finite in {wrong:,} of {int(scored.sum()):,} rows"
    yield Check("scores", not wrong, words)


def _coverage(candidate: Replayed, served: Replayed, limits: GateSettings) -> Iterator[Check]:
    before, after = coverage(served), coverage(candidate)
    for name in sorted(before.keys() & after.keys()):
        limit = limits.neighbours_drop if name.endswith("neighbours") else limits.coverage_drop
        words = f"{after[name]:.1%} of rows against {before[name]:.1%} (limit -{limit:.1%})"
        yield Check(f"coverage: {name}", bool(before[name] - after[name] <= limit), words)


def _metrics(
    candidate: Replayed, served: Replayed | None, limits: GateSettings, seed: int
) -> Iterator[Check]:
    """Checks of scores, on rows that both score."""
    sums = _Sums.of([candidate] if served is None else [candidate, served], seed)
    if served is None:
        yield Check("predicted over observed", True, f"{sums.factor(0):.3f}")
        return
    yield _gauc(sums, limits)
    rise, loss = sums.log_loss()
    words = f"{rise.mean:+.2%} {_range(rise, '+.2%')} of {loss:.4f} (limit {limits.log_loss_rise:+.1%})"
    passed = not (rise.mean > limits.log_loss_rise and rise.low > 0)
    yield Check("log loss", passed, words, rise, limits.log_loss_rise)
    worse = sums.calibration()
    words = f"{sums.factor(0):.3f} against {sums.factor(1):.3f}, {worse.mean:.3f} times as far from 1"
    words += f" {_range(worse, '.3f')} (limit {limits.calibration:g})"
    passed = not (worse.mean > limits.calibration and worse.low > 1)
    yield Check("predicted over observed", passed, words, worse, limits.calibration)
    before, after = _standardised(served), _standardised(candidate)
    psi = stability(before, after, served.weights, candidate.weights).psi
    better = " with a lower log loss" if psi > limits.psi and rise.high < 0 else ""
    yield Check("PSI", psi <= limits.psi or bool(better), f"{psi:.3f}{better} (limit {limits.psi:g})")


def _standardised(replayed: Replayed) -> NDArray[np.float64]:
    """(n,) logits of a gift, with mean 0 and deviation 1 over the log's rows.

    A day's training moves all chances together, and spreads or narrows them: a model that was trained for a few epochs
    from nothing is surer than after a day more. How far level and spread are from the gifts is the matter of
    calibration and log loss, in which few gifts count as few; what the index is left with is the shape.
    """
    logits = replayed.logits[:, 0].astype(np.float64)
    logits -= np.average(logits, weights=replayed.weights)
    deviation = np.sqrt(np.average(logits**2, weights=replayed.weights))
    return logits / (deviation or 1.0)


def _gauc(sums: _Sums, limits: GateSettings) -> Check:
    try:
        change, after, before = sums.gauc()
    except InputError as error:
        return Check("GAUC", False, f"cannot be compared ({error})")
    words = f"{after:.4f} against {before:.4f}: {change.mean:+.4f} {_range(change, '+.4f')}"
    passed = not (change.mean < -limits.gauc_drop and change.high < 0)
    return Check("GAUC", passed, f"{words} (limit -{limits.gauc_drop:g})", change, -limits.gauc_drop)


def _norms(before: Mapping[str, float], after: Mapping[str, float], limits: GateSettings) -> Iterator[Check]:
    found = drift(before, after)
    if not found:
        return
    grown = {name: _distance(1 + change) for name, change in found.items()}
    worst = max(grown, key=lambda name: grown[name])
    passed = grown[worst] <= np.log1p(limits.norm_drift)
    words = f"{found[worst]:+.1%} of {worst}, which changed most (limit {limits.norm_drift:+.0%})"
    yield Check("norms", passed, words)


def _directions(found: Mapping[str, float], limits: GateSettings, days: int) -> Check:
    worst = min(found, key=lambda name: np.nan_to_num(found[name], nan=-np.inf))
    limit = limits.direction**days if limits.direction > 0 else limits.direction
    words = f"cosine {found[worst]:.3f} of {worst}, which turned most (limit {limit:g})"
    return Check("directions", found[worst] >= limit, words)


class _Sums:
    """Sums by user over aligned rows of one or two bundles, and their means on bootstrap samples of the users."""

    @classmethod
    def of(cls, sides: list[Replayed], seed: int) -> _Sums:
        first = sides[0]
        users, user = np.unique(first.users, return_inverse=True)
        gift, weights = first.labels[:, 0], first.weights

        def by_user(values: NDArray) -> NDArray[np.float64]:
            return np.bincount(user, values, minlength=len(users)).astype(np.float64)

        columns = {"rows": by_user(weights), "gifts": by_user(weights * gift)}
        for place, side in enumerate(sides):
            each = user_auc(user, gift, side.logits[:, 0])
            columns["pairs"] = by_user(np.zeros(len(user)))
            columns["pairs"][each.users] = each.impressions
            wins = np.zeros(len(users))
            wins[each.users] = each.auc * each.impressions
            columns[f"wins {place}"] = wins
            columns[f"loss {place}"] = by_user(weights * log_losses(gift, side.chances))
            columns[f"predicted {place}"] = by_user(weights * side.chances)
        return cls(columns, seed)

    def __init__(self, columns: Mapping[str, NDArray[np.float64]], seed: int) -> None:
        self.whole = {name: float(values.mean()) for name, values in columns.items()}
        self.users = {name: int(np.count_nonzero(values)) for name, values in columns.items()}
        drawn = means_on_resampled_users(np.stack(list(columns.values()), axis=1), DRAWS, seed)
        self.drawn = dict(zip(columns, drawn.T, strict=True))

    def gauc(self) -> tuple[Interval, float, float]:
        """Difference of GAUC, candidate minus served, and the GAUC of each. Raises InputError if it is undefined."""
        if not self.whole["pairs"]:
            raise InputError("no user has both a gift and a negative")
        after, before = (self.whole[f"wins {place}"] / self.whole["pairs"] for place in (0, 1))
        return self._interval("wins 0", "wins 1", "pairs", after - before), after, before

    def log_loss(self) -> tuple[Interval, float]:
        """Difference of the log loss relative to the served bundle's, and the latter in nats a row of the log."""
        before = self.whole["loss 1"]
        found = self._interval("loss 0", "loss 1", "loss 1", self.whole["loss 0"] / before - 1)
        return found, before / self.whole["rows"]

    def factor(self, place: int) -> float:
        """Predicted over observed gifts of a bundle; infinite without a gift."""
        with np.errstate(divide="ignore"):
            return float(np.float64(self.whole[f"predicted {place}"]) / self.whole["gifts"])

    def calibration(self) -> Interval:
        """The factor by which the candidate's predicted over observed is further from 1 than the served bundle's; 1
        without a gift."""
        if not self.whole["gifts"]:
            return Interval(1.0, 0.0, 1.0, 1.0)
        both = (self.whole, self.drawn)
        with np.errstate(divide="ignore", invalid="ignore"):
            found, draws = (
                abs(np.log(of["predicted 0"] / of["gifts"])) - abs(np.log(of["predicted 1"] / of["gifts"]))
                for of in both
            )
        return self._of_draws("gifts", float(np.exp(found)), np.exp(draws))

    def _interval(self, first: str, second: str, below: str, estimate: float) -> Interval:
        with np.errstate(divide="ignore", invalid="ignore"):
            draws = (self.drawn[first] - self.drawn[second]) / self.drawn[below]
        return self._of_draws(below, estimate, draws)

    def _of_draws(self, below: str, estimate: float, draws: NDArray[np.float64]) -> Interval:
        """An interval of a ratio, without ends where few users have anything of what it is over."""
        return of_draws(estimate, draws if self.users[below] >= FEWEST else draws[:0]).interval


def _distance(factor: float) -> float:
    """|ln factor|; infinite for 0, infinity and NaN."""
    return abs(float(np.log(factor))) if 0 < factor < np.inf else np.inf


def _range(found: Interval, form: str) -> str:
    return f"[{found.low:{form}}, {found.high:{form}}]" if np.isfinite(found.low) else "(too few users)"
