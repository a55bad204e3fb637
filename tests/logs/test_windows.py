"""Samples of a day: a window of whole days before its cut, a holdout after it, no test part."""

from __future__ import annotations

from datetime import UTC, datetime

import polars as pl
import pytest

from mmbee_plugin.data.folder import DatasetFolder
from mmbee_plugin.errors import InputError
from mmbee_plugin.logs.period import Period, day_of, name_of
from mmbee_plugin.logs.samples import write_samples

START = 1_746_403_200_000  # 2025-05-05 00:00 UTC
DAY, HOUR = 86_400_000, 3_600_000
FIRST = START // DAY


@pytest.fixture
def log(logs, tables, tmp_path):
    return logs.write(tmp_path / "log", tables, frames={"visual": 3})


def test_a_window_ends_with_the_day_and_starts_whole_days_before_the_cut(log):
    period = Period.until(log, FIRST + 3, window_days=2, holdout_hours=6)
    cut = START + 4 * DAY - 6 * HOUR
    assert period.start == cut - 2 * DAY and period.ends == (cut, START + 4 * DAY, START + 4 * DAY)
    assert period.parts == ("train", "valid")
    # The log begins later than the window would: days still end with the cut.
    early = Period.until(log, FIRST + 1, window_days=7, holdout_hours=6)
    assert early.start == early.ends[0] - 2 * DAY < START
    whole = Period.until(log, FIRST + 1, window_days=7, holdout_hours=24)
    assert (whole.start, whole.ends[0]) == (START, START + DAY)


def test_days_of_a_window_without_a_visit_are_named(log, logs, tables, tmp_path):
    day = pl.col("enter") // DAY
    tables["visits"] = tables["visits"].filter(day != FIRST + 1)
    gap = logs.write(tmp_path / "gap", tables, frames={"visual": 3})
    period = Period.until(gap, FIRST + 3, window_days=3, holdout_hours=24)
    assert period.missing == (FIRST + 1,) and period.describe().endswith("no visit on 2025-05-06")
    assert period.start == Period.until(log, FIRST + 3, window_days=3, holdout_hours=24).start
    for last, holdout in ((FIRST + 3, 20), (FIRST + 2, 20)):  # the log begins after the window does
        assert Period.until(gap, last, window_days=9, holdout_hours=holdout).missing == (FIRST + 1,)
    assert Period.until(gap, FIRST + 3, window_days=1, holdout_hours=24).missing == ()
    with pytest.raises(InputError, match="no visit on 2025-05-06; visits on 4 days"):
        Period.until(gap, FIRST + 1, window_days=2, holdout_hours=6)


def test_days_are_named_by_date_or_number(log):
    assert day_of(log, "2025-05-07") == day_of(log, "3") == FIRST + 2
    assert name_of(FIRST + 2) == "2025-05-07"
    for text, why in (
        ("0", "visits on 4 days"),
        ("2025-05-09", "visits on 4 days"),
        ("monday", "YYYY-MM-DD"),
    ):
        with pytest.raises(InputError, match=why):
            day_of(log, text)
    with pytest.raises(InputError, match="leaves nothing to train on"):
        Period.until(log, FIRST, window_days=2, holdout_hours=24)


def test_rows_and_segments_are_those_of_the_window(log, logs, tmp_path):
    period = Period.until(log, FIRST + 3, window_days=2, holdout_hours=20)
    write_samples(log, tmp_path / "day", logs.SMALL, period=period)
    folder = DatasetFolder(tmp_path / "day")
    folder.validate_interactions()
    assert folder.splits == ("train", "valid") and not (tmp_path / "day" / "day.test.inter").exists()
    assert folder.origin * 1000 == period.start
    for split, begin, end in (("train", period.start, period.ends[0]), ("valid", *period.ends[:2])):
        times = folder.interactions(split).timestamps * 1000
        assert begin <= times.min() and times.max() < end
    visits = log.scan("visits").collect()
    quiet = visits.filter(pl.col("exit").is_between(period.start, period.ends[1] - 1))
    assert set(folder.user_tokens) >= set(quiet["user_id"]), "who exits within the window has a row"
    assert folder.segments.starts.min() * 1000 >= period.start
    assert datetime.fromtimestamp(folder.origin, UTC).hour == 4
