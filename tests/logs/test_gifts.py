"""Which visit a gift is of: one of several, one nearby, or none; and what that visit then counts for."""

from __future__ import annotations

from dataclasses import replace

import polars as pl

START = 1_746_403_200_000  # 2025-05-05 00:00 UTC
DAY, SECOND = 86_400_000, 1_000


def own_rows(rows):
    return rows.filter(pl.col("user_id") == "u").select("window", "time", "amount", "part").rows()


def test_gifts_outside_a_visit_are_counted_and_their_visit_is_no_negative(tmp_path, rows_of, one_visit):
    late, far = 100 * SECOND + 29_000, 100 * SECOND + 31_000
    found = []
    for number, gifts in enumerate(([late], [far], [])):
        _, _, rows, counts = rows_of(tmp_path / str(number), one_visit(0, 100 * SECOND, gifts))
        found.append((len(own_rows(rows)), counts["gifts outside the user's visits to the room; left out"]))
    assert found == [(0, 1), (1, 1), (1, 0)]
    tables = one_visit(0, 100 * SECOND, [50 * SECOND])
    tables["gifts"] = tables["gifts"].with_columns(room_id=pl.lit("elsewhere"))
    _, _, rows, counts = rows_of(tmp_path / "elsewhere", tables)
    assert own_rows(rows) == [(3, START + 100 * SECOND, 0.0, 0)]
    assert counts["gifts by a user with no visit to the room; left out"] == 1


def tolerant(logs, seconds):
    return replace(logs.SMALL, gift_tolerance=seconds)


def overlapping(logs, spans, gifts):
    """Visits of one user to one room, (enter, exit) in seconds, besides a visit of another user a day."""
    place = {"user_id": "u", "author_id": "a", "room_id": "r"}
    others = [
        {"user_id": "other", "author_id": "b", "room_id": "s", "enter": START + day * DAY} for day in range(4)
    ]
    visits = [
        {**place, "enter": START + enter * SECOND, "exit": START + leave * SECOND} for enter, leave in spans
    ]
    return {
        "visits": logs.table("visits", [*visits, *({**other, "exit": other["enter"]} for other in others)]),
        "gifts": logs.table(
            "gifts", [{**place, "time": START + time * SECOND, "amount": 1.0} for time in gifts]
        ),
        "rooms": logs.table("rooms", [{"room_id": "r", "author_id": "a", "start": START, "end": None}]),
    }


def test_a_gift_in_two_visits_is_one_positive_of_the_one_that_began_last(tmp_path, logs, rows_of):
    spans = [(0, 300), (60, 200), (250, 400), (500, 600)]
    for order, name in ((spans, "ahead"), (spans[::-1], "back")):
        _, _, rows, counts = rows_of(tmp_path / name, overlapping(logs, order, [100, 150, 290]))
        found = rows.filter(pl.col("user_id") == "u").select("enter", "time", "amount").rows()
        # The first visit holds all three, which are of the later two: it is neither a positive nor a negative.
        assert found == [
            (START + 60 * SECOND, START + 100 * SECOND, 1.0),
            (START + 60 * SECOND, START + 150 * SECOND, 1.0),
            (START + 250 * SECOND, START + 290 * SECOND, 1.0),
            (START + 500 * SECOND, START + 600 * SECOND, 0.0),
        ]
        assert counts["gifts in several visits, which overlap; of the one that began last"] == 3
        assert counts["gifts in one visit of the user to the room"] == 0
        assert counts["visits without a gift but with one that is of an overlapping visit; left out"] == 1


def test_the_same_visit_twice_is_one(tmp_path, logs, rows_of):
    _, _, rows, counts = rows_of(tmp_path / "log", overlapping(logs, [(0, 60), (0, 60)], [0]))
    assert own_rows(rows) == [(0, START, 1.0, 0)]
    assert counts["gifts in one visit of the user to the room"] == 1
    assert counts["of these two, at the very moment that the visit began"] == 1


def test_a_tolerance_gives_a_gift_to_the_nearest_visit(tmp_path, logs, rows_of):
    tables = overlapping(logs, [(100, 200), (230, 300)], [95, 212, 218, 311, 400])
    found = {}
    for seconds in (0, 4.9, 5, 12, 100):
        _, _, rows, counts = rows_of(tmp_path / str(seconds), tables, tolerant(logs, seconds))
        rows = rows.filter((pl.col("user_id") == "u") & (pl.col("amount") > 0))
        found[seconds] = sorted(
            ((time - START) // SECOND, (enter - START) // SECOND)
            for time, enter in rows.select("time", "enter").rows()
        )
        gone = counts["gifts outside the user's visits to the room; left out"]
        assert gone + rows["amount"].sum() == 5
        if seconds:
            before = counts[f"gifts up to {seconds:g} s before a visit; of it"]
            assert before + counts[f"gifts up to {seconds:g} s after a visit; of it"] == 5 - gone
    assert found == {
        0: [],
        4.9: [],
        5: [(95, 100)],
        12: [(95, 100), (212, 100), (218, 230), (311, 230)],
        100: [(95, 100), (212, 100), (218, 230), (311, 230), (400, 230)],
    }
    # All five are less than a window away, but one.
    _, _, _, counts = rows_of(tmp_path / "none", tables)
    assert counts["of these, up to 30 s before or after a visit"] == 4


def test_a_tolerated_gift_of_the_next_part_takes_nothing_from_the_part_before(
    tmp_path, logs, rows_of, one_visit
):
    end = 2 * DAY
    tables = one_visit(end - 9000, end - 1000, [end + 1000])
    _, _, rows, _ = rows_of(tmp_path / "log", tables, tolerant(logs, 5))
    assert own_rows(rows) == [(5759, START + end - 1000, 0.0, 0), (5760, START + end + 1000, 1.0, 1)]


def test_a_gift_just_after_midnight_takes_no_negative_from_the_part_before(tmp_path, rows_of, one_visit):
    end = 2 * DAY
    _, _, rows, _ = rows_of(tmp_path / "log", one_visit(end - 9000, end - 1000, [end + 1000]))
    assert own_rows(rows) == [(5759, START + end - 1000, 0.0, 0)]
