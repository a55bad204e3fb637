"""Lifts against plain arithmetic, and what intervals find."""

from __future__ import annotations

import numpy as np
import pytest

from mmbee_plugin.abtest.measures import Observed, measure, within_chance


def _observed(random, users, factor=1.0, days=3):
    """Users whose gifts follow what the quiet days say of them, times a factor."""
    generosity = 0.1 * np.exp(random.normal(size=users))
    gifts = random.poisson(generosity[:, None] * factor, (users, days))
    quiet = np.stack([1 - np.exp(-days * generosity), days * generosity], axis=1)
    return Observed(gifts, np.full((users, days), 10), quiet)


def _lift(found, metric, kind="plain"):
    return getattr(found.lift, kind)[metric]


def test_lifts_are_ratios_of_the_means_over_seeds():
    random = np.random.default_rng(0)
    arms = {name: [_observed(random, 60) for _ in range(2)] for name in ("a", "b")}
    found = measure(arms)
    means = {name: np.mean([one.gifts.sum(axis=1).mean() for one in each]) for name, each in arms.items()}
    gave = {
        name: np.mean([(one.gifts.sum(axis=1) > 0).mean() for one in each]) for name, each in arms.items()
    }
    assert found["a"].lift is None and found["a"].means["NGC"] == pytest.approx(means["a"])
    assert _lift(found["b"], "NGC").interval.mean == pytest.approx(means["b"] / means["a"] - 1)
    assert _lift(found["b"], "NGU").interval.mean == pytest.approx(gave["b"] / gave["a"] - 1)
    assert found["b"].counts["gifts"] == sum(int(one.gifts.sum()) for one in arms["b"])


def test_adjusting_is_least_squares_with_one_slope_for_all_arms():
    random = np.random.default_rng(1)
    arms = {"a": [_observed(random, 80)], "b": [_observed(random, 50, 1.5)]}
    found = measure(arms)
    gifts, quiets = (
        np.concatenate([getattr(each[0], name) for each in arms.values()]) for name in ("gifts", "quiet")
    )
    of_b = np.repeat([0.0, 1.0], [80, 50])

    def expected(outcome, quiet):
        design = np.column_stack([1 - of_b, of_b, quiet - quiet.mean()])
        control, other, _ = np.linalg.lstsq(design, outcome, rcond=None)[0]
        return pytest.approx(other / control - 1)

    total = gifts.sum(axis=1)
    lift = found["b"].lift
    assert lift.adjusted["NGU"].interval.mean == expected(total > 0, quiets[:, 0])
    assert lift.adjusted["NGC"].interval.mean == expected(total, quiets[:, 1])
    for day in range(3):
        assert lift.daily["NGU"][day].interval.mean == expected(gifts[:, day] > 0, quiets[:, 0])
        assert lift.daily["NGC"][day].interval.mean == expected(gifts[:, day], quiets[:, 1])


def test_intervals_find_what_is_there_and_nothing_else():
    random = np.random.default_rng(2)
    arms = {"control": 1.0, "again": 1.0, "better": 1.3}
    found = measure({name: [_observed(random, 1_500, by) for _ in range(6)] for name, by in arms.items()})
    for kind in ("plain", "adjusted"):
        better = _lift(found["better"], "NGC", kind)
        assert better.interval.low < 0.3 < better.interval.high and better.p_value < 0.01
    assert within_chance(found["again"].lift) > 0.05 > within_chance(found["better"].lift)
    plain, adjusted = (_lift(found["better"], "NGC", kind).interval for kind in ("plain", "adjusted"))
    assert adjusted.standard_error < 0.8 * plain.standard_error


def test_seeds_that_differ_widen_the_interval():
    random = np.random.default_rng(3)
    control = [_observed(random, 2_000) for _ in range(4)]
    alike = [_observed(random, 2_000, 1.3) for _ in range(4)]
    apart = [_observed(random, 2_000, by) for by in (1.0, 1.1, 1.5, 1.6)]
    widths = [
        _lift(measure({"a": control, "b": each})["b"], "NGC", "adjusted").interval.standard_error
        for each in (alike, apart)
    ]
    assert widths[1] > 1.5 * widths[0]


def test_no_gifts_at_all_have_no_lift():
    none = Observed(np.zeros((20, 1), dtype=int), np.ones((20, 1), dtype=int), np.full((20, 2), 0.1))
    found = measure({"a": [none], "b": [none]})
    assert np.isnan(_lift(found["b"], "NGC").interval.mean) and _lift(found["b"], "NGC").p_value == 1
