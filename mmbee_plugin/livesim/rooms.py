"""The rooms of a day and what happens in them, segment by segment."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mmbee_plugin.livesim.events import run_events
from mmbee_plugin.livesim.settings import DAY_MS, SEGMENT_MS, LiveSimSettings
from mmbee_plugin.livesim.world import Authors

# Share of a day's visits by hour: quiet before dawn, most in the evening.
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
        - author, start, segments: (R,) int64; start in ms since the day began
        - first: (R,) int64, the room's first row among the day's segments
        - events: (S, EVENTS) bool; highlight: (S,) bool; S = sum of segments
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


def draw_times(rng: np.random.Generator, n: int) -> np.ndarray:
    """(n,) float64 ms since the day began, by the hours' shares."""
    hour = rng.choice(24, size=n, p=HOURS / HOURS.sum())
    return (hour + rng.random(n)) * (DAY_MS / 24)


def draw_rooms(settings: LiveSimSettings, authors: Authors, day: int) -> Rooms:
    """Who streams on `day` (0 the first), when, and with which events. At least one room, if any author is there.

    An author has one room a day at most. A room lasts a whole number of segments and ends by midnight.
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
    # A room begins a little before the visits it is there for.
    start = np.clip(draw_times(rng, len(author)) - 1_200_000, 0, latest - 1).astype(np.int64)
    events = run_events(rng, segments)
    room = np.repeat(np.arange(len(author)), segments)
    rules = authors.rules[author][room]
    return Rooms(
        author=author,
        start=start,
        segments=segments,
        first=np.cumsum(segments) - segments,
        events=events,
        highlight=(events | ~rules).all(axis=1),
    )
