"""Intervals over users and seeds: how often they hold what they are of, when seeds vary and when they do not."""

from __future__ import annotations

import numpy as np
import pytest

from mmbee_plugin.evaluation.bootstrap import of_draws
from mmbee_plugin.evaluation.resampling import ResampledUsers, means_on_resampled_users
from mmbee_plugin.evaluation.seeds import of_seeds
from mmbee_plugin.experiments.comparison import Samples, differences, scored

TRIALS, DRAWS, USERS = 500, 400, 80


def covered(seeds: int, of_seed: float, of_users: float, of_both: float) -> dict[str, float]:
    """Share of the 95 % intervals of a mean that hold it, by users alone, seeds drawn with replacement, and ours.

    Args:
        of_seed, of_users, of_both: standard deviations of a seed's, a user's and a user's own part within a seed.
    """
    held = {"users": 0, "with replacement": 0, "ours": 0}
    for trial in range(TRIALS):
        random = np.random.default_rng([seeds, trial])
        parts = of_seed, of_users, of_both
        sizes = (seeds, 1), (1, USERS), (seeds, USERS)
        measured = sum(sd * random.normal(size=size) for sd, size in zip(parts, sizes, strict=True))
        values, draws = measured.mean(axis=1), means_on_resampled_users(measured.T, DRAWS, trial).T
        picked = random.integers(0, seeds, (seeds, DRAWS))
        found = {
            "users": of_draws(values.mean(), draws.mean(axis=0)),
            "with replacement": of_draws(values.mean(), draws[picked, np.arange(DRAWS)].mean(axis=0)),
            "ours": of_seeds(values, draws, trial),
        }
        for name, each in found.items():
            held[name] += each.interval.low <= 0 <= each.interval.high
    return {name: count / TRIALS for name, count in held.items()}


@pytest.mark.parametrize("seeds", [3, 5])
def test_intervals_hold_the_mean_when_seeds_vary(seeds):
    found = covered(seeds, 1, 1, 1)
    assert 0.93 <= found["ours"] <= 0.97
    assert found["users"] < 0.6 and found["with replacement"] < 0.9


def test_intervals_hold_the_mean_when_seeds_do_not_vary():
    found = covered(5, 0, 1, 1)
    assert 0.93 <= found["ours"] <= 0.985
    assert (
        covered(5, 0.1, 1, 2)["ours"] >= 0.93
    )  # seeds differ about as much as their users' scores make them


def test_users_noise_in_the_spread_of_seeds_counts_once():
    random = np.random.default_rng(1)
    measured = random.normal(size=(5, 2_000))  # no part of the seed: 5 x 2,000 values of one mean
    found = of_seeds(measured.mean(axis=1), means_on_resampled_users(measured.T, 2_000).T).interval
    assert found.standard_error == pytest.approx(1 / np.sqrt(10_000), rel=0.35)


def test_many_users_leave_students_t_over_the_seeds():
    values = np.array([0.688, 0.688, 0.675, 0.674, 0.686])
    found = of_seeds(values, np.repeat(values[:, None], 200_000, axis=1))
    half = 2.776 * values.std(ddof=1) / np.sqrt(5)  # t of 4 degrees of freedom
    assert found.interval.mean == pytest.approx(values.mean())
    assert found.interval.high - values.mean() == pytest.approx(half, rel=0.02)
    assert values.mean() - found.interval.low == pytest.approx(half, rel=0.02)
    assert found.interval.standard_error == pytest.approx(values.std(ddof=1) / np.sqrt(5))


def test_p_of_seeds_is_the_t_tests():
    values = np.array([0.010, 0.014, 0.002, 0.009, 0.006])  # t = 4.03: p .016
    found = of_seeds(values, np.repeat(values[:, None], 200_000, axis=1))
    assert found.p_value == pytest.approx(0.0158, rel=0.05)


def test_one_seed_is_the_bootstrap_over_users():
    draws = np.random.default_rng(0).normal(0.3, 0.1, 1_000)
    assert of_seeds(np.array([0.3]), draws[None]) == of_draws(0.3, draws)


def test_what_both_models_have_from_a_seed_cancels():
    """Two models whose seeds shift both alike: neither is known well, their difference is."""
    random = np.random.default_rng(3)
    users = np.repeat(np.arange(120), 20)
    labels = random.random(len(users)) < 0.3
    samples, resampled = Samples(users, labels, None), ResampledUsers(users, labels, draws=500)
    skill = (0.2, 0.6, 1.0, 1.4, 1.8)  # of the seeds
    noise = random.normal(size=(5, len(users)))
    first = [scale * labels + part for scale, part in zip(skill, noise, strict=True)]
    second = [scores + 0.2 * labels for scores in first]
    rows = {"first": scored(samples, resampled, first), "second": scored(samples, resampled, second)}
    found = differences(rows, {"gain": ("second", "first")})["gain"].found["auc"]
    whole = rows["second"].interval("auc")
    assert found.interval.low > 0 and found.p_value < 0.01
    assert found.interval.high - found.interval.low < 0.25 * (whole.high - whole.low)
    apart = {**rows, "second": scored(samples, resampled, second[::-1])}  # the seeds' skill no longer shared
    wide = differences(apart, {"gain": ("second", "first")})["gain"].found["auc"].interval
    assert wide.low < 0 < wide.high
