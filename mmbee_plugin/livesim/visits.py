"""Draws visits of users to rooms, independently of the rooms' content unless users are shown lists of rooms."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from mmbee_plugin.livesim.choice import ShownLists
from mmbee_plugin.livesim.rooms import Rooms, draw_times
from mmbee_plugin.livesim.settings import DAY_MS, SEGMENT_MS, LiveSimSettings
from mmbee_plugin.livesim.world import World

SLOT_MS = 600_000
SHORTEST = 0.2  # seconds


@dataclass(frozen=True)
class Visits:
    """The visits of one day, by user and time; a user is in one room at a time.

    Shapes:
        - user, room: (V,) int64, rows of users and of the day's `Rooms`
        - enter, exit: (V,) int64, ms since midnight; enter < exit < the room's end
    """

    user: np.ndarray
    room: np.ndarray
    enter: np.ndarray
    exit: np.ndarray


@dataclass(frozen=True)
class Windows:
    """The 30 s windows that visits touch, visit after visit.

    Shapes:
        - visit: (W,) int64, rows of `Visits`
        - window: (W,) int64, counted from the room's start
    """

    visit: np.ndarray
    window: np.ndarray


@dataclass(frozen=True)
class Arrivals:
    """Wishes to watch something, by user and time; they depend neither on what is on air nor on what is shown.

    Shapes:
        - user: (A,) int64, ascending
        - enter, length: (A,) float64, ms; a user's arrival waits for the drawn end of the one before
    """

    user: np.ndarray
    enter: np.ndarray
    length: np.ndarray


def draw_visits(
    settings: LiveSimSettings, world: World, rooms: Rooms, day: int, lists: ShownLists | None = None
) -> Visits:
    """Draws the visits of a day: times by `HOURS`, rooms on air by popularity, taste, circle and loyalty, heavy-tailed
    lengths cut at the room's end.

    Visits past midnight, or without a room on air, are dropped.

    Args:
        lists: rooms shown at each of the day's `draw_arrivals`. The same draws decide with and without lists, so an
            arrival with an empty list visits what it visits without.
    """
    rng = np.random.default_rng([settings.seed, 5, day])
    arrivals = _arrivals(rng, settings, world)
    room = _pick_rooms(rng, settings, world, rooms, arrivals, lists)
    kept = room >= 0
    user, room = arrivals.user[kept], room[kept]
    enter, length = arrivals.enter[kept], arrivals.length[kept]
    begin = enter.astype(np.int64)
    end = np.minimum((enter + length).astype(np.int64), rooms.end[room] - 1)
    seen = end > begin
    return Visits(user[seen], room[seen], begin[seen], end[seen])


def draw_arrivals(settings: LiveSimSettings, world: World, day: int) -> Arrivals:
    """The arrivals of a day, in the order in which `draw_visits` reads lists."""
    return _arrivals(np.random.default_rng([settings.seed, 5, day]), settings, world)


def _arrivals(rng: np.random.Generator, settings: LiveSimSettings, world: World) -> Arrivals:
    count = rng.poisson(settings.visits_per_day * world.users.activity)
    user = np.repeat(np.arange(settings.users), count)
    wanted = draw_times(rng, len(user))
    order = np.lexsort((wanted, user))
    median, spread = settings.visit_median, settings.visit_spread
    length = median * np.exp(spread * rng.normal(size=len(user)))
    length = np.clip(length, SHORTEST, settings.visit_longest) * 1_000
    return Arrivals(user, one_at_a_time(user, wanted[order], length), length)


def windows_of(visits: Visits, rooms: Rooms) -> Windows:
    """All windows that visits touch, including that of the exit."""
    start = rooms.start[visits.room]
    first = (visits.enter - start) // SEGMENT_MS
    count = (visits.exit - start) // SEGMENT_MS - first + 1
    visit = np.repeat(np.arange(len(count)), count)
    window = np.arange(len(visit)) - np.repeat(np.cumsum(count) - count, count) + first[visit]
    return Windows(visit, window)


def on_air(rooms: Rooms, enter: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Arrivals slot by slot with the rooms that are on air in it; slots without either are left out.

    Args:
        enter: (A,) ms since midnight.

    Yields:
        rows (n,) of the arrivals; rows (m,) of the rooms, ascending; (n, m) bool, where the room is not on at the
        moment of the arrival.
    """
    slot = (enter // SLOT_MS).astype(np.int64)
    by_slot = np.argsort(slot, kind="stable")
    slots = DAY_MS // SLOT_MS
    edges = np.searchsorted(slot[by_slot], np.arange(slots + 1))
    for number in range(slots):
        rows = by_slot[edges[number] : edges[number + 1]]
        near = np.flatnonzero((rooms.start < (number + 1) * SLOT_MS) & (rooms.end > number * SLOT_MS))
        if len(rows) and len(near):
            at = enter[rows, None]
            yield rows, near, (rooms.start[near] > at) | (rooms.end[near] <= at + 1)


def favours(world: World, user: np.ndarray, author: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Taste (0 to 1), same circle (bool) and favourite (bool) of users for authors.

    Shapes:
        - user: (..., 1) or (n,)
        - author: broadcastable with user
        - outputs: the broadcast shape
    """
    users, authors = world.users, world.authors
    taste = users.tastes[user, authors.type[author]]
    circle = users.circle[user] == authors.circle[author]
    favourite = (users.favourites[user] == author[..., None]).any(axis=-1)
    return taste, circle, favourite


def one_at_a_time(user: np.ndarray, wanted: np.ndarray, length: np.ndarray) -> np.ndarray:
    """(V,) start of each visit if it waits for the end of the user's earlier ones.

    enter_i = max over the user's visits j <= i of wanted_j + length_j + … + length_(i-1).

    Args:
        user: (V,) ascending user rows.
        wanted: (V,) wanted starts in ms, ascending per user.
        length: (V,) lengths in ms.
    """
    before = np.cumsum(length) - length
    before -= before[np.searchsorted(user, user)]  # within the user's own visits
    # Offsets keep the running maximum of one user below the values of the next.
    apart = user * (DAY_MS + before.max(initial=0.0) + 1)
    return np.maximum.accumulate(wanted - before + apart) - apart + before


def _pick_rooms(
    rng: np.random.Generator,
    settings: LiveSimSettings,
    world: World,
    rooms: Rooms,
    arrivals: Arrivals,
    lists: ShownLists | None,
) -> np.ndarray:
    """(A,) room of each arrival, drawn among those on air by the Gumbel-max rule; -1 if none is on air."""
    user, enter = arrivals.user, arrivals.enter
    picked = np.full(len(user), -1, dtype=np.int64)
    for rows, near, closed in on_air(rooms, enter):
        author = rooms.author[near]
        taste, circle, favourite = favours(world, user[rows, None], author[None, :])  # (rows, near)
        weight = world.authors.popularity[author] + settings.choose_by_taste * taste
        weight += settings.choose_by_circle * circle + settings.choose_favourite * favourite
        weight += rng.gumbel(size=weight.shape)
        if lists is not None:
            lists.add_utility(weight, rows, near)
        weight[closed] = -np.inf
        best = weight.argmax(axis=1)
        some = np.isfinite(weight[np.arange(len(rows)), best])
        picked[rows[some]] = near[best[some]]
    return picked
