"""Every spelling of a time that a release may have, and which days a zone makes of them."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta, timezone

import polars as pl
import pytest

from mmbee_plugin.logs.formats.times import ALL_FORMS, as_time, days_agree, forms_of, in_range, without_zone

MOMENT = 1_746_417_600_123  # 2025-05-05 04:00:00.123 UTC
HOUR = 3_600_000


def read(values, zone=0.0, dtype=None, has=ALL_FORMS):
    """The values, and whether each is there and no time."""
    frame = pl.DataFrame({"time": pl.Series(values, dtype=dtype)})
    time = as_time(pl.col("time"), frame.schema["time"], zone, has)
    found = frame.select(value=time.value, there=time.there)
    within = in_range(pl.col("value"))
    return found.select(pl.when(within).then("value").alias("value"), unreadable=pl.col("there") & ~within)


@pytest.mark.parametrize(
    "text",
    [
        "1746417600123",
        " 1746417600123 ",
        "1746417600123.0",
        "1746417600.123",
        "1746417600123456",
        "1746417600123456789",
        "1746417600123000000",
        "2025-05-05 04:00:00.123",
        "2025-05-05T04:00:00.123",
        "2025-05-05t04:00:00.123z",
        "2025-05-05 04:00:00.123Z",
        "2025-05-05 04:00:00.123456789 UTC",
        "2025-05-05 04:00:00,123",
        "2025/05/05 04:00:00.123",
        "2025/5/5 4:0:0.123",
        "2025.05.05 04:00:00.123",
        "2025/05/05T04:00:00.123Z",
        "2025-05-05 04:00:00.123+00:00",
        "2025-05-05 12:00:00.123+08:00",
        "2025-05-05T12:00:00.123+0800",
        "2025/05/05 12:00:00.123 +08",
        "2025-05-04 22:30:00.123-05:30",
    ],
)
def test_one_moment_in_any_spelling(text):
    # In a column of its own and after one of another kind.
    assert read([text])["value"].to_list() == [MOMENT]
    assert read(["1746417600123", "2025-05-05 04:00:00.123", text])["value"].to_list() == [MOMENT] * 3
    assert not read([text])["unreadable"].any()


def test_what_is_missing_is_no_fault_and_what_is_unreadable_is_one():
    gone = ["", "  ", "NULL", "None", "nan", "NaT", "\\N", "0", "-1", "0.0", "1970-01-01 00:00:00", None]
    found = read(gone)
    assert found["value"].null_count() == len(gone) and not found["unreadable"].any()
    wrong = [
        "soon",
        "2025-05-05",
        "20250505",
        "2025-13-05 04:00:00",
        "2025-05-05 25:00:00",
        "12",
        "17464176001",
    ]
    wrong += ["05/05/2025 04:00:00", "2025-05-05 04:00:00 Shanghai", "2525-05-05 04:00:00", "1746417600123x"]
    found = read(wrong)
    assert found["value"].null_count() == len(wrong)
    assert found["unreadable"].all()


def test_what_a_column_has_none_of_is_not_looked_for():
    columns = {
        "dates": ["2025-05-05 04:00:00.123", "NULL", " ", None],
        "numbers": ["1746417600123", "0", "", None],
        "fractions": ["1746417600.123", "-1.0", "nan", None],
        "both": ["1746417600123", "2025-05-05 04:00:00.123", "NaN", "0"],
        "nothing": ["", None, None, " "],
    }
    frame = pl.DataFrame(columns, schema=dict.fromkeys(columns, pl.String))
    forms = forms_of(frame.lazy(), list(columns))
    assert {name: tuple(found) for name, found in forms.items()} == {
        "dates": (False, False, True),
        "numbers": (True, False, False),
        "fractions": (False, True, False),
        "both": (True, True, True),
        "nothing": (False, False, False),
    }
    for name, found in forms.items():
        some, every = (read(columns[name], dtype=pl.String, has=has) for has in (found, ALL_FORMS))
        assert some.equals(every)
        assert some["value"].null_count() == {"both": 2, "nothing": 4}.get(name, 3)
        assert not some["unreadable"].any()


def test_a_zone_of_the_text_counts_more_than_the_setting():
    texts = [
        "2025-05-05 12:00:00",
        "2025-05-05 12:00",
        "2025-05-05 04:00:00Z",
        "2025-05-05 05:00:00+01:00",
        "1746417600",
    ]
    assert read(texts, zone=8)["value"].to_list() == [MOMENT - 123] * 5
    assert read(texts, zone=0)["value"].to_list() == [MOMENT - 123 + 8 * HOUR] * 2 + [MOMENT - 123] * 3


@pytest.mark.parametrize("unit", ["ms", "us", "ns"])
def test_columns_of_dates_and_of_numbers(unit):
    here = datetime(2025, 5, 5, 12, 0, 0, 123_000)
    assert read([here], zone=8, dtype=pl.Datetime(unit))["value"].to_list() == [MOMENT]
    aware = here.replace(tzinfo=timezone(timedelta(hours=8)))
    assert read([aware], zone=3, dtype=pl.Datetime(unit, "Asia/Shanghai"))["value"].to_list() == [MOMENT]
    ten = {"ms": 1, "us": 1000, "ns": 1_000_000}[unit]
    for values in ([MOMENT * ten, 0, None], [float(MOMENT), -1.0, float("nan")]):
        assert read(values)["value"].to_list() == [MOMENT, None, None]
        assert not read(values)["unreadable"].any()


def test_whether_dates_name_a_zone():
    for values, naive in (
        ([None, "2025-05-05 12:00:00"], True),
        (["2025-05-05 12:00:00Z"], False),
        (["2025-05-05 12:00:00 +08:00"], False),
        (["1746417600123"], False),
        ([1746417600123], False),
        ([datetime(2025, 5, 5)], True),
        ([datetime(2025, 5, 5, tzinfo=UTC)], False),
        ([None], False),
    ):
        assert without_zone(pl.Series(values)) == naive, values


def test_days_by_every_hour_against_a_calendar():
    midnight = 1_746_374_400_000  # 2025-05-05 00:00 at UTC+8
    times = [midnight + hours * HOUR + 5 for hours in range(-30, 60)]
    days = [datetime.fromtimestamp(time / 1000, timezone(timedelta(hours=8))).date() for time in times]
    for spelling in ("%Y%m%d", "%Y-%m-%d"):
        frame = pl.DataFrame({"first": times, "last": times, "day": [f"{day:{spelling}}" for day in days]})
        agree = days_agree(frame.lazy())
        for ahead in range(-12, 15):
            clock = timezone(timedelta(hours=ahead))
            right = [
                datetime.fromtimestamp(time / 1000, clock).date() == day
                for time, day in zip(times, days, strict=True)
            ]
            assert agree[ahead] == pytest.approx(sum(right) / len(right))
    assert agree[8] == 1 and max(share for ahead, share in agree.items() if ahead != 8) < 1
    # A room that goes on is there once a day until its end, and without one for ever.
    spans = pl.DataFrame(
        {
            "first": [midnight] * 3,
            "last": [midnight + 30 * HOUR, midnight + 30 * HOUR, None],
            "day": [20250506, 20250507, 20250512],
        }
    )
    assert days_agree(spans.lazy())[8] == pytest.approx(2 / 3)
    assert days[0] < date(2025, 5, 5)
