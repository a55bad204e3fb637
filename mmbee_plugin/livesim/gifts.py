"""Probability of a gift, comment or like in each window of a visit, and their draws."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.special import expit

from mmbee_plugin.livesim.rooms import Rooms
from mmbee_plugin.livesim.settings import SEGMENT_MS, LiveSimSettings
from mmbee_plugin.livesim.visits import Visits, Windows, favours
from mmbee_plugin.livesim.world import World

_BINS = np.linspace(-30, 30, 12_001)


@dataclass(frozen=True)
class LogOdds:
    """Parts of the log-odds of a gift without the base, (n,) float32 each."""

    generosity: np.ndarray
    taste: np.ndarray
    circle: np.ndarray
    loyalty: np.ndarray
    appeal: np.ndarray
    highlight: np.ndarray

    def total(self) -> np.ndarray:
        return sum(vars(self).values(), start=np.zeros(len(self.taste), dtype=np.float32))


class Base:
    """Finds by bisection the base of the log-odds that gives a wanted expected number of events.

    Log-odds are counted in bins of 0.005.
    """

    def __init__(self) -> None:
        self._counts = np.zeros(len(_BINS) - 1, dtype=np.int64)

    def add(self, log_odds: np.ndarray) -> None:
        """Counts the windows' log-odds, (n,)."""
        self._counts += np.histogram(log_odds, _BINS)[0]

    def find(self, wanted: float) -> float:
        """The base in [-30, 30] for which the probabilities sum to `wanted`."""
        middle = (_BINS[1:] + _BINS[:-1]) / 2
        low, high = -30.0, 30.0
        for _ in range(50):
            base = (low + high) / 2
            expected = float(self._counts @ expit(middle + base))
            low, high = (base, high) if expected < wanted else (low, base)
        return base


def gift_log_odds(
    settings: LiveSimSettings, world: World, user: np.ndarray, author: np.ndarray, highlight: np.ndarray
) -> LogOdds:
    """Parts of the log-odds for windows with users (n,), authors (n,) and highlights (n,) bool."""
    taste, circle, favourite = favours(world, user, author)
    return LogOdds(
        generosity=world.users.generosity[user].astype(np.float32),
        taste=(settings.taste * taste).astype(np.float32),
        circle=np.float32(settings.circle) * circle,
        loyalty=np.float32(settings.loyalty) * favourite,
        appeal=world.authors.appeal[author].astype(np.float32),
        highlight=world.users.reaction[user].astype(np.float32) * highlight,
    )


def window_log_odds(
    settings: LiveSimSettings, world: World, rooms: Rooms, visits: Visits, windows: Windows
) -> tuple[np.ndarray, np.ndarray]:
    """Log-odds of a gift, and of a comment or like, in every window, (W,) float32 each, without their bases.

    Comments and likes depend on taste, loyalty, highlights and the user's talkativeness.
    """
    author = rooms.author[visits.room]
    calm = gift_log_odds(settings, world, visits.user, author, np.zeros(len(author), dtype=bool))
    talk = 0.7 * calm.taste + 0.5 * calm.loyalty
    talk = world.users.talk[visits.user] + settings.feedback * talk
    highlight = rooms.highlight[rooms.first[visits.room][windows.visit] + windows.window]
    reaction = (world.users.reaction.astype(np.float32)[visits.user])[windows.visit] * highlight
    gift = calm.total()[windows.visit] + reaction
    return gift, talk.astype(np.float32)[windows.visit] + np.float32(0.5 * settings.feedback) * reaction


def happens(rng: np.random.Generator, log_odds: np.ndarray, base: float) -> np.ndarray:
    """Rows of the windows drawn by their probabilities."""
    return np.flatnonzero(rng.random(len(log_odds), dtype=np.float32) < expit(log_odds + np.float32(base)))


def moments(
    rng: np.random.Generator, rooms: Rooms, visits: Visits, windows: Windows, rows: np.ndarray
) -> np.ndarray:
    """(n,) int64 ms since midnight: a random moment of the visit in each of the windows `rows`."""
    visit = windows.visit[rows]
    start = rooms.start[visits.room[visit]] + windows.window[rows] * SEGMENT_MS
    begin = np.maximum(start, visits.enter[visit])
    end = np.minimum(start + SEGMENT_MS - 1, visits.exit[visit])
    return begin + (rng.random(len(rows)) * (end - begin + 1)).astype(np.int64)
