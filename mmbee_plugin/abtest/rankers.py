"""What ranks the rooms on air for a user, and the lists that come of it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from mmbee_plugin.abtest.arms import PLANTED, RANDOM, Arm
from mmbee_plugin.abtest.platform import LiveDay, Platform
from mmbee_plugin.abtest.served import ServedRanker, service_of
from mmbee_plugin.livesim.settings import SEGMENT_MS


class Ranker(Protocol):
    """Ranks rooms during one day."""

    def see(self, segments: NDArray[np.int64]) -> None:
        """Takes segments of the day that have ended, rows of the day's."""
        ...

    def scores(self, user: int, rooms: NDArray[np.int64], at: float) -> NDArray[np.floating]:
        """(n,) score of rooms for a user at a moment, ms since midnight; NaN for one that cannot be scored."""
        ...


def shown_rooms(ranker: Ranker, day: LiveDay, arrivals: NDArray[np.bool_], length: int) -> NDArray[np.int64]:
    """(A, K) rooms shown at each arrival of a day, best first, padded with -1.

    The ranker sees what ended before the half minute in which a user arrives.

    Args:
        arrivals: (A,) bool, those that are shown a list.
    """
    shown = np.full((len(arrivals), length), -1, dtype=np.int64)
    rows = np.flatnonzero(arrivals)
    enter = day.arrivals.enter
    ends, segments = _ends(day)
    seen = 0
    for row in rows[np.argsort(enter[rows], kind="stable")]:
        at = enter[row]
        until = int(np.searchsorted(ends, at // SEGMENT_MS * SEGMENT_MS, side="right"))
        if until > seen:
            ranker.see(segments[seen:until])
            seen = until
        rooms = day.on_air(at)
        if len(rooms):
            scores = ranker.scores(int(day.arrivals.user[row]), rooms, at)
            best = np.argsort(-scores, kind="stable")[:length]  # NaN comes last
            best = best[~np.isnan(scores[best])]
            shown[row, : len(best)] = rooms[best]
    return shown


def _ends(day: LiveDay) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Ends of the day's segments in ms since midnight, ascending, and their rows."""
    rooms = day.rooms
    room = np.repeat(np.arange(len(rooms.author)), rooms.segments)
    ends = rooms.start[room] + (np.arange(len(room)) - rooms.first[room] + 1) * SEGMENT_MS
    order = np.argsort(ends, kind="stable")
    return ends[order], order


class RandomRanker:
    """Ranks by chance."""

    def __init__(self, seed: Sequence[int]) -> None:
        self._random = np.random.default_rng(seed)

    def see(self, segments: NDArray[np.int64]) -> None:
        """Does nothing."""

    def scores(self, user: int, rooms: NDArray[np.int64], at: float) -> NDArray[np.floating]:
        return self._random.random(len(rooms))


class PlantedRanker:
    """Ranks by the planted chance of a gift in the window that is on."""

    def __init__(self, platform: Platform, day: LiveDay) -> None:
        self._platform, self._day = platform, day

    def see(self, segments: NDArray[np.int64]) -> None:
        """Does nothing."""

    def scores(self, user: int, rooms: NDArray[np.int64], at: float) -> NDArray[np.floating]:
        return self._platform.chance(self._day, user, rooms, at)


@contextmanager
def ranker_of(
    arm: Arm, number: int, bundles: Path, platform: Platform, day: LiveDay, http: bool
) -> Iterator[Ranker]:
    """The ranker of an arm, the test's ``number``-th, on a day. Raises InputError as `service_of`."""
    if arm.ranks == PLANTED:
        yield PlantedRanker(platform, day)
    elif arm.ranks == RANDOM:
        yield RandomRanker([platform.settings.seed, 10, day.number, number])
    else:
        with service_of(bundles, http) as service:
            yield ServedRanker(service, platform, day)
