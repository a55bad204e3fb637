"""Alarms: quiet days raise none, each planted shift raises its own within the day."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from mmbee_plugin.daily.alarm import AlarmSettings
from mmbee_plugin.daily.alarms import alarms, day_stability


@pytest.fixture(scope="module")
def week(planted_day):
    return [planted_day(day) for day in range(6)]


def evening(day):
    """Rows of the last six hours, as the bundle that was built then answers them."""
    number = int(day.times[0] // 86_400)
    return replace(day.taken(day.times % 86_400 >= 64_800), bundle=f"bundle of day {number}")


def names(day, before, **settings) -> set[str]:
    last = [evening(each) for each in before[-1:]]
    reference = next((each for each in last if each.bundle == day.bundle), None)
    found = alarms(day, before, AlarmSettings(**settings), reference)
    assert all("\n" not in alarm.words for alarm in found)
    return {alarm.name for alarm in found}


def test_quiet_days_raise_none(week, planted_day):
    for day in range(1, 6):
        assert names(week[day], week[:day]) == set()
    for seed in range(1, 6):
        quiet = [planted_day(day, seed, rows=3000) for day in range(6)]
        assert [names(quiet[day], quiet[:day]) for day in range(1, 6)] == [set()] * 5


SHIFTS = {
    "twice the gifts": ({"gifts": 2.0}, {"gift rate", "predicted over observed"}),
    "half the gifts": ({"gifts": 0.4}, {"gift rate", "predicted over observed"}),
    "three hours of many gifts": ({"gifts": 4.0, "hours": (17, 20)}, {"calibration by hour"}),
    "two hours without a gift": ({"gifts": 1e-9, "hours": (3, 5)}, {"calibration by hour"}),
    "a change that the model follows": ({"taste": 0.8}, {"gift rate", "PSI"}),
}


@pytest.mark.parametrize("kind", SHIFTS)
def test_a_shift_raises_its_own_within_the_day(week, kind, planted_day):
    given, expected = SHIFTS[kind]
    assert names(planted_day(6, **given), week) == expected


def test_hours_are_named(week, planted_day):
    found = alarms(planted_day(6, gifts=4.0, hours=(17, 20)), week)  # without a reference
    words = next(alarm.words for alarm in found if alarm.name == "calibration by hour")
    assert [hour for hour in range(24) if f"{hour:02d}h" in words] == [17, 18, 19]


def test_scores_that_shift_or_are_missing(week, planted_day, with_logits):
    day = planted_day(6)
    wider = with_logits(day, lambda logits: logits.mean() + 2 * (logits - logits.mean()), day.bundle)
    assert "PSI" in names(wider, week)
    lost = np.random.default_rng(0).random(len(day)) < 0.1
    fewer = replace(
        day, missing={"no live segment": lost}, logits=np.where(lost[:, None], np.nan, day.logits)
    )
    assert names(fewer, week) == {"rows without a score"}
    assert names(fewer, week, lacking=0.2) == set()


def test_a_day_of_more_or_fewer_rows(week, planted_day):
    day = planted_day(6)
    fewer = day.taken(np.random.default_rng(0).random(len(day)) < 0.6)
    assert "rows of the day" in names(fewer, week)
    assert "rows of the day" in names(planted_day(6, rows=int(1.5 * len(day))), week)
    assert "rows of the day" not in names(fewer, week, volume=2.0)
    assert "rows of the day" not in names(fewer, week[:2])  # two days do not tell by how much days differ
    uneven = [each.taken(slice(None, None, 1 + at % 2)) for at, each in enumerate(week)]
    assert "rows of the day" not in names(fewer, uneven)


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


def test_stability_is_of_the_hours_that_both_have_and_of_scored_rows(week, planted_day, with_logits):
    day, last = planted_day(6), evening(week[-1])
    found = day_stability(day, last)
    broken = with_logits(day, lambda logits: np.where(np.arange(len(logits))[:, None] < 9, np.nan, logits))
    assert day_stability(broken, last).psi == pytest.approx(found.psi, abs=1e-3) and found.psi < 0.02
    morning = with_logits(day, lambda logits: logits + np.where(day.times[:, None] % 86_400 < 64_800, 5, 0))
    assert day_stability(morning, last).psi == pytest.approx(found.psi)
    assert day_stability(day, last.taken(np.arange(0))) is None


def test_a_reference_of_another_bundle_is_refused(week):
    with pytest.raises(ValueError, match="answered by bundle of day 4, the reference by bundle of day 0"):
        alarms(week[5], week[:5], reference=evening(week[0]))


def test_an_hour_that_is_different_every_day_is_no_news(planted_day):
    days = [planted_day(day, gifts=4.0, hours=(17, 20)) for day in range(4)]
    assert names(days[0], []) == set()  # without a day before nobody knows what an hour is like
    assert "calibration by hour" in names(days[0], [planted_day(9)])
    assert names(days[3], days[:3]) == set()
    assert "calibration by hour" in names(planted_day(4), days)


def test_gifts_to_one_author_are_one_piece_of_luck(week, planted_day):
    """An author with half of an hour's gifts says little about the others; the same gifts to many authors do."""
    day = planted_day(6, gifts=3.0, hours=(17, 18))
    hour = (day.times % 86_400 >= 61_200) & (day.times % 86_400 < 64_800)
    assert "calibration by hour" in names(day, week)
    star = replace(day, authors=np.where(hour & (day.labels[:, 0] == 1), "a0", day.authors))
    assert names(star, week) == set()


