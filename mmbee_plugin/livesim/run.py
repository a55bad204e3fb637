"""The course of a simulation: draws the days of `livesim 1` and writes their tables."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import polars as pl

from mmbee_plugin.livesim.content import draw_features, draw_looks
from mmbee_plugin.livesim.gifts import Base, LogOdds, gift_log_odds, window_log_odds
from mmbee_plugin.livesim.outcomes import Outcomes, draw_outcomes, truth_of
from mmbee_plugin.livesim.prices import draw_prices
from mmbee_plugin.livesim.record import Day, write_planted
from mmbee_plugin.livesim.report import KUAILIVE, Oracle, rank_by_truth
from mmbee_plugin.livesim.rooms import Rooms, draw_rooms
from mmbee_plugin.livesim.settings import LiveSimSettings
from mmbee_plugin.livesim.visits import Visits, Windows, draw_visits, windows_of
from mmbee_plugin.livesim.world import World, draw_world
from mmbee_plugin.logs.folder import PLANTED
from mmbee_plugin.logs.writer import LogWriter

LAST_GIFTS = "of them on the last day"


class Run:
    """State of a simulation: days drawn, tables written, counts.

    Attributes:
        counts: rows of the tables, and gifts of the last day.
        bases: base log-odds in a window of a gift, a comment and a like, once they are found.
        oracle: metrics of the planted truth on the last day's samples; None if no user has both labels.
        causes: what further causes come to on the last day, by name.
    """

    def __init__(self, log: LogWriter, settings: LiveSimSettings) -> None:
        self.counts = dict.fromkeys(("rooms", "segments", "visits", "gifts", LAST_GIFTS), 0)
        self.bases: dict[str, float] = {}
        self.oracle: Oracle | None = None
        self.causes: dict[str, float] = {}
        self._log, self._settings = log, settings
        self._world = draw_world(settings)
        self._looks = draw_looks(settings, self._world.authors)
        self._days: list[tuple[Rooms, Visits]] = []
        self._gifts: list[tuple[pl.DataFrame, np.ndarray, np.ndarray]] = []
        self._gift_base, self._talk_base = Base(), Base()
        write_planted(log.folder, settings, self._world)
        for kind, n in (("users", settings.users), ("authors", settings.authors)):
            ids = [f"{kind[0]}{row}" for row in range(n)]
            log.add(kind, pl.DataFrame({f"{kind[:-1]}_id": ids}))

    def open_day(self, day: int) -> None:
        """Draws rooms, content and visits of a day; writes rooms and segments."""
        settings, world = self._settings, self._world
        rooms = draw_rooms(settings, world.authors, day)
        tables = Day(world, rooms, day)
        self._write_rooms(tables)
        self._log.add(
            "segments", tables.segments(draw_features(settings, world.authors, self._looks, rooms, day))
        )
        visits = draw_visits(settings, world, rooms, day)
        gift, talk = window_log_odds(settings, world, rooms, visits, windows_of(visits, rooms))
        self._gift_base.add(gift)
        self._talk_base.add(talk)
        self._keep(replace(rooms, events=rooms.events[:0]), visits)

    def find_bases(self) -> None:
        """Sets the base log-odds that give the wanted gifts, comments and likes per visit."""
        settings, visits = self._settings, self.counts["visits"]
        self.bases = {
            "gift": self._gift_base.find(self.wanted_gifts),
            "comment": self._talk_base.find(settings.comments_per_visit * visits),
            "like": self._talk_base.find(settings.likes_per_visit * visits),
        }

    @property
    def wanted_gifts(self) -> float:
        """The number of gifts that the bases are to give."""
        return KUAILIVE["gifts per visit"] * self._settings.density * self.counts["visits"]

    def live_day(self, day: int) -> None:
        """Draws the day's gifts and feedback; writes its visits, feedback and the truth of its samples."""
        settings, world = self._settings, self._world
        rng = np.random.default_rng([settings.seed, 7, day])
        rooms, visits = self._days[day]
        outcomes = draw_outcomes(rng, settings, world, self.bases, rooms, visits, day)
        self._write_outcomes(Day(world, rooms, day), visits, outcomes)
        visit = outcomes.windows.visit[outcomes.given]
        self._gifts.append((outcomes.gifts, visits.user[visit], rooms.author[visits.room[visit]]))
        if day == settings.days - 1:
            rows, label = outcomes.samples(len(visits.user))
            user, parts = sample_parts(settings, world, rooms, visits, outcomes.windows, rows)
            self.oracle = rank_by_truth(user, label, parts)

    def close(self) -> None:
        """Draws the prices of all gifts and writes the gifts."""
        rng = np.random.default_rng([self._settings.seed, 8])
        gifts, user, author = zip(*self._gifts, strict=True)
        amount = draw_prices(rng, self._settings, self._world, np.concatenate(user), np.concatenate(author))
        self._log.add("gifts", pl.concat(gifts).with_columns(pl.Series("amount", amount)))

    def _write_rooms(self, tables: Day) -> None:
        self._log.add("rooms", tables.rooms(self._settings))
        planted = self._log.folder / PLANTED / "segments"
        planted.mkdir(exist_ok=True)
        tables.planted_segments().write_parquet(planted / f"day-{tables.day:03}.parquet")

    def _keep(self, rooms: Rooms, visits: Visits) -> None:
        self._days.append((rooms, visits))
        self.counts["rooms"] += len(rooms.author)
        self.counts["segments"] += len(rooms.highlight)
        self.counts["visits"] += len(visits.user)

    def _write_outcomes(self, tables: Day, visits: Visits, outcomes: Outcomes) -> None:
        self._log.add("visits", tables.visits(visits))
        for feedback in outcomes.feedback:
            self._log.add("feedback", feedback)
        self._log.add("truth", truth_of(tables, visits, outcomes))
        self.counts["gifts"] += len(outcomes.given)
        if tables.day == self._settings.days - 1:
            self.counts[LAST_GIFTS] = len(outcomes.given)


def sample_parts(
    settings: LiveSimSettings, world: World, rooms: Rooms, visits: Visits, windows: Windows, rows: np.ndarray
) -> tuple[np.ndarray, LogOdds]:
    """Users (n,) of the windows `rows` (n,), and the parts of their log-odds of a gift."""
    visit, window = windows.visit[rows], windows.window[rows]
    user, room = visits.user[visit], visits.room[visit]
    highlight = rooms.highlight[rooms.first[room] + window]
    return user, gift_log_odds(settings, world, user, rooms.author[room], highlight)
