"""Draws the rooms of a day and the events of their segments."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mmbee_plugin.livesim.events import run_events
from mmbee_plugin.livesim.settings import DAY_MS, SEGMENT_MS, LiveSimSettings
from mmbee_plugin.livesim.world import Authors

# Relative visits by hour of the day: fewest before dawn, most in the evening.
HOURS = np.array(
    [
        4,
        2,
        1.2,
        0.8,
        0.6,
        0.6,
        1,
        1.6,
        2.2,
        2.8,
        3.2,
        3.8,
        4.6,
        4.4,
        4,
        4,
        4.2,
        4.6,
        5.6,
        7.4,
        9.4,
        10.4,
        9.6,
        7,
    ]
)


@dataclass(frozen=True)
class Rooms:
    """The rooms of one day, by author.

    Shapes:
        - author, segments: (R,) int64, author row and number of segments
        - start: (R,) int64, ms since midnight
        - first: (R,) int64, row of the room's first segment among the day's
        - events: (S, EVENTS) bool, S = sum of segments
        - highlight: (S,) bool
    """

    author: np.ndarray
    start: np.ndarray
    segments: np.ndarray
    first: np.ndarray
    events: np.ndarray
    highlight: np.ndarray

    @property
    def end(self) -> np.ndarray:
        return self.start + self.segments * SEGMENT_MS

    @property
    def author_of_segments(self) -> np.ndarray:
        """(S,) int64."""
        return np.repeat(self.author, self.segments)


def draw_times(rng: np.random.Generator, n: int) -> np.ndarray:
    """(n,) float64 times in ms since midnight, distributed by `HOURS`."""
    hour = rng.choice(24, size=n, p=HOURS / HOURS.sum())
    return (hour + rng.random(n)) * (DAY_MS / 24)


def draw_rooms(settings: LiveSimSettings, authors: Authors, day: int) -> Rooms:
    """Draws the rooms of `day` (from 0): authors, times and events. At least one room if an author has arrived.

    An author has at most one room per day. A room lasts a whole number of segments and ends by midnight.
    """
    rng = np.random.default_rng([settings.seed, 2, day])
    chance = rng.random(settings.authors) / authors.on_air.clip(1e-9)
    chance[authors.first_day > day] = np.inf
    streams = chance < 1
    streams[np.argmin(chance)] |= np.isfinite(chance).any()
    author = np.flatnonzero(streams)
    hours = settings.room_hours * rng.gamma(4.0, 0.25, size=len(author))
    segments = np.clip(hours * 3_600_000 / SEGMENT_MS, 10, 600).astype(np.int64)
    latest = DAY_MS - segments * SEGMENT_MS
    # A room begins 20 minutes before a time drawn like those of visits.
    start = np.clip(draw_times(rng, len(author)) - 1_200_000, 0, latest - 1).astype(np.int64)
    events = run_events(rng, segments)
    room = np.repeat(np.arange(len(author)), segments)
    return Rooms(
        author=author,
        start=start,
        segments=segments,
        first=np.cumsum(segments) - segments,
        events=events,
        highlight=highlights(events, authors.rules[author][room]),
    )


def highlights(events: np.ndarray, rules: np.ndarray) -> np.ndarray:
    """(S,) bool, the segments in which all events of the author's rule are on, of (S, EVENTS) both."""
    return (events | ~rules).all(axis=1)
