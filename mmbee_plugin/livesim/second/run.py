"""The course of a simulation of `livesim 2`: visits depend on earlier days' visits, gifts on earlier gifts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import polars as pl

from mmbee_plugin.livesim.content import draw_features
from mmbee_plugin.livesim.gifts import LogOdds, window_log_odds
from mmbee_plugin.livesim.outcomes import Outcomes, outcomes_of
from mmbee_plugin.livesim.record import Day
from mmbee_plugin.livesim.report import gini, rank_by_truth
from mmbee_plugin.livesim.rooms import Rooms, draw_rooms, highlights
from mmbee_plugin.livesim.run import Run, sample_parts
from mmbee_plugin.livesim.second.drift import looks, worlds
from mmbee_plugin.livesim.second.purse import money_of
from mmbee_plugin.livesim.second.ranking import Ranking
from mmbee_plugin.livesim.second.record import write_drift, write_money
from mmbee_plugin.livesim.second.sequence import (
    Gifts,
    Giving,
    Sequence,
    by_time,
    find_base,
    recent_gifts,
    sequence_of,
)
from mmbee_plugin.livesim.second.settings import SecondSettings
from mmbee_plugin.livesim.visits import Visits, Windows, draw_arrivals, draw_visits, windows_of
from mmbee_plugin.livesim.world import World
from mmbee_plugin.logs.writer import LogWriter


@dataclass(frozen=True)
class SecondLogOdds(LogOdds):
    """Parts of the log-odds in `livesim 2`, (n,) float32 each."""

    following: np.ndarray
    price: np.ndarray


class SecondRun(Run):
    """Simulates `livesim 2`."""

    _settings: SecondSettings

    def __init__(self, log: LogWriter, settings: SecondSettings) -> None:
        super().__init__(log, settings)
        self._worlds = worlds(settings)
        self._ranking = Ranking(settings)
        self._money = money_of(settings, self._world)
        self._sequences: list[Sequence] = []
        self._each_look = looks(settings, self._world)
        write_drift(log.folder, self._worlds)
        write_money(log.folder, self._money)

    def open_day(self, day: int) -> None:
        """Draws rooms and visits of a day, after what the ranking shows; writes rooms."""
        settings, world = self._settings, self._worlds[day]
        rooms = draw_rooms(settings, world.authors, day)
        self._write_rooms(Day(world, rooms, day))
        lists = self._ranking.lists(rooms, draw_arrivals(settings, world, day), day)
        visits = draw_visits(settings, world, rooms, day, lists)
        self._ranking.count(rooms, visits)
        windows = windows_of(visits, rooms)
        gift, talk = window_log_odds(settings, world, rooms, visits, windows)
        self._gift_base.add(gift)
        self._talk_base.add(talk)
        self._sequences.append(sequence_of(rooms, visits, windows, gift, by_time(rooms, visits, windows)))
        self._keep(rooms, visits)

    def find_bases(self) -> None:
        """As in livesim 1; the base of a gift by drawing the gifts of all days, from the base without the two causes
        that gifts themselves change."""
        super().find_bases()
        wanted, start = self.wanted_gifts, self.bases["gift"]
        self.bases["gift"] = find_base(self._settings, self._money, self._sequences, wanted, start)
        self._giving = Giving(self._settings, self._money, self.bases["gift"])

    def live_day(self, day: int) -> None:
        """Draws the day's gifts and feedback, then the content, whose comments show the gifts; writes all of them."""
        settings, world = self._settings, self._worlds[day]
        rooms, visits = self._days[day]
        tables = Day(world, rooms, day)
        windows = windows_of(visits, rooms)
        odds, talk = window_log_odds(settings, world, rooms, visits, windows)
        gifts = self._give(rooms, visits, windows, day)
        given = np.flatnonzero(gifts.coins)
        odds += gifts.following + gifts.price + np.float32(self.bases["gift"])
        rng = np.random.default_rng([settings.seed, 7, day])
        outcomes = outcomes_of(rng, tables, self.bases, visits, windows, given, odds, talk)
        self._log.add("gifts", outcomes.gifts.with_columns(pl.Series("amount", gifts.coins[given])))
        self._write_outcomes(tables, visits, outcomes)
        recent = recent_gifts(
            rooms, visits.room[windows.visit[given]], windows.window[given], settings.following_fades
        )
        features = draw_features(
            settings, world.authors, next(self._each_look), rooms, day, settings.thanks * np.log1p(recent)
        )
        self._log.add("segments", tables.segments(features))
        if day == settings.days - 1:
            self._finish(rooms, visits, outcomes, gifts)

    def close(self) -> None:
        """Does nothing: gifts are written day by day, as their prices empty the purses."""

    def _give(self, rooms: Rooms, visits: Visits, windows: Windows, day: int) -> Gifts:
        """The day's gifts, in the order of the windows."""
        order = by_time(rooms, visits, windows)
        drawn = self._giving.day(self._sequences[day], day)
        gifts = Gifts(*(np.empty_like(values) for values in vars(drawn).values()))
        for name, values in vars(drawn).items():
            getattr(gifts, name)[order] = values
        return gifts

    def _finish(self, rooms: Rooms, visits: Visits, outcomes: Outcomes, gifts: Gifts) -> None:
        """Measures the last day: the planted truth on its samples, and the causes that livesim 1 lacks."""
        settings, world, windows = self._settings, self._worlds[-1], outcomes.windows
        rows, label = outcomes.samples(len(visits.user))
        money = {"following": gifts.following[rows], "price": gifts.price[rows]}
        user, parts = sample_parts(settings, world, rooms, visits, windows, rows)
        rules = self._world.authors.rules
        before = replace(rooms, highlight=highlights(rooms.events, rules[rooms.author_of_segments]))
        _, first = sample_parts(settings, self._world, before, visits, windows, rows)
        whole, undrifted = (SecondLogOdds(**vars(each), **money) for each in (parts, first))
        self.oracle = rank_by_truth(user, label, whole, {"without drift": undrifted.total()})
        quiet = draw_visits(settings, world, rooms, settings.days - 1)
        self.causes = {
            "Gini of visits over authors": _gini_of_visits(rooms, visits),
            "the same without lists": _gini_of_visits(rooms, quiet),
            "users of other tastes than on day 1": _changed(self._worlds, lambda each: each.users.tastes),
            "authors of another highlight": _changed(self._worlds, lambda each: each.authors.rules),
            "gain by earlier gifts, at gifts": float(gifts.following[rows][label == 1].mean()),
            "the same at exits without a gift": float(gifts.following[rows][label == 0].mean()),
            "users with less than a coin": float((self._giving.left < 1).mean()),
            "spent of what is in full purses": float(1 - (self._giving.left / self._money.full).mean()),
        }


def _gini_of_visits(rooms: Rooms, visits: Visits) -> float:
    return gini(np.bincount(visits.room, minlength=len(rooms.author)).astype(np.float64))


def _changed(days: list[World], trait: Callable[[World], np.ndarray]) -> float:
    """Share of the rows of a trait (n, D) that differ between the first day and the last."""
    return float((trait(days[0]) != trait(days[-1])).any(axis=1).mean())
