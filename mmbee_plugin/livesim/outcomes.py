"""What happens in a day's visits: gifts, comments and likes, drawn by livesim's law and written as log tables."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import polars as pl
from scipy.special import expit

from mmbee_plugin.livesim.gifts import happens, moments, window_log_odds
from mmbee_plugin.livesim.record import Day
from mmbee_plugin.livesim.rooms import Rooms
from mmbee_plugin.livesim.settings import LiveSimSettings
from mmbee_plugin.livesim.visits import Visits, Windows, windows_of
from mmbee_plugin.livesim.world import World

FEEDBACK = ("comment", "like")


@dataclass(frozen=True)
class Outcomes:
    """Gifts and feedback of a day.

    Attributes:
        windows: of all visits.
        given: (G,) rows of the windows with a gift.
        log_odds: (W,) float32, of a gift in each window, with the base.
        gifts: table of the gifts, without amounts.
        feedback: table of the comments and that of the likes.
    """

    windows: Windows
    given: np.ndarray
    log_odds: np.ndarray
    gifts: pl.DataFrame
    feedback: tuple[pl.DataFrame, ...]

    def samples(self, visits: int) -> tuple[np.ndarray, np.ndarray]:
        """Window rows (n,) of the samples and their labels: windows with a gift, and the exit's of visits without one.

        Args:
            visits: number of visits.
        """
        windows, given = self.windows, self.given
        generous = np.zeros(visits, dtype=bool)
        generous[windows.visit[given]] = True
        last = np.flatnonzero(np.diff(windows.visit, append=-1))
        exits = last[~generous[windows.visit[last]]]
        label = np.repeat([1, 0], [len(given), len(exits)])
        return np.concatenate([given, exits]), label


def draw_outcomes(
    rng: np.random.Generator,
    settings: LiveSimSettings,
    world: World,
    bases: Mapping[str, float],
    rooms: Rooms,
    visits: Visits,
    day: int,
) -> Outcomes:
    """Draws what happens in the visits of a day.

    Args:
        bases: base log-odds of a ``gift``, a ``comment`` and a ``like`` in a window.
    """
    windows = windows_of(visits, rooms)
    gift, talk = window_log_odds(settings, world, rooms, visits, windows)
    given = happens(rng, gift, bases["gift"])
    return outcomes_of(
        rng, Day(world, rooms, day), bases, visits, windows, given, gift + np.float32(bases["gift"]), talk
    )


def outcomes_of(
    rng: np.random.Generator,
    tables: Day,
    bases: Mapping[str, float],
    visits: Visits,
    windows: Windows,
    given: np.ndarray,
    log_odds: np.ndarray,
    talk: np.ndarray,
) -> Outcomes:
    """Draws the moments of gifts that are drawn already, and the feedback.

    Args:
        given: (G,) rows of the windows with a gift.
        log_odds: (W,) of a gift, with the base. talk: (W,) of feedback, without it.
    """

    def happened(rows: np.ndarray) -> pl.DataFrame:
        when = moments(rng, tables.of_day, visits, windows, rows)
        return tables.happenings(visits, windows.visit[rows], when)

    gifts = happened(given)
    feedback = []
    for kind in FEEDBACK:
        rows = happens(rng, talk, bases[kind])
        feedback.append(happened(rows).with_columns(pl.lit(kind).alias("kind")))
    return Outcomes(windows, given, log_odds, gifts, tuple(feedback))


def truth_of(tables: Day, visits: Visits, outcomes: Outcomes) -> pl.DataFrame:
    """Table ``truth``: the chance of a gift in the window of each sample."""
    rows, _ = outcomes.samples(len(visits.user))
    windows = outcomes.windows
    return tables.truth(visits, windows.visit[rows], windows.window[rows], expit(outcomes.log_odds[rows]))