def lacking(day, name, share, seed=0):
    """The day, with a share of the rows without something that a bundle covers."""
    lost = np.random.default_rng(seed).random(len(day)) < share
    return replace(day, covered={**day.covered, name: day.covered[name] & ~lost})


def test_rows_whose_user_is_unknown(week, planted_day):
    assert names(lacking(planted_day(6), "user", 0.33), week) == {"rows without user"}
    assert names(lacking(planted_day(6), "user", 0.04), week) == set()
    days = [lacking(each, "user", share) for each, share in zip(week, (0, 0.3, 0, 0.3, 0, 0.3), strict=True)]
    assert names(lacking(planted_day(6), "user", 0.4), days) == set()  # days differ by as much


def test_one_author_that_the_bundle_lacks_is_one_piece_of_luck(week, planted_day):
    day = planted_day(6)
    star = np.random.default_rng(0).random(len(day)) < 0.15
    for authors, expected in (
        (np.where(star, "star", day.authors), set()),
        (day.authors, {"rows without user"}),
    ):
        found = replace(day, authors=authors, covered={**day.covered, "user": ~star})
        assert names(found, week) - {"rows of one author"} == expected


def test_hours_with_another_share_of_the_rows(week, planted_day):
    day = planted_day(6)
    kept = (day.times % 86_400 < 64_800) | (np.random.default_rng(0).random(len(day)) < 0.2)
    assert names(day.taken(kept), week) == {"rows by hour"}
    lunch = np.repeat(np.arange(len(day)), 1 + 2 * ((day.times % 86_400) // 3600 == 12).astype(int))
    assert "rows by hour" in names(day.taken(lunch), week)


def test_a_flood_of_one_author_or_user(week, planted_day):
    day = planted_day(6)
    many = np.random.default_rng(0).random(len(day)) < 0.3
    assert names(replace(day, authors=np.where(many, "a7", day.authors)), week) == {"rows of one author"}
    few = np.random.default_rng(0).random(len(day)) < 0.05
    assert names(replace(day, users=np.where(few, "u7", day.users)), week) == {"rows of one user"}
    assert names(replace(day, users=np.where(few, "u7", day.users)), week[:2]) == set()


def test_content_of_another_scale(week, planted_day):
    def with_content(day, scale, gone=0.1):
        rng = np.random.default_rng(1)
        squares = (scale**2 * rng.chisquare(16, len(day)) / 16).astype(np.float32)
        return replace(day, content={"speech": np.where(rng.random(len(day)) < gone, np.nan, squares)})

    days = [with_content(day, 1) for day in week]
    for scale, expected in (
        (1.1, set()),
        (10, {"content: speech"}),
        (0.5, {"content: speech"}),
        (0, {"content: speech"}),
    ):
        assert names(with_content(planted_day(6), scale), days) == expected
    assert names(with_content(planted_day(6), 1, gone=1.0), days) == set()  # missing is another alarm
    assert names(planted_day(6), days) == set()
