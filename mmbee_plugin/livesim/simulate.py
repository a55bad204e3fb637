"""Runs the simulator and writes a log folder of live gifting with planted truth."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
import polars as pl

from mmbee_plugin.errors import InputError
from mmbee_plugin.livesim.content import draw_features, draw_looks
from mmbee_plugin.livesim.gifts import Base, LogOdds, gift_log_odds, window_log_odds
from mmbee_plugin.livesim.outcomes import Outcomes, draw_outcomes, truth_of
from mmbee_plugin.livesim.prices import draw_prices
from mmbee_plugin.livesim.record import Day, write_planted
from mmbee_plugin.livesim.report import KUAILIVE, Oracle, gift_statistics, rank_by_truth
from mmbee_plugin.livesim.rooms import Rooms, draw_rooms
from mmbee_plugin.livesim.settings import FRAMES, VERSION, LiveSimSettings
from mmbee_plugin.livesim.visits import Visits, draw_visits, windows_of
from mmbee_plugin.livesim.world import draw_world
from mmbee_plugin.logs.folder import PLANTED
from mmbee_plugin.logs.writer import LogInfo, LogWriter, writing

LAST_GIFTS = "of them on the last day"


@dataclass(frozen=True)
class Simulation:
    """Summary of a simulation.

    Attributes:
        counts: rows of the tables, and gifts of the last day.
        statistics: gift statistics by name, see `report.KUAILIVE`.
        oracle: metrics of the planted truth on the last day's samples; None if no user has both labels.
        bases: base log-odds in a window of a gift, a comment and a like.
    """

    counts: dict[str, int]
    statistics: dict[str, float]
    oracle: Oracle | None
    bases: dict[str, float]


def simulate(
    folder: Path,
    settings: LiveSimSettings,
    *,
    force: bool = False,
    progress: Callable[[str, int, int], None] | None = None,
) -> Simulation:
    """Simulates a log and writes the log folder `folder`; equal settings give equal logs.

    A first pass over the days draws rooms, content and visits; a second one, once the base log-odds are known, gifts
    and feedback.

    Args:
        force: replace a log that is no sample.
        progress: called with the current step, the steps done and the number of steps.

    Raises:
        InputError: as `logs.writer.writing`, or no gift was drawn.
    """
    info = LogInfo(
        name=folder.name,
        kind="simulated",
        source=f"mmbee data simulate: {VERSION}, seed {settings.seed}",
        version=VERSION,
        frames={"visual": FRAMES},
    )
    steps = 2 * settings.days
    with writing(folder, info, force=force) as log:
        run = _Run(log, settings)
        for day in range(settings.days):
            if progress is not None:
                progress(f"day {day + 1}: rooms, content, visits", day, steps)
            run.open_day(day)
        run.find_bases()
        for day in range(settings.days):
            if progress is not None:
                progress(f"day {day + 1}: gifts, feedback", settings.days + day, steps)
            run.live_day(day)
        run.price_gifts()
        if not run.counts["gifts"]:
            raise InputError(f"{folder}: nobody gave anything; simulate more users, days or a higher density")
        oracle = rank_by_truth(*run.last) if run.last is not None else None
        simulation = Simulation(run.counts, gift_statistics(log.folder), oracle, run.bases)
        report = {**asdict(simulation), "kuailive": KUAILIVE}
        path = log.folder / PLANTED / "report.json"
        path.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    return simulation


class _Run:
    """State of a simulation: days drawn, tables written, counts."""

    def __init__(self, log: LogWriter, settings: LiveSimSettings) -> None:
        self.counts = dict.fromkeys(("rooms", "segments", "visits", "gifts", LAST_GIFTS), 0)
        self.last: tuple[np.ndarray, np.ndarray, LogOdds] | None = None
        self._log, self._settings = log, settings
        self._world = draw_world(settings)
        self._looks = draw_looks(settings, self._world.authors)
        self._days: list[tuple[Rooms, Visits]] = []
        self._gifts: list[tuple[pl.DataFrame, np.ndarray, np.ndarray]] = []
        self._gift_base, self._talk_base = Base(), Base()
        self.bases: dict[str, float] = {}
        write_planted(log.folder, settings, self._world)
        for kind, n in (("users", settings.users), ("authors", settings.authors)):
            ids = [f"{kind[0]}{row}" for row in range(n)]
            log.add(kind, pl.DataFrame({f"{kind[:-1]}_id": ids}))

    def open_day(self, day: int) -> None:
        """Draws rooms, content and visits of a day; writes rooms and segments."""
        settings, world = self._settings, self._world
        rooms = draw_rooms(settings, world.authors, day)
        features = draw_features(settings, world.authors, self._looks, rooms, day)
        tables = Day(world, rooms, day)
        self._log.add("rooms", tables.rooms(settings))
        self._log.add("segments", tables.segments(features))
        planted = self._log.folder / PLANTED / "segments"
        planted.mkdir(exist_ok=True)
        tables.planted_segments().write_parquet(planted / f"day-{day:03}.parquet")
        visits = draw_visits(settings, world, rooms, day)
        gift, talk = window_log_odds(settings, world, rooms, visits, windows_of(visits, rooms))
        self._gift_base.add(gift)
        self._talk_base.add(talk)
        self._days.append((replace(rooms, events=rooms.events[:0]), visits))
        self.counts["rooms"] += len(rooms.author)
        self.counts["segments"] += len(rooms.highlight)
        self.counts["visits"] += len(visits.user)

    def find_bases(self) -> None:
        """Sets the base log-odds that give the wanted gifts, comments and likes per visit."""
        settings, visits = self._settings, self.counts["visits"]
        gifts = KUAILIVE["gifts per visit"] * settings.density
        self.bases = {
            "gift": self._gift_base.find(gifts * visits),
            "comment": self._talk_base.find(settings.comments_per_visit * visits),
            "like": self._talk_base.find(settings.likes_per_visit * visits),
        }

    def live_day(self, day: int) -> None:
        """Draws the day's gifts and feedback; writes its visits, feedback and the truth of its samples."""
        settings, world = self._settings, self._world
        rng = np.random.default_rng([settings.seed, 7, day])
        rooms, visits = self._days[day]
        tables = Day(world, rooms, day)
        self._log.add("visits", tables.visits(visits))
        outcomes = draw_outcomes(rng, settings, world, self.bases, rooms, visits, day)
        visit = outcomes.windows.visit[outcomes.given]
        self._gifts.append((outcomes.gifts, visits.user[visit], rooms.author[visits.room[visit]]))
        for feedback in outcomes.feedback:
            self._log.add("feedback", feedback)
        self._log.add("truth", truth_of(tables, visits, outcomes))
        self.counts["gifts"] += len(outcomes.given)
        if day == settings.days - 1:
            self.counts[LAST_GIFTS] = len(outcomes.given)
            self.last = self._sample_parts(rooms, visits, outcomes)

    def price_gifts(self) -> None:
        """Draws the prices of all gifts and writes the gifts."""
        rng = np.random.default_rng([self._settings.seed, 8])
        gifts, user, author = zip(*self._gifts, strict=True)
        amount = draw_prices(rng, self._settings, self._world, np.concatenate(user), np.concatenate(author))
        self._log.add("gifts", pl.concat(gifts).with_columns(pl.Series("amount", amount)))

    def _sample_parts(
        self, rooms: Rooms, visits: Visits, outcomes: Outcomes
    ) -> tuple[np.ndarray, np.ndarray, LogOdds]:
        rows, label = outcomes.samples(len(visits.user))
        visit, window = outcomes.windows.visit[rows], outcomes.windows.window[rows]
        user, room = visits.user[visit], visits.room[visit]
        highlight = rooms.highlight[rooms.first[room] + window]
        return user, label, gift_log_odds(self._settings, self._world, user, rooms.author[room], highlight)
