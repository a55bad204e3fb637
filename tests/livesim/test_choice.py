"""Choice 1 and the frozen draws of livesim 1."""

from __future__ import annotations

import hashlib

import numpy as np
import polars as pl
import pytest

from mmbee_plugin.errors import InputError
from mmbee_plugin.livesim.choice import ChoiceSettings, ShownLists, looks_at_list
from mmbee_plugin.livesim.rooms import draw_rooms
from mmbee_plugin.livesim.settings import LiveSimSettings
from mmbee_plugin.livesim.simulate import simulate
from mmbee_plugin.livesim.visits import draw_arrivals, draw_visits
from mmbee_plugin.livesim.world import draw_world

SETTINGS = LiveSimSettings(users=400, authors=50, days=2, on_air=1.0, room_hours=8.0, seed=5)
FROZEN = {
    "rooms": "cb2557628c06c7fe",
    "visits": "97aace7ca930bf0c",
    "gifts": "c4099744998125e9",
    "feedback": "33e016cd3c393c38",
}
"""digests of what `livesim 1` drew when it was frozen"""


@pytest.fixture(scope="module")
def day():
    world = draw_world(SETTINGS)
    rooms = draw_rooms(SETTINGS, world.authors, 0)
    return world, rooms, draw_arrivals(SETTINGS, world, 0)


def _lists(day, choice, seed=0):
    """Shuffled rooms on air at each arrival."""
    _, rooms, arrivals = day
    random = np.random.default_rng(seed)
    order = random.permuted(np.tile(np.arange(len(rooms.author)), (len(arrivals.user), 1)), axis=1)
    at = arrivals.enter[:, None]
    on_air = (rooms.start[order] <= at) & (rooms.end[order] > at + 1)
    first = np.argsort(~on_air, axis=1, kind="stable")[:, : choice.length]
    room = np.take_along_axis(np.where(on_air, order, -1), first, axis=1)
    return ShownLists(choice, room)


def _pick(settings, day, lists):
    world, rooms, arrivals = day
    visits = draw_visits(settings, world, rooms, 0, lists)
    place = {
        (user, int(at)): row for row, (user, at) in enumerate(zip(arrivals.user, arrivals.enter, strict=True))
    }
    rows = np.array([place[user, enter] for user, enter in zip(visits.user, visits.enter, strict=True)])
    return rows, visits


def test_livesim_1_is_frozen(tmp_path):
    simulate(tmp_path / "log", LiveSimSettings(users=300, authors=40, days=2, density=4.0, seed=3))
    found = {}
    for name in FROZEN:
        table = pl.read_parquet(tmp_path / "log" / name / "*.parquet")
        text = table.sort(table.columns).write_csv()
        found[name] = hashlib.sha256(text.encode()).hexdigest()[:16]
    assert found == FROZEN


def test_an_empty_list_changes_nothing(day):
    world, rooms, arrivals = day
    empty = ShownLists(ChoiceSettings(), np.full((len(arrivals.user), 10), -1))
    plain, same = draw_visits(SETTINGS, world, rooms, 0), draw_visits(SETTINGS, world, rooms, 0, empty)
    for name, values in vars(plain).items():
        np.testing.assert_array_equal(values, getattr(same, name))


def test_odds_are_those_of_the_conditional_logit(day):
    """Without livesim's own preferences, position k is chosen e^shown / k times as often as a room not shown."""
    flat = LiveSimSettings(
        **{
            **vars(SETTINGS),
            "choose_by_taste": 0,
            "choose_by_circle": 0,
            "choose_favourite": 0,
            "popularity": 0,
        }
    )
    flat_world = draw_world(flat)
    choice = ChoiceSettings(length=4, shown=2.0, position=1.0)
    rooms = draw_rooms(flat, flat_world.authors, 0)
    arrivals = draw_arrivals(flat, flat_world, 0)
    parts = flat_world, rooms, arrivals
    lists = _lists(parts, choice)
    rows, visits = _pick(flat, parts, lists)
    at = arrivals.enter[rows][:, None]
    others = ((rooms.start <= at) & (rooms.end > at + 1)).sum(axis=1)
    full = (lists.room[rows] >= 0).all(axis=1)
    weights = np.exp(choice.utility())
    expected = weights / ((others - 4)[:, None] + weights.sum())
    chosen = lists.room[rows] == visits.room[:, None]
    for place in range(4):
        wanted = expected[full, place]
        spread = np.sqrt((wanted * (1 - wanted)).sum())
        assert abs(chosen[full, place].sum() - wanted.sum()) < 4 * spread
    assert full.sum() > 2_000 and chosen[full].any(axis=1).mean() > 0.2


def test_who_is_shown_nothing_visits_as_in_livesim_1(day):
    arrivals = day[2]
    lists = _lists(day, ChoiceSettings())
    looks = looks_at_list(ChoiceSettings(), SETTINGS.seed, 0, len(arrivals.user))
    lists.room[~looks] = -1
    rows, visits = _pick(SETTINGS, day, lists)
    plain_rows, plain = _pick(SETTINGS, day, None)
    same = dict(zip(plain_rows.tolist(), plain.room.tolist(), strict=True))
    own_way = ~looks[rows]
    assert [same[row] for row in rows[own_way].tolist()] == visits.room[own_way].tolist()
    before = np.array([same.get(row, -1) for row in rows.tolist()])
    assert (before != visits.room)[~own_way].mean() > 0.2
    assert abs(looks.mean() - 0.7) < 0.03


def test_arrivals_depend_on_no_list(day):
    _, rooms, arrivals = day
    lists = _lists(day, ChoiceSettings())
    rows, visits = _pick(SETTINGS, day, lists)
    np.testing.assert_array_equal(visits.user, arrivals.user[rows])
    assert (visits.exit < rooms.end[visits.room]).all() and (visits.enter >= rooms.start[visits.room]).all()


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"length": 0}, "length=0: a list has at least 1 room"),
        ({"own_way": 1.5}, "own_way=1.5: a share is at most 1"),
        ({"shown": float("nan")}, "shown=nan: a finite number"),
    ],
)
def test_bad_settings_are_one_line(wrong, message):
    with pytest.raises(InputError, match=message):
        ChoiceSettings(**wrong)
