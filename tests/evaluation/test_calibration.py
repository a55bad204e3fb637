"""Calibration against brute force: a whole log, of which training and evaluation see different shares."""

from __future__ import annotations

import math

import numpy as np
import pytest

from mmbee_plugin.errors import InputError
from mmbee_plugin.evaluation.calibration import calibration, quantile_bins
from mmbee_plugin.evaluation.chances import chances_in_log


@pytest.mark.parametrize("share", [1.0, 0.25, 0.09])
def test_the_chance_of_a_kept_row_becomes_that_of_a_row_of_the_log(share):
    """Kinds of rows with known counts; the best model of the kept rows knows their frequencies and nothing else."""
    gifts, negatives = np.array([3, 40, 500]), np.array([4000, 400, 100])
    kept = gifts / (gifts + share * negatives)
    found = chances_in_log(np.log(kept / (1 - kept)), share)
    np.testing.assert_allclose(found, gifts / (gifts + negatives), rtol=1e-12)
    np.testing.assert_allclose(found, kept / (kept + (1 - kept) / share), rtol=1e-12)


def sampled_log(rng, train=0.1, test=0.3, rows=200_000):
    """Rows kept for evaluation out of a log: users, logits of a model of the training share, labels, weights, kinds."""
    kind = rng.integers(0, 4, rows)
    chance = np.array([0.002, 0.01, 0.03, 0.1])[kind]
    label = rng.random(rows) < chance
    odds = chance / (1 - chance) / train
    kept = label | (rng.random(rows) < test)
    weight = np.where(label, 1, 1 / test)
    users = rng.integers(0, 3000, rows)
    return tuple(values[kept] for values in (users, np.log(odds), label, weight, kind))


def test_a_calibrated_model_is_found_so_whatever_the_shares():
    users, logits, labels, weights, kind = sampled_log(np.random.default_rng(5))
    found = calibration(chances_in_log(logits, 0.1), labels, weights, users, kind)
    assert found.bins.tolist() == [0, 1, 2, 3]
    assert ((found.low < 1) & (found.high > 1)).all() and (np.abs(found.ratio - 1) < 0.12).all()
    np.testing.assert_allclose(found.rows.sum(), 200_000, rtol=0.01)
    uncorrected = calibration(1 / (1 + np.exp(-logits)), labels, weights, users)
    assert uncorrected.low[0] > 5
    unweighted = calibration(chances_in_log(logits, 0.1), labels, np.ones(len(labels)), users)
    assert unweighted.high[0] < 0.5


def test_sums_by_bin_are_those_of_a_loop():
    rng = np.random.default_rng(1)
    users, bins = rng.integers(0, 20, 300), rng.integers(2, 6, 300) * 7
    chances, labels, weights = rng.random(300), rng.integers(0, 2, 300), rng.uniform(1, 5, 300)
    found = calibration(chances, labels, weights, users, bins, draws=50)
    for place, name in enumerate(sorted(set(bins))):
        rows = [row for row in range(300) if bins[row] == name]
        assert found.bins[place] == name
        assert found.rows[place] == pytest.approx(math.fsum(weights[row] for row in rows))
        assert found.predicted[place] == pytest.approx(math.fsum(weights[row] * chances[row] for row in rows))
        assert found.observed[place] == pytest.approx(math.fsum(weights[row] * labels[row] for row in rows))


def test_intervals_resample_users_and_hold_what_they_promise():
    """Users' rows are copies of one row each: counted as independent, their interval would be a third as wide."""
    rng = np.random.default_rng(2)
    covered = 0
    for _ in range(60):
        label = np.repeat(rng.random(400) < 0.2, 9)
        users = np.repeat(np.arange(400), 9)
        found = calibration(np.full(3600, 0.2), label, np.ones(3600), users, draws=200)
        covered += bool(found.low[0] <= 1 <= found.high[0])
    assert covered >= 50


def test_the_interval_of_observed_events_is_that_of_a_count_in_the_log():
    """One row a user: binomial, whether a fifth of the negatives stand for all of them or not."""
    for kept in (1.0, 0.2):
        label = np.arange(400) < 40
        weights = np.where(label, 1, 1 / kept)
        found = calibration(np.full(400, 0.1), label, weights, np.arange(400))
        rows = 40 + 360 / kept
        share = 40 / rows
        # Delta method: events e and rows r of n draws, of which cov(e, r) has the weights.
        residual = label - share * weights
        spread = 1.96 * np.sqrt(len(label) * residual.var())
        assert found.observed[0] == 40
        assert found.fewest[0] == pytest.approx(40 - spread, abs=1.5)
        assert found.most[0] == pytest.approx(40 + spread, abs=1.5)


def test_a_bin_without_an_event_has_no_ratio_and_no_rows_are_refused():
    found = calibration(
        np.array([0.1, 0.2]), np.array([0, 1]), np.ones(2), np.array([0, 1]), np.array([0, 1])
    )
    assert found.ratio[0] == np.inf and found.high[0] == np.inf and found.ratio[1] == pytest.approx(0.2)
    assert found.fewest[0] == 0 and found.most[0] == pytest.approx(0.793450, abs=1e-6)  # Wilson: 0 of 1
    assert found.low[0] == pytest.approx(0.1 / 0.793450, abs=1e-6)
    with pytest.raises(InputError, match="no rows"):
        calibration(np.empty(0), np.empty(0), np.empty(0), np.empty(0))


def test_ends_of_few_users_are_open():
    """Nine users alike, of whom any draw is the same."""
    users, label = np.repeat(np.arange(9), 2), np.tile([0, 1], 9)
    found = calibration(np.full(18, 0.5), label, np.ones(18), users)
    assert (found.ratio[0], found.low[0], found.high[0]) == (1, 0, np.inf)
    assert (found.fewest[0], found.most[0]) == (0, 18)


def test_quantile_bins_have_equal_weight_and_keep_ties_together():
    rng = np.random.default_rng(3)
    values, weights = rng.random(1000), rng.choice([1.0, 4.0], 1000)
    bins = quantile_bins(values, weights)
    mass = np.bincount(bins, weights)
    assert len(mass) == 10 and np.abs(mass / weights.sum() - 0.1).max() < 0.005
    assert all(values[bins == low].max() < values[bins == low + 1].min() for low in range(9))
    assert len(set(quantile_bins(np.array([1.0, 1, 1, 2]), np.ones(4)))) == 2
