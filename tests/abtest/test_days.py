"""Days of arms without a model: what is ranked, shown, chosen and logged, and what a kill leaves."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import polars as pl
import pytest

from mmbee_plugin.abtest import logs as arm_logs
from mmbee_plugin.abtest.arms import assigned
from mmbee_plugin.abtest.day import arm_day, make_world, platform_of
from mmbee_plugin.abtest.measures import measure, within_chance
from mmbee_plugin.abtest.rankers import PlantedRanker, shown_rooms
from mmbee_plugin.experiments.sheet import BEST
from mmbee_plugin.livesim.settings import DAY_MS, FIRST_DAY_MS
from mmbee_plugin.livesim.visits import draw_visits
from mmbee_plugin.logs.checks import check_tables
from mmbee_plugin.logs.folder import LogFolder

TABLES = ("users", "authors", "rooms", "segments", "visits", "gifts", "feedback", "truth")
TIME = {"rooms": "start", "segments": "start", "visits": "enter", "gifts": "time", "feedback": "time"}


def _tables(folder):
    found = {}
    for name in TABLES:
        table = pl.read_parquet(folder / name / "*.parquet").drop("visual", "speech", "comment", strict=False)
        found[name] = table.sort(table.columns)
    return found


def _same(one, other):
    return all(table.equals(other[name]) for name, table in one.items())


def test_a_planted_effect_is_found_and_none_between_equal_arms(plan, seen):
    found = measure(seen(replace(plan, users=600), [1, 2, 3]))
    best = found[BEST].lift.adjusted["NGC"]
    assert best.interval.low > 0 and best.p_value < 0.05
    assert within_chance(found["A/A: random again"].lift) > 0.05


def test_the_same_command_gives_the_same_and_makes_what_is_missing(plan, seen, tmp_path):
    first, other = seen(plan, [1]), seen(replace(plan, folder=tmp_path / "other"), [1])
    for file in sorted((plan.folder / "cells").glob("*.json"))[:4]:
        file.unlink()
    for again in (other, seen(plan, [1])):
        for name, (observed,) in first.items():
            for field, values in vars(observed).items():
                np.testing.assert_array_equal(values, getattr(again[name][0], field))


def test_logs_are_the_burn_in_then_the_arms_own_users(plan):
    make_world(plan, 1)
    cells = [arm_day(plan, 2, 1, day) for day in plan.tested]
    platform = platform_of(plan, 1)
    log = LogFolder(plan.place("arms", plan.arm_key(2, 1)) / "logs")
    check_tables(log)
    assert log.info.kind == "simulated" and log.info.days == ["2025-05-05", "2025-05-08"]
    own, world = _tables(log.path), _tables(platform.log)
    start = FIRST_DAY_MS + plan.burn_in * DAY_MS
    users = {f"u{user}" for user in cells[0].arrays["users"]}
    for name, column in TIME.items():
        burnt_in = [tables[name].filter(pl.col(column) < start) for tables in (own, world)]
        assert len(burnt_in[0]) and burnt_in[0].equals(burnt_in[1])
        after = own[name].filter(pl.col(column) >= start)
        assert len(after) > 20 and ("user_id" not in after.columns or set(after["user_id"]) <= users)
    assert own["rooms"].equals(world["rooms"]) and own["segments"].equals(world["segments"])
    for what in ("visits", "gifts"):
        counted = own[what].filter(pl.col(TIME[what]) >= start).group_by("user_id").len()
        counts = dict(counted.rows())
        expected = np.sum([cell.arrays[what] for cell in cells], axis=0)
        assert [counts.get(f"u{user}", 0) for user in cells[0].arrays["users"]] == expected.tolist()
    assert (
        cells[0].arrays["users"].tolist() == np.flatnonzero(assigned(platform.user_ids, 1, 3) == 2).tolist()
    )


def test_lists_are_the_best_rooms_on_air_of_what_had_ended(plan):
    make_world(plan, 1)
    platform = platform_of(plan, 1)
    day = platform.day(2)
    rooms, arrivals = day.rooms, day.arrivals
    seen: list[int] = []

    class Watched(PlantedRanker):
        def see(self, segments):
            seen.extend(segments.tolist())

        def scores(self, users, near, at):
            room = np.repeat(np.arange(len(rooms.author)), rooms.segments)
            window = np.arange(len(room)) - rooms.first[room]
            for moment in at:
                ended = rooms.start[room] + (window + 1) * 30_000 <= moment // 30_000 * 30_000
                assert sorted(seen) == np.flatnonzero(ended).tolist()
            scores = super().scores(users, near, at)
            scores[:, near % 3 == 0] = np.nan
            return scores

    some = day.looks & (np.arange(len(day.looks)) % 10 == 0)
    shown = shown_rooms(Watched(platform, day), day, some, 4)
    assert (shown[~some] == -1).all() and (shown[some, 0] >= 0).mean() > 0.8
    for row in np.flatnonzero(some):
        at, user = arrivals.enter[[row]], arrivals.user[[row]]
        on_air = np.flatnonzero((rooms.start <= at) & (rooms.end > at + 1))
        chance = np.where(on_air % 3 == 0, -1, platform.chances(day, user, on_air, at)[0])
        best = on_air[np.argsort(-chance, kind="stable")][: (chance >= 0).sum()][:4]
        assert shown[row].tolist() == [*best, *[-1] * (4 - len(best))]


def test_features_are_those_of_the_segment(plan):
    make_world(plan, 1)
    platform = platform_of(plan, 1)
    rooms = platform.day(2).rooms
    path = platform.log / "segments" / "part-00002.parquet"
    table = pl.read_parquet(path)
    table.sample(fraction=1.0, shuffle=True, seed=0).write_parquet(path)
    found = platform.features(2)
    for room in (0, 7, len(rooms.author) - 1):
        own = table.filter(pl.col("author_id") == f"a{rooms.author[room]}").sort("start")
        for name, values in found.items():
            shown = values[rooms.first[room] : rooms.first[room] + rooms.segments[room]]
            there = own[name].is_not_null().to_numpy()
            assert np.isnan(shown[~there]).all() and (shown[there] == own[name].drop_nulls().to_numpy()).all()


def test_the_law_of_gifts_is_livesims(plan):
    """Visits without lists have the chances that livesim wrote of them."""
    make_world(plan, 1)
    platform = platform_of(plan, 1)
    day = platform.day(1)
    visits = draw_visits(platform.settings, platform.world, day.rooms, 1)
    truth = pl.read_parquet(platform.log / "truth" / "part-00001.parquet")
    chances = {row[:3]: row[3] for row in truth.select("user_id", "room_id", "window", "p").rows()}
    checked = 0
    for user, room, enter in zip(visits.user[:300], visits.room[:300], visits.enter[:300], strict=True):
        window = int((enter - day.rooms.start[room]) // 30_000)
        wanted = chances.get((f"u{user}", f"a{day.rooms.author[room]}d1", window))
        if wanted is not None:
            found = platform.chances(day, np.array([user]), np.array([room]), np.array([enter]))
            assert found.item() == pytest.approx(wanted, rel=1e-5)
            checked += 1
    assert checked > 50


@pytest.mark.parametrize("write", [1, 4, 8])
def test_a_killed_day_goes_on(plan, write, monkeypatch, tmp_path):
    plan = replace(plan, users=100, authors=30)

    def days(plan):
        make_world(plan, 1)
        return [arm_day(plan, 2, 1, day) for day in plan.tested]

    def logs(plan):
        return _tables(plan.place("arms", plan.arm_key(2, 1)) / "logs")

    whole = replace(plan, folder=tmp_path / "whole")
    expected = days(whole)
    written, kept = [0], arm_logs.replaced

    def replaced(*arguments):
        written[0] += 1
        if written[0] == 1 + write:  # the first begins the logs
            raise KeyboardInterrupt
        return kept(*arguments)

    monkeypatch.setattr(arm_logs, "replaced", replaced)
    with pytest.raises(KeyboardInterrupt):
        days(plan)
    found = days(plan)
    for one, other in zip(found, expected, strict=True):
        assert all((one.arrays[name] == values).all() for name, values in other.arrays.items())
    assert _same(logs(plan), logs(whole))
    # Killed after the logs of a day and before its cell: it is done again.
    assert (arm_day(plan, 2, 1, 3).arrays["gifts"] == expected[1].arrays["gifts"]).all()
    # A cell of an earlier day was deleted: the arm begins again.
    assert (arm_day(plan, 2, 1, 2).arrays["gifts"] == expected[0].arrays["gifts"]).all()
    assert LogFolder(plan.place("arms", plan.arm_key(2, 1)) / "logs").info.days[-1] == "2025-05-07"
