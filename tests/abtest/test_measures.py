"""Lifts against plain arithmetic, and what intervals find."""

from __future__ import annotations

import numpy as np
import pytest

from mmbee_plugin.abtest import layout
from mmbee_plugin.abtest.arms import again
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
    arms = {"a": [_observed(random, 200)], "b": [_observed(random, 100, 1.5)]}
    found = measure(arms)
    gifts, quiets = (
        np.concatenate([getattr(each[0], name) for each in arms.values()]) for name in ("gifts", "quiet")
    )
    of_b = np.repeat([0.0, 1.0], [200, 100])

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
    assert np.isnan(_lift(found["b"], "NGC").interval.mean) and np.isnan(_lift(found["b"], "NGC").p_value)


def _givers(count):
    """100 users in each of two seeds, of whom so many of the first gave a gift on the first of two days."""
    gifts = np.zeros((2, 100, 2), dtype=int)
    gifts[0, :count, 0] = 1
    quiet = np.random.default_rng(0).random((100, 2))
    return [Observed(of_seed, np.ones((100, 2), dtype=int), quiet) for of_seed in gifts]


@pytest.mark.parametrize(
    ("control", "same", "verdict"),
    [(0, 0, None), (9, 10, None), (10, 9, None), (0, 30, None), (10, 10, "is within chance")],
)
def test_an_a_a_test_of_few_givers_is_none(control, same, verdict):
    arms = {"SIM": _givers(control), again("SIM"): _givers(same), "MMBee": _givers(80)}
    found = measure(arms)
    assert np.isnan(within_chance(found[again("SIM")].lift)) == (verdict is None)
    told = layout.verdict(found, 2)
    assert (
        verdict or "Do not read the lifts: less than 10 users of SIM or of A/A: SIM again gave a gift"
    ) in told
    lifts = layout.sheets(found, [])[0]
    cells = dict(zip(lifts.headings, lifts.rows[1], strict=True))
    better = cells["NGU over SIM"]
    assert better.startswith("+700.0 % [" if control == 10 else "unknown")
    assert ("[" in better) == (control == 10)
    quiet = found["MMBee"].lift.daily["NGU"][1]
    assert np.isnan(quiet.interval.mean) and np.isnan(quiet.p_value), "nobody gave on the second day"
    assert layout.plot(found, 1, "users").figure.data


def test_an_arm_of_few_givers_is_not_judged():
    found = measure({"SIM": _givers(40), again("SIM"): _givers(40), "MMBee": _givers(3)})
    assert "(of less than 10 givers, too few to tell)" in layout.verdict(found, 2)
    assert _lift(found["MMBee"], "NGU").interval.mean == pytest.approx(3 / 40 - 1)
