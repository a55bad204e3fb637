"""The rule of samples, against a slow reading of it and in the cases where it could go wrong."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import polars as pl
import pytest

from mmbee_plugin.errors import InputError
from mmbee_plugin.logs.counts import Counts
from mmbee_plugin.logs.labels import known_kinds, planted, task_labels
from mmbee_plugin.logs.period import Period
from mmbee_plugin.logs.samples import write_samples
from mmbee_plugin.logs.segments import newest_known, reachable, read_keys

START = 1_746_403_200_000  # 2025-05-05 00:00 UTC
DAY, HOUR, MINUTE, SECOND = 86_400_000, 3_600_000, 60_000, 1_000
WINDOW = 30 * SECOND


def test_rows_and_tasks_are_those_of_a_slow_reading_of_the_rule(tmp_path, logs, rows_of):
    tables = logs.random_tables(seed=1)
    log, period, rows, _ = rows_of(tmp_path / "log", tables)
    labels = task_labels(log, rows, period, logs.SMALL, known_kinds(log, period))
    starts = {room["room_id"]: room["start"] for room in tables["rooms"].to_dicts()}
    gifts, feedback = tables["gifts"].to_dicts(), tables["feedback"].to_dicts()

    expected = {}
    for visit in tables["visits"].to_dicts():

        def inside(event, visit=visit):
            same = (event["user_id"], event["room_id"]) == (visit["user_id"], visit["room_id"])
            return same and visit["enter"] <= event["time"] <= visit["exit"]

        given = [gift for gift in gifts if inside(gift)]
        kinds = {event["kind"] for event in feedback if inside(event)}
        tasks = ("comment" in kinds, "like" in kinds, visit["exit"] - visit["enter"] >= MINUTE)
        for event in given or [{"time": visit["exit"], "amount": 0.0}]:
            window = (event["time"] - starts[visit["room_id"]]) // WINDOW
            key = (visit["user_id"], visit["room_id"], visit["enter"], window)
            time, amount, _ = expected.get(key, (np.inf, 0.0, None))
            expected[key] = (min(time, event["time"]), amount + event["amount"], tasks)

    found = {
        (row["user_id"], row["room_id"], row["enter"], row["window"]): (row["time"], row["amount"], tasks)
        for row, tasks in zip(rows.to_dicts(), labels.cast(pl.Boolean).rows(), strict=True)
    }
    assert len(found) == len(rows)
    assert found == expected
    assert (rows["amount"] > 0).sum() > 50
    day = (rows["time"] - START) // DAY
    assert rows["part"].to_list() == day.replace_strict({0: 0, 1: 0, 2: 1, 3: 2}).to_list()


def test_the_newest_segment_is_known_at_the_moment_and_the_last_ones_before_it_are_kept(
    tmp_path, logs, rows_of
):
    tables = logs.random_tables(seed=2)
    # Gaps, segments longer than the others and segments that end late; nothing of the first author's first day.
    rng = np.random.default_rng(0)
    segments = tables["segments"].filter(~((pl.col("room_id") == "r0-0") & (pl.col("end") < START + DAY)))
    segments = segments.sample(fraction=0.7, seed=0)
    segments = segments.with_columns(pl.col("end") + rng.choice([0, 0, 7, 90_000], size=len(segments)))
    log, period, rows, _ = rows_of(tmp_path / "log", tables | {"segments": segments})
    authors = rows["author_id"].unique().sort().to_list()
    counts = Counts()
    keys = read_keys(log, authors, period, counts)
    ordered = segments.sort("author_id", "start").select("author_id", "start", "end").rows()
    in_order = [
        (author, start, end)
        for author, start, end in ordered
        if not any(a == author and s > start and e < end for a, s, e in ordered)
    ]
    assert [*zip((authors[row] for row in keys.authors), keys.starts, keys.ends, strict=True)] == in_order
    assert sum(counts.values.values()) == len(ordered) - len(in_order) > 0
    author = np.array([authors.index(each) for each in rows["author_id"]])
    time = rows["time"].to_numpy()
    for at, row in enumerate(newest_known(keys, author, time, time)):
        ended = np.flatnonzero((keys.authors == author[at]) & (keys.ends <= time[at]))
        assert row == (ended[-1] if len(ended) else -1)
    newest = newest_known(keys, author, time, rows["window_end"].to_numpy())
    kept = reachable(keys, newest, 4, period.ends[0])

    needed = keys.ends <= period.ends[0]
    for at, row in enumerate(rows.to_dicts()):
        own = np.flatnonzero(keys.authors == author[at])
        known = own[(keys.starts[own] <= row["time"]) & (keys.ends[own] <= row["window_end"])]
        assert newest[at] == (known[-1] if len(known) else -1)
        if len(known):
            place = int(np.searchsorted(own, known[-1]))
            assert len(known) == place + 1  # none of the earlier ones still goes on
            needed[own[max(0, place - 3) : place + 1]] = True
    np.testing.assert_array_equal(kept, needed)
    assert (newest < 0).any()
    assert not kept.all()


def own_rows(rows):
    return rows.filter(pl.col("user_id") == "u").select("window", "time", "amount", "part").rows()


def test_windows_are_counted_from_the_rooms_start_and_a_gift_on_the_border_is_in_the_later_one(
    tmp_path, rows_of, one_visit
):
    tables = one_visit(7 * SECOND, 200 * SECOND, [29_999, 30_000, 59_999, 95_000])
    _, _, rows, counts = rows_of(tmp_path / "log", tables)
    assert own_rows(rows) == [
        (0, START + 29_999, 1.0, 0),
        (1, START + 30_000, 2.0, 0),
        (3, START + 95_000, 1.0, 0),
    ]
    assert rows.filter(pl.col("user_id") == "u")["window_end"][0] == START + WINDOW
    assert counts["gifts after another in the same visit and window; one row for all"] == 1


def test_without_a_room_table_windows_are_counted_from_the_first_visit(tmp_path, rows_of, one_visit):
    tables = one_visit(7 * SECOND, 50 * SECOND, [])
    del tables["rooms"]
    _, _, rows, _ = rows_of(tmp_path / "log", tables)
    assert own_rows(rows) == [(1, START + 50 * SECOND, 0.0, 0)]


def test_a_room_that_is_listed_twice_has_one_start_and_its_rows_stay_one(tmp_path, rows_of, one_visit):
    tables = one_visit(7 * SECOND, 200 * SECOND, [29_999, 95_000])
    rooms = tables["rooms"]
    tables["rooms"] = pl.concat([rooms.with_columns(pl.col("start") + 7000), rooms])
    _, _, rows, _ = rows_of(tmp_path / "log", tables)
    assert own_rows(rows) == [(0, START + 29_999, 1.0, 0), (3, START + 95_000, 1.0, 0)]


def shown(logs, tables, impressions):
    """The tables with impressions, (user, room, ms)."""
    rows = [
        {"user_id": user, "author_id": "a", "room_id": room, "time": START + time, "kind": "negative"}
        for user, room, time in impressions
    ]
    return tables | {"feedback": logs.table("feedback", rows)}


def test_impressions_of_rooms_that_were_not_entered_can_be_negatives(tmp_path, logs, rows_of, one_visit):
    end = 2 * DAY  # of the training part
    tables = one_visit(end - HOUR, end + MINUTE, [end - HOUR])
    impressions = [
        ("v", "r", 35_000),
        ("v", "r", 35_000),  # there twice
        ("u", "r", 1000),  # before the visit, in its part
        ("u", "r", end + HOUR),  # after it, in a part that the visit reaches
        ("u", "r", end + DAY + 1000),  # in a part that it does not
        ("v", "new", 9_000),  # a room that is neither listed nor visited
        ("v", "r", 9 * DAY),
    ]
    tables = shown(logs, tables, impressions)
    found = {}
    for kind in ("visits", "impressions", "both"):
        settings = replace(logs.SMALL, negatives=kind)
        _, _, rows, counts = rows_of(tmp_path / kind, tables, settings)
        found[kind] = (
            rows.filter(pl.col("amount") == 0)
            .sort("time", "user_id")
            .select("user_id", "room_id", pl.col("time") - START, "window", "part")
            .rows()
        )
        assert (rows["amount"] > 0).sum() == 1
    assert found["visits"] == [("other", "s", day * DAY, day * 2880, max(0, day - 1)) for day in range(4)]
    assert found["impressions"] == [
        ("v", "new", 9_000, 0, 0),
        ("v", "r", 35_000, 1, 0),
        ("u", "r", 3 * DAY + 1000, 8640, 2),
    ]
    assert sorted(found["both"]) == sorted(found["visits"] + found["impressions"])
    assert counts["impressions in the period"] == 6
    assert counts["of them of rooms that the user was in; left out"] == 2
    assert counts["impressions without a visit, drawn but there twice; one row for both"] == 1


def test_impressions_are_drawn_like_visits_and_must_be_there(tmp_path, logs, rows_of):
    tables = logs.random_tables(seed=6)
    settings = replace(logs.SMALL, negatives="impressions", train_negatives=0.5)
    with pytest.raises(InputError, match="--negatives impressions needs feedback of the kind 'negative'"):
        write_samples(logs.write(tmp_path / "none", tables), tmp_path / "samples", settings)
    tables = shown(logs, tables, [(f"v{number}", "r0-0", number * 1000) for number in range(400)])
    _, _, rows, counts = rows_of(tmp_path / "some", tables, settings)
    drawn = rows.filter(pl.col("amount") == 0)
    assert 160 < len(drawn) < 240
    assert counts["impressions without a visit drawn as train negatives, at 0.5"] == len(drawn)
    with pytest.raises(InputError, match="--negatives 'shows': one of visits, impressions, both is needed"):
        replace(settings, negatives="shows")
    with pytest.raises(InputError, match="--gift-tolerance -1: seconds from 0 are needed"):
        replace(settings, gift_tolerance=-1)


def test_the_newest_segment_at_the_moment_it_starts_and_before_any(tmp_path, logs):
    """A segment counts from its very start if its window ends by the row's; before the first there is none."""
    tables = logs.random_tables(seed=2)
    # Those of the second author begin when the first one's are long over.
    starts = [("a0", start) for start in (0, 30, 60, 95)] + [
        ("a1", 1000 + start) for start in (0, 30, 60, 95)
    ]
    segments = [
        {
            "room_id": author,
            "author_id": author,
            "start": START + start * SECOND,
            "end": START + (start + 30) * SECOND,
        }
        for author, start in starts
    ]
    tables["segments"] = logs.table("segments", segments)
    log = logs.write(tmp_path / "log", tables)
    keys = read_keys(log, ["a0", "a1", "without"], Period.of(log, 3, 1, 1), Counts())
    # (author row, moment, end of the window) to the newest, 0 to 3 of a0 and 4 to 7 of a1.
    cases = {
        (1, 999, 1029): -1,  # of a1, before its first one: none, and not the last of a0
        (1, 999, 10**6): -1,
        (1, -(10**6), -(10**6) + 30): -1,
        (0, -1, 29): -1,
        (2, 50, 80): -1,  # an author without any
        (2, 5000, 5030): -1,
        (0, 30, 60): 1,  # at the very start
        (1, 1060, 1090): 6,
        (1, 1059.999, 1060): 5,
        (0, 30, 59.999): 0,  # ends after the window
        (1, 1000, 1029.999): -1,
        (1, 1094.999, 1120): 6,
        (1, 1095, 1125): 7,
        (0, 10**6, 10**6 + 30): 3,
    }
    authors, times, ends = (np.array(values) for values in zip(*cases, strict=True))
    newest = newest_known(
        keys, authors, (START + times * SECOND).astype(np.int64), (START + ends * SECOND).astype(np.int64)
    )
    assert dict(zip(cases, newest.tolist(), strict=True)) == cases


