"""Alarms: quiet days raise none, each planted shift raises its own within the day."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from mmbee_plugin.daily.alarms import AlarmSettings, alarms, day_stability


@pytest.fixture(scope="module")
def week(planted_day):
    return [planted_day(day) for day in range(6)]


def names(day, before, **settings) -> set[str]:
    found = alarms(day, before, AlarmSettings(**settings))
    assert all("\n" not in alarm.words for alarm in found)
    return {alarm.name for alarm in found}


def test_quiet_days_raise_none(week, planted_day):
    for day in range(1, 6):
        assert names(week[day], week[:day]) == set()
    for seed in range(1, 6):
        quiet = [planted_day(day, seed, rows=3000) for day in range(6)]
        assert [names(quiet[day], quiet[:day]) for day in range(1, 6)] == [set()] * 5


SHIFTS = {
    "twice the gifts": ({"gifts": 2.0}, {"gift rate", "calibration by hour"}),
    "half the gifts": ({"gifts": 0.4}, {"gift rate", "calibration by hour"}),
    "three hours of many gifts": ({"gifts": 4.0, "hours": (17, 20)}, {"calibration by hour"}),
    "two hours without a gift": ({"gifts": 1e-9, "hours": (3, 5)}, {"calibration by hour"}),
    "a change that the model follows": ({"taste": 0.7}, {"gift rate", "PSI"}),
}


@pytest.mark.parametrize("kind", SHIFTS)
def test_a_shift_raises_its_own_within_the_day(week, kind, planted_day):
    given, expected = SHIFTS[kind]
    assert names(planted_day(6, **given), week) == expected


def test_hours_are_named(week, planted_day):
    found = alarms(planted_day(6, gifts=4.0, hours=(17, 20)), week)
    words = next(alarm.words for alarm in found if alarm.name == "calibration by hour")
    assert [hour for hour in range(24) if f"{hour:02d}h" in words] == [17, 18, 19]


def test_scores_that_shift_or_are_missing(week, planted_day, with_logits):
    day = planted_day(6)
    wider = with_logits(day, lambda logits: logits.mean() + 2 * (logits - logits.mean()))
    assert "PSI" in names(wider, week)
    lost = np.random.default_rng(0).random(len(day)) < 0.1
    fewer = replace(
        day, missing={"no live segment": lost}, logits=np.where(lost[:, None], np.nan, day.logits)
    )
    assert names(fewer, week) == {"rows without a score"}
    assert names(fewer, week, unscored=0.2) == set()


def test_the_first_day_and_only_the_last_days_are_read(week, planted_day):
    shifted = planted_day(6, gifts=3.0)
    assert names(shifted, []) == set()
    assert "gift rate" in names(shifted, week)
    assert names(shifted, [*week, planted_day(7, gifts=3.0)], days=1) == set()


def test_where_days_differ_much_a_rate_is_further_off_before_it_alarms(planted_day):
    """Days alternate between few and many gifts: the mean of the others is wrong for each, and none is news."""
    days = [planted_day(day, gifts=0.6 if day % 2 else 1.6) for day in range(7)]
    assert "gift rate" not in names(days[6], days[:6])
    assert "gift rate" in names(days[6], days[1:2])


def test_stability_of_a_day_reads_rows_with_a_score_alone(week, planted_day, with_logits):
    day = planted_day(6)
    broken = with_logits(day, lambda logits: np.where(np.arange(len(logits))[:, None] < 9, np.nan, logits))
    assert day_stability(broken, week).psi == pytest.approx(day_stability(day, week).psi, abs=1e-3)
    assert day_stability(day, week).psi < 0.01
    assert day_stability(day, [day.taken(np.arange(0))]) is None
