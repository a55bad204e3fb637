"""The platform of a test: one simulated world, its days, and the log of what happens in it without lists."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy.special import expit

from mmbee_plugin.data.jsons import read_object
from mmbee_plugin.livesim.choice import ChoiceSettings, ShownLists, looks_at_list
from mmbee_plugin.livesim.gifts import gift_log_odds
from mmbee_plugin.livesim.outcomes import Outcomes, draw_outcomes
from mmbee_plugin.livesim.rooms import Rooms, draw_rooms
from mmbee_plugin.livesim.settings import DAY_MS, FIRST_DAY_MS, SEGMENT_MS, LiveSimSettings
from mmbee_plugin.livesim.visits import Arrivals, Visits, draw_arrivals, draw_visits
from mmbee_plugin.livesim.world import MODALITIES, draw_world
from mmbee_plugin.logs.folder import PLANTED

AnyTime = TypeVar("AnyTime", float, NDArray[np.float64])


@dataclass(frozen=True)
class LiveDay:
    """A day of the platform, before anybody has chosen.

    Attributes:
        looks: (A,) bool, which arrivals look at a list.
    """

    number: int
    rooms: Rooms
    arrivals: Arrivals
    looks: NDArray[np.bool_]

    def seconds(self, at: AnyTime) -> AnyTime:
        """Moments in ms since midnight, in seconds since the epoch."""
        return (FIRST_DAY_MS + self.number * DAY_MS + at) / 1_000


class Platform:
    """A world of `livesim 1`, and `choice 1` for what is shown.

    Args:
        log: written by `simulate` with these settings.
    """

    def __init__(self, log: Path, settings: LiveSimSettings, choice: ChoiceSettings) -> None:
        self.log, self.settings, self.choice = log, settings, choice
        self.world = draw_world(settings)
        report = log / PLANTED / "report.json"
        self.bases: dict[str, float] = read_object(report, "the report of a simulation")["bases"]
        self.user_ids = [f"u{user}" for user in range(settings.users)]

    def day(self, number: int) -> LiveDay:
        """A day, from 0."""
        rooms = draw_rooms(self.settings, self.world.authors, number)
        arrivals = draw_arrivals(self.settings, self.world, number)
        looks = looks_at_list(self.choice, self.settings.seed, number, len(arrivals.user))
        return LiveDay(number, rooms, arrivals, looks)

    def chances(
        self, day: LiveDay, users: NDArray[np.int64], rooms: NDArray[np.int64], at: NDArray[np.float64]
    ) -> NDArray[np.float32]:
        """(B, C) planted chance of a gift of users (B,), at moments (B,) in ms since midnight, in the windows that are
        on in rooms (C,); any number for a room that is not on air."""
        of_room = day.rooms.segments[rooms] - 1
        window = ((at[:, None] - day.rooms.start[rooms]) // SEGMENT_MS).astype(np.int64)
        highlight = day.rooms.highlight[day.rooms.first[rooms] + window.clip(0, of_room)]
        pairs = np.repeat(users, len(rooms)), np.tile(day.rooms.author[rooms], len(users))
        odds = gift_log_odds(self.settings, self.world, *pairs, highlight.ravel()).total()
        return expit(odds + np.float32(self.bases["gift"])).reshape(highlight.shape)

    def visits(self, day: LiveDay, shown: NDArray[np.int64], users: NDArray[np.bool_]) -> Visits:
        """The visits of some users, given what each arrival is shown.

        Args:
            shown: (A, K) rooms, as in `ShownLists`. users: (n,) bool.
        """
        lists = ShownLists(self.choice, shown)
        visits = draw_visits(self.settings, self.world, day.rooms, day.number, lists)
        own = users[visits.user]
        return Visits(**{name: values[own] for name, values in vars(visits).items()})

    def outcomes(self, day: LiveDay, visits: Visits, stream: int) -> Outcomes:
        """What happens in visits.

        Args:
            stream: number of the random stream, from 0; visits of other arms have another.
        """
        rng = np.random.default_rng([self.settings.seed, 7, day.number, stream])
        settings, world = self.settings, self.world
        return draw_outcomes(rng, settings, world, self.bases, day.rooms, visits, day.number)

    def features(self, day: int) -> dict[str, NDArray[np.float32]]:
        """The features of a day's segments by modality, (S, F * D) in the order of `Rooms`, NaN for a missing one."""
        columns = ["author_id", "start", *MODALITIES]
        table = pl.read_parquet(self.log / "segments" / f"part-{day:05}.parquet", columns=columns)
        author = pl.col("author_id").str.strip_prefix("a").cast(pl.Int64)
        table = table.sort(author, "start")  # a log's parts have no order of their own
        found = {}
        for name in MODALITIES:
            there = table[name].is_not_null()
            values = table[name].filter(there).to_numpy()
            found[name] = np.full((len(table), values.shape[1]), np.nan, dtype=np.float32)
            found[name][there.to_numpy()] = values
        return found


def quiet_gifts(platform: Platform, days: range) -> NDArray[np.float64]:
    """(users, 2): each user's chance of any gift, and expected gifts, on these days of livesim 1, without lists."""
    none, expected = np.zeros((2, platform.settings.users))
    for number in days:
        day = platform.day(number)
        visits = draw_visits(platform.settings, platform.world, day.rooms, number)
        outcomes = platform.outcomes(day, visits, 0)
        chance = expit(outcomes.log_odds.astype(np.float64))
        user = visits.user[outcomes.windows.visit]
        none += np.bincount(user, np.log1p(-chance), minlength=len(none))
        expected += np.bincount(user, chance, minlength=len(expected))
    return np.stack([-np.expm1(none), expected], axis=1)