def test_a_visit_over_midnight_knows_nothing_of_the_next_part(tmp_path, logs, rows_of, one_visit):
    end = 2 * DAY  # of the training part
    comment = {
        "user_id": "u",
        "author_id": "a",
        "room_id": "r",
        "time": START + end + SECOND,
        "kind": "comment",
    }
    before = {**comment, "time": START, "kind": "comment", "user_id": "other"}
    tables = one_visit(
        end - 40 * SECOND,
        end + 90 * SECOND,
        [end - 10 * SECOND, end + 10 * SECOND],
        feedback=[comment, before],
    )
    tables["rooms"] = tables["rooms"].with_columns(start=START + end - 15 * SECOND)
    log, period, rows, _ = rows_of(tmp_path / "log", tables)
    assert own_rows(rows) == [(0, START + end - 10_000, 1.0, 0), (0, START + end + 10_000, 1.0, 1)]
    labels = task_labels(log, rows, period, logs.SMALL, known_kinds(log, period)).filter(
        rows["user_id"] == "u"
    )
    assert labels.rows() == [(-1, -1, -1), (1, -1, 1)]


def test_a_draw_of_negatives_is_a_function_of_the_visit_and_the_seed(tmp_path, logs, rows_of):
    tables = logs.random_tables(seed=3, users=60)
    half = replace(logs.SMALL, train_negatives=0.5, test_negatives=0.25)
    key = ["user_id", "room_id", "enter"]

    def negatives(name, tables, settings):
        rows = rows_of(tmp_path / name, tables, settings)[2].filter(pl.col("amount") == 0)
        return set(rows.filter(pl.col("part") == 0).select(key).rows()), len(rows.filter(pl.col("part") > 0))

    everything, both = negatives("all", tables, logs.SMALL)
    drawn, tested = negatives("half", tables, half)
    assert drawn < everything
    assert 0.38 < len(drawn) / len(everything) < 0.62
    assert 0.13 < tested / both < 0.37
    assert drawn != negatives("seed", tables, replace(half, seed=1))[0]
    # Users that come later, and the order of the rows, change nothing.
    later = tables["visits"].tail(1).with_columns(user_id=pl.lit("a new user"))
    shuffled = pl.concat([tables["visits"], later]).sample(fraction=1.0, shuffle=True, seed=0)
    assert drawn == negatives("shuffled", tables | {"visits": shuffled}, half)[0]


