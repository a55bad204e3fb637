"""Lifts of NGU and NGC between arms, with intervals over users and seeds.

NGU is the number of users who gave a gift in the days of the test, NGC the number of gifts (MMBee, section 6.8), both
per user of the arm. An adjusted lift takes from each user's outcome what is known of it without the test (CUPED; Deng
et al., 2013): the chance of a gift, or the expected gifts, of the same days in livesim 1, where nobody is shown a list.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mmbee_plugin.evaluation.bootstrap import FEWEST, PairedDifference, holm
from mmbee_plugin.evaluation.resampling import means_on_resampled_users
from mmbee_plugin.evaluation.seeds import of_seeds

METRICS = ("NGU", "NGC")
DRAWS = 4_000


@dataclass(frozen=True)
class Observed:
    """Users of one arm in one seed.

    Shapes:
        - gifts, visits: (n, days) int64
        - quiet: (n, 2) float64, see `quiet_gifts`
    """

    gifts: NDArray[np.int64]
    visits: NDArray[np.int64]
    quiet: NDArray[np.float64]


@dataclass(frozen=True)
class Lift:
    """Relative difference from the control by metric, on all days and on each.

    Attributes:
        plain, adjusted: metric -> lift. daily: metric -> one a day, adjusted.

    A lift is NaN where less than :data:`~mmbee_plugin.evaluation.bootstrap.FEWEST` users of the control gave a gift;
    so are its interval and p-value where less of either arm did.
    """

    plain: dict[str, PairedDifference]
    adjusted: dict[str, PairedDifference]
    daily: dict[str, list[PairedDifference]]


@dataclass(frozen=True)
class Measured:
    """One arm.

    Attributes:
        counts: users, gifters, gifts and visits, summed over the seeds.
        means: metric -> mean over the seeds, per user.
        lift: over the control; None for the control itself.
    """

    counts: dict[str, int]
    means: dict[str, float]
    lift: Lift | None


def measure(arms: Mapping[str, Sequence[Observed]], seed: int = 0) -> dict[str, Measured]:
    """Measures all arms against the first.

    A draw of the bootstrap takes of each seed and arm as many users as there are, with replacement; seeds as in
    :mod:`mmbee_plugin.evaluation.seeds`, the same for all arms.

    Args:
        arms: arm -> its users in each seed.
    """
    seeds = len(next(iter(arms.values())))
    of_all = [_columns({name: each[number] for name, each in arms.items()}) for number in range(seeds)]
    found: dict[str, Measured] = {}
    control: tuple[NDArray, NDArray] | None = None
    for place, (name, each) in enumerate(arms.items()):
        columns = [of_seed[name] for of_seed in of_all]
        means = np.stack([values.mean(axis=0) for values in columns])  # (seeds, columns)
        draws = np.stack(
            [
                means_on_resampled_users(values, DRAWS, seed + 1 + place * seeds + number)
                for number, values in enumerate(columns)
            ]
        )  # (seeds, draws, columns)
        known = _givers(each) >= FEWEST
        draws[..., ~known] = np.nan
        lift = None if control is None else _lift(means, draws, *control)
        control = control or (np.where(known, means, np.nan), draws)
        of_metrics = means[:, :2].mean(axis=0).tolist()
        found[name] = Measured(_counts(each), dict(zip(METRICS, of_metrics, strict=True)), lift)
    return found


def within_chance(lift: Lift) -> float:
    """Smallest p-value of an A/A test's lifts, plain and adjusted, Holm-corrected; NaN of too few givers."""
    return float(np.min(holm([one.p_value for kind in (lift.plain, lift.adjusted) for one in kind.values()])))


def _outcomes(gifts: NDArray[np.int64]) -> NDArray[np.float64]:
    total = gifts.sum(axis=1)
    return np.stack([total > 0, total], axis=1).astype(np.float64)


def _columns(arms: Mapping[str, Observed]) -> dict[str, NDArray[np.float64]]:
    """arm -> (n, 4 + 2 days) of one seed: outcomes, adjusted outcomes, adjusted outcomes of each day.

    A slope of an outcome is that of all arms together, within arms.
    """
    outcomes = {name: _outcomes_of_days(observed) for name, observed in arms.items()}
    quiet = {name: np.tile(arms[name].quiet, each.shape[1] // 2) for name, each in outcomes.items()}
    known = np.concatenate(list(quiet.values())).mean(axis=0)
    own = np.concatenate([each - each.mean(axis=0) for each in outcomes.values()])
    by = np.concatenate([each - each.mean(axis=0) for each in quiet.values()])
    slope = (own * by).sum(axis=0) / np.maximum((by**2).sum(axis=0), 1e-12)
    return {
        name: np.concatenate([each[:, :2], each - slope * (quiet[name] - known)], axis=1)
        for name, each in outcomes.items()
    }


def _outcomes_of_days(observed: Observed) -> NDArray[np.float64]:
    """(n, 2 + 2 days): outcomes of all days, then of each."""
    days = [_outcomes(observed.gifts[:, [day]]) for day in range(observed.gifts.shape[1])]
    return np.concatenate([_outcomes(observed.gifts), *days], axis=1)


def _givers(seeds: Sequence[Observed]) -> NDArray[np.int64]:
    """(4 + 2 days,) users of all seeds with a gift, for the columns of `_columns`."""
    gifts = np.concatenate([one.gifts for one in seeds])
    total = gifts.sum(axis=1)
    return np.repeat((np.column_stack([total, total, gifts]) > 0).sum(axis=0), 2)


def _lift(means: NDArray, draws: NDArray, control_means: NDArray, control_draws: NDArray) -> Lift:
    gains, drawn = _gains(means, control_means), _gains(draws, control_draws)
    each = [of_seeds(gains[:, column], drawn[..., column]) for column in range(gains.shape[1])]
    plain, adjusted, daily = each[:2], each[2:4], each[4:]
    return Lift(
        dict(zip(METRICS, plain, strict=True)),
        dict(zip(METRICS, adjusted, strict=True)),
        {metric: daily[place::2] for place, metric in enumerate(METRICS)},
    )


def _gains(means: NDArray, control: NDArray) -> NDArray[np.float64]:
    """The lift of the means over seeds, (seeds, …): each seed's part is linear in its means, and the parts' mean is the
    lift. (A seed's own ratio would do neither: its control may have next to no gifts.)"""
    with np.errstate(divide="ignore", invalid="ignore"):
        of_control = control.mean(axis=0)
        ratio = means.mean(axis=0) / of_control
        return ratio - 1 + (means - ratio * control) / of_control


def _counts(seeds: Sequence[Observed]) -> dict[str, int]:
    return {
        "users": sum(len(one.gifts) for one in seeds),
        "gifters": sum(int((one.gifts.sum(axis=1) > 0).sum()) for one in seeds),
        "gifts": sum(int(one.gifts.sum()) for one in seeds),
        "visits": sum(int(one.visits.sum()) for one in seeds),
    }
