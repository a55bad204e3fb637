"""The simulator's small parts against plain loops and known values."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import expit

from mmbee_plugin.livesim.events import SHARE, run_events
from mmbee_plugin.livesim.gifts import Base, LogOdds
from mmbee_plugin.livesim.prices import prices as prices_of
from mmbee_plugin.livesim.report import KUAILIVE, calibration_lines, gini, oracle_lines, rank_by_truth
from mmbee_plugin.livesim.visits import one_at_a_time


def test_visits_wait_for_the_ones_before():
    rng = np.random.default_rng(0)
    user = np.sort(rng.integers(40, size=500))
    wanted = rng.random(500) * 86_400_000
    wanted = wanted[np.lexsort((wanted, user))]
    length = rng.pareto(0.8, size=500) * 60_000
    expected, free = [], {}
    for who, when, long in zip(user, wanted, length, strict=True):
        expected.append(max(when, free.get(who, 0)))
        free[who] = expected[-1] + long
    np.testing.assert_allclose(one_at_a_time(user, wanted, length), expected, atol=1e-2)


def test_prices_are_kuailives():
    prices = prices_of(200_000)
    assert (np.diff(prices) >= 0).all()
    assert prices.mean() == pytest.approx(KUAILIVE["price mean"], rel=0.01)
    quantiles = [KUAILIVE[f"price {name}"] for name in ("median", "p90", "p95", "p99")]
    np.testing.assert_allclose(np.quantile(prices, (0.5, 0.9, 0.95, 0.99)), quantiles, rtol=0.01)
    for common in (1, 2, 10):
        assert (prices == common).mean() == pytest.approx(KUAILIVE[f"share of price {common}"], abs=0.005)


def test_the_base_gives_the_wanted_number():
    base, values = Base(), np.random.default_rng(0).normal(size=20_000) * 2
    base.add(values[:5_000])
    base.add(values[5_000:])
    assert expit(values + base.find(300.0)).sum() == pytest.approx(300, rel=1e-3)


def test_events_keep_their_share_from_the_first_segment_on():
    lengths = np.random.default_rng(0).integers(1, 60, size=3_000)
    on = run_events(np.random.default_rng(1), lengths)
    assert len(on) == lengths.sum()
    first = np.cumsum(lengths) - lengths
    np.testing.assert_allclose(on[first].mean(axis=0), SHARE, atol=0.035)
    np.testing.assert_allclose(on.mean(axis=0), SHARE, atol=0.02)


def test_gini():
    assert gini(np.full(10, 3.0)) == pytest.approx(0)
    assert gini(np.array([0.0, 0, 0, 8])) == pytest.approx(0.75)


def test_the_oracle_loses_what_it_does_not_know():
    rng = np.random.default_rng(0)
    user, generosity, circle = np.arange(6_000) // 20, rng.normal(size=300), rng.random(6_000) < 0.2
    none = np.zeros(6_000, dtype=np.float32)
    parts = LogOdds(
        generosity[user].astype(np.float32), none, 2 * circle.astype(np.float32), none, none, none
    )
    label = (rng.random(6_000) < expit(parts.total() - 2)).astype(int)
    oracle = rank_by_truth(user, label, parts)
    best, without = oracle.metrics["planted truth"], oracle.metrics["without circle"]
    assert best[0] > without[0] + 0.03 and best[1] > 0.6
    assert without[1:] == (0.5, 0.5)  # within a user nothing is left
    assert oracle.metrics["without taste"] == best
    assert len(oracle_lines(oracle)) == 2 + 7
    assert rank_by_truth(user, np.zeros(6_000), parts) is None


def test_calibration_stands_side_by_side(made):
    lines = calibration_lines(made.result.statistics)
    assert lines[0].split() == ["KuaiLive", "simulated"] and len(lines) == 1 + len(KUAILIVE)
    found = made.result.statistics
    assert found["gifts per visit"] == pytest.approx(0.0148 * made.settings.density, rel=0.1)
    for name in ("price mean", "price median", "price p90", "price p95", "price p99", "share of price 1"):
        assert found[name] == pytest.approx(KUAILIVE[name], rel=0.05)
    assert found["visit p50, s"] == pytest.approx(4.9, rel=0.15)
    assert found["visit p90, s"] == pytest.approx(1_026, rel=0.25)
    assert 0.85 < found["Gini over users"] < 0.99 and 0.7 < found["Gini over authors"] < 0.99
    assert 2 < found["gifts per gifter"] < 8 and 0.3 < found["gifters with one author"] < 0.7
    best = made.result.oracle.metrics["planted truth"]
    assert 0.88 < best[0] < 0.96 and 0.75 < best[1] < 0.9
