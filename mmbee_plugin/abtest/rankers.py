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
        """Takes segments that have ended, as rows of the day's."""
        ...

    def scores(
        self, users: NDArray[np.int64], rooms: NDArray[np.int64], at: NDArray[np.float64]
    ) -> NDArray[np.floating]:
        """(B, C) score of each room for each user, who arrives at ``at`` (B,), ms since midnight; NaN for rooms that
        cannot be scored."""
        ...


def shown_rooms(ranker: Ranker, day: LiveDay, arrivals: NDArray[np.bool_], length: int) -> NDArray[np.int64]:
    """(A, K) rooms shown at each arrival of a day, best first, padded with -1.

    Arrivals of the same half minute are ranked together, by what ended before it.

    Args:
        arrivals: (A,) bool, those that are shown a list.
    """
    shown = np.full((len(arrivals), length), -1, dtype=np.int64)
    enter, rooms = day.arrivals.enter, day.rooms
    rows = np.flatnonzero(arrivals)
    rows = rows[np.argsort(enter[rows], kind="stable")]
    span = enter[rows] // SEGMENT_MS
    ends, segments = _ends(day)
    seen = 0
    for together in np.split(rows, np.flatnonzero(np.diff(span)) + 1) if len(rows) else ():
        at = enter[together]
        begin = at[0] // SEGMENT_MS * SEGMENT_MS
        until = int(np.searchsorted(ends, begin, side="right"))
        if until > seen:
            ranker.see(segments[seen:until])
            seen = until
        near = np.flatnonzero((rooms.start < begin + SEGMENT_MS) & (rooms.end > begin))
        if not len(near):
            continue
        on_air = (rooms.start[near] <= at[:, None]) & (rooms.end[near] > at[:, None] + 1)
        scores = np.where(on_air, ranker.scores(day.arrivals.user[together], near, at), np.nan)
        best = np.argsort(-scores, axis=1, kind="stable")[:, :length]  # NaN comes last
        scored = ~np.isnan(np.take_along_axis(scores, best, axis=1))
        shown[together, : best.shape[1]] = np.where(scored, near[best], -1)
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

    def scores(
        self, users: NDArray[np.int64], rooms: NDArray[np.int64], at: NDArray[np.float64]
    ) -> NDArray[np.floating]:
        return self._random.random((len(users), len(rooms)))


class PlantedRanker:
    """Ranks by the planted chance of a gift in the window that is on."""

    def __init__(self, platform: Platform, day: LiveDay) -> None:
        self._platform, self._day = platform, day

    def see(self, segments: NDArray[np.int64]) -> None:
        """Does nothing."""

    def scores(
        self, users: NDArray[np.int64], rooms: NDArray[np.int64], at: NDArray[np.float64]
    ) -> NDArray[np.floating]:
        return self._platform.chances(self._day, users, rooms, at)


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
