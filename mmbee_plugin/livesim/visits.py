"""Who visits which room, from when to when: nothing here looks at a room's content."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mmbee_plugin.livesim.rooms import Rooms, draw_times
from mmbee_plugin.livesim.settings import DAY_MS, SEGMENT_MS, LiveSimSettings
from mmbee_plugin.livesim.world import World

SLOT_MS = 600_000
SHORTEST = 0.2  # seconds


@dataclass(frozen=True)
class Visits:
    """The visits of one day, by user and time; a user is in one room at a time.

    Shapes:
        - user, room: (V,) int64; room is a row of the day's `Rooms`
        - enter, exit: (V,) int64, ms since the day began; exit > enter, before the room's end
    """

    user: np.ndarray
    room: np.ndarray
    enter: np.ndarray
    exit: np.ndarray


@dataclass(frozen=True)
class Windows:
    """The 30 s windows that visits touch, visit after visit.

    Shapes:
        - visit: (W,) int64 rows of `Visits`; window: (W,) int64, counted from the room's start
    """

    visit: np.ndarray
    window: np.ndarray


def draw_visits(settings: LiveSimSettings, world: World, rooms: Rooms, day: int) -> Visits:
    """Users come by the hour, pick among the rooms on air by popularity, taste, circle and loyalty, and leave after a
    heavy-tailed time or when the room ends, whatever they see.

    Who would come while still in another room comes when that visit would have ended. A visit that falls past
    midnight, or at which no room is on air, does not happen.
    """
    rng = np.random.default_rng([settings.seed, 5, day])
    count = rng.poisson(settings.visits_per_day * world.users.activity)
    user = np.repeat(np.arange(settings.users), count)
    wanted = draw_times(rng, len(user))
    order = np.lexsort((wanted, user))
    median, spread = settings.visit_median, settings.visit_spread
    length = median * np.exp(spread * rng.normal(size=len(user)))
    length = np.clip(length, SHORTEST, settings.visit_longest) * 1_000
    enter = one_at_a_time(user, wanted[order], length)
    room = _pick_rooms(rng, settings, world, rooms, user, enter)
    kept = room >= 0
    user, room, enter, length = user[kept], room[kept], enter[kept], length[kept]
    begin = enter.astype(np.int64)
    end = np.minimum((enter + length).astype(np.int64), rooms.end[room] - 1)
    seen = end > begin
    return Visits(user[seen], room[seen], begin[seen], end[seen])


def windows_of(visits: Visits, rooms: Rooms) -> Windows:
    """Every window that a visit touches, the one of the exit included."""
    start = rooms.start[visits.room]
    first = (visits.enter - start) // SEGMENT_MS
    count = (visits.exit - start) // SEGMENT_MS - first + 1
    visit = np.repeat(np.arange(len(count)), count)
    window = np.arange(len(visit)) - np.repeat(np.cumsum(count) - count, count) + first[visit]
    return Windows(visit, window)


def favours(world: World, user: np.ndarray, author: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Taste (0 to 1), same circle (bool) and favourite (bool) of users for authors.

    Shapes:
        - user: (..., 1) or (n,); author: broadcasts with it
        - each result: the broadcast shape
    """
    users, authors = world.users, world.authors
    taste = users.tastes[user, authors.type[author]]
    circle = users.circle[user] == authors.circle[author]
    favourite = (users.favourites[user] == author[..., None]).any(axis=-1)
    return taste, circle, favourite


def one_at_a_time(user: np.ndarray, wanted: np.ndarray, length: np.ndarray) -> np.ndarray:
    """When visits begin if each waits for the user's visits before it.

    enter_i is the greatest of wanted_j + length_j + … + length_(i-1) over the user's visits j up to i.
    """
    before = np.cumsum(length) - length
    before -= before[np.searchsorted(user, user)]  # within the user's own visits
    # So far apart that the running maximum never reaches over from one user to the next.
    apart = user * (DAY_MS + before.max(initial=0.0) + 1)
    return np.maximum.accumulate(wanted - before + apart) - apart + before


def _pick_rooms(
    rng: np.random.Generator,
    settings: LiveSimSettings,
    world: World,
    rooms: Rooms,
    user: np.ndarray,
    enter: np.ndarray,
) -> np.ndarray:
    """(V,) the room of each visit, -1 where none is on air; by the Gumbel rule among the rooms on air."""
    picked = np.full(len(user), -1, dtype=np.int64)
    slot = (enter // SLOT_MS).astype(np.int64)
    by_slot = np.argsort(slot, kind="stable")
    slots = DAY_MS // SLOT_MS
    edges = np.searchsorted(slot[by_slot], np.arange(slots + 1))
    for number in range(slots):
        rows = by_slot[edges[number] : edges[number + 1]]
        near = np.flatnonzero((rooms.start < (number + 1) * SLOT_MS) & (rooms.end > number * SLOT_MS))
        if not len(rows) or not len(near):
            continue
        author = rooms.author[near]
        taste, circle, favourite = favours(world, user[rows, None], author[None, :])  # (rows, near)
        weight = world.authors.popularity[author] + settings.choose_by_taste * taste
        weight += settings.choose_by_circle * circle + settings.choose_favourite * favourite
        weight += rng.gumbel(size=weight.shape)
        at = enter[rows, None]
        weight[(rooms.start[near] > at) | (rooms.end[near] <= at + 1)] = -np.inf
        best = weight.argmax(axis=1)
        some = np.isfinite(weight[np.arange(len(rows)), best])
        picked[rows[some]] = near[best[some]]
    return picked