def test_planted_probabilities_come_in_the_order_of_the_rows(tmp_path, logs, rows_of):
    tables = logs.random_tables(seed=4)
    log, _, rows, _ = rows_of(tmp_path / "log", tables)
    assert planted(log, rows) is None
    some = rows.filter(pl.col("user_id") != "u1").select("room_id", "window", "user_id")
    truth = (
        some.with_columns(p=(pl.col("window") / 1000).cast(pl.Float32)).unique(maintain_order=True).reverse()
    )
    log, _, rows, _ = rows_of(tmp_path / "log", tables | {"truth": truth})
    expected = np.where(rows["user_id"] == "u1", np.nan, rows["window"] / 1000)
    np.testing.assert_allclose(planted(log, rows), expected, rtol=1e-6)


@pytest.mark.parametrize("offset", [0, 8])
def test_days_begin_at_the_logs_own_midnight(tmp_path, offset, logs):
    tables = logs.random_tables(seed=5)
    shift = pl.col("enter", "exit") - offset * HOUR
    tables["visits"] = tables["visits"].with_columns(shift)
    log = logs.write(tmp_path / "log", tables, utc_offset=offset)
    assert Period.of(log, 3, 1, 1).start == START - offset * HOUR
    assert log.info.days == ["2025-05-05", "2025-05-08"]
