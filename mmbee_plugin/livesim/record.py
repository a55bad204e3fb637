"""Converts a simulated day into tables of a log folder, and writes the planted truth beside them."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import numpy as np
import polars as pl

from mmbee_plugin.livesim.content import Features
from mmbee_plugin.livesim.events import EVENTS
from mmbee_plugin.livesim.rooms import Rooms
from mmbee_plugin.livesim.settings import DAY_MS, FIRST_DAY_MS, SEGMENT_MS, LiveSimSettings
from mmbee_plugin.livesim.visits import Visits
from mmbee_plugin.livesim.world import World
from mmbee_plugin.logs.folder import PLANTED

CATEGORIES = np.array(["chat", "music", "games", "outdoors"])
CATEGORY_WRONG, CATEGORY_MISSING = 0.15, 0.10


class Day:
    """Tables of one day, with ids `u<user>`, `a<author>` and, for rooms, `a<author>d<day>`, counted from 0."""

    def __init__(self, world: World, rooms: Rooms, day: int) -> None:
        self.day, self.midnight = day, FIRST_DAY_MS + day * DAY_MS
        self.of_day, self._types = rooms, world.authors.type
        self.user_ids = pl.Series([f"u{user}" for user in range(len(world.users.circle))])
        self.author_ids = pl.Series([f"a{author}" for author in rooms.author])
        self.room_ids = self.author_ids + f"d{day}"

    def rooms(self, settings: LiveSimSettings) -> pl.DataFrame:
        """The rooms; `category` is a coarse, sometimes wrong or missing name of the author's type."""
        rng = np.random.default_rng([settings.seed, 6, self.day])
        n = len(self.of_day.author)
        coarse = self._types[self.of_day.author] % len(CATEGORIES)
        wrong = rng.random(n) < CATEGORY_WRONG
        coarse = np.where(wrong, rng.integers(len(CATEGORIES), size=n), coarse)
        missing = rng.random(n) < CATEGORY_MISSING
        return pl.DataFrame(
            {
                "room_id": self.room_ids,
                "author_id": self.author_ids,
                "start": self.midnight + self.of_day.start,
                "end": self.midnight + self.of_day.end,
                "category": pl.Series(CATEGORIES[coarse]).set(pl.Series(missing), None),
            }
        )

    def segments(self, features: Features) -> pl.DataFrame:
        """The segments with one array column per modality, null if missing."""
        room, window = self._segment_places()
        start = self.midnight + self.of_day.start[room] + window * SEGMENT_MS
        frame = pl.DataFrame(
            {
                "room_id": self.room_ids[room],
                "author_id": self.author_ids[room],
                "start": start,
                "end": start + SEGMENT_MS,
                **features.values,
            }
        )
        return frame.with_columns(
            pl.when(pl.lit(pl.Series(present))).then(pl.col(modality)).alias(modality)
            for modality, present in features.present.items()
        )

    def planted_segments(self) -> pl.DataFrame:
        """Events of each segment (bit e for event e) and whether it is a highlight."""
        room, window = self._segment_places()
        return pl.DataFrame(
            {
                "room_id": self.room_ids[room],
                "window": window.astype(np.int32),
                "events": (self.of_day.events @ (1 << np.arange(EVENTS))).astype(np.uint16),
                "highlight": self.of_day.highlight,
            }
        )

    def visits(self, visits: Visits) -> pl.DataFrame:
        return self._places(visits, np.arange(len(visits.user))).with_columns(
            pl.Series("enter", self.midnight + visits.enter), pl.Series("exit", self.midnight + visits.exit)
        )

    def happenings(self, visits: Visits, visit: np.ndarray, moment: np.ndarray) -> pl.DataFrame:
        """User, author, room and `time` of events at `moment` (n,), ms since midnight, in the visits (n,)."""
        return self._places(visits, visit).with_columns(pl.Series("time", self.midnight + moment))

    def truth(self, visits: Visits, visit: np.ndarray, window: np.ndarray, p: np.ndarray) -> pl.DataFrame:
        """Probabilities `p` (n,) of a gift in windows (n,) of visits (n,), one row per user and window."""
        frame = pl.DataFrame(
            {
                "room_id": self.room_ids[visits.room[visit]],
                "window": window.astype(np.int32),
                "user_id": self.user_ids[visits.user[visit]],
                "p": p.astype(np.float32),
            }
        )
        return frame.unique(["room_id", "window", "user_id"], maintain_order=True)

    def _places(self, visits: Visits, rows: np.ndarray) -> pl.DataFrame:
        room = visits.room[rows]
        return pl.DataFrame(
            {
                "user_id": self.user_ids[visits.user[rows]],
                "author_id": self.author_ids[room],
                "room_id": self.room_ids[room],
            }
        )

    def _segment_places(self) -> tuple[np.ndarray, np.ndarray]:
        rooms = self.of_day
        room = np.repeat(np.arange(len(rooms.author)), rooms.segments)
        return room, np.arange(len(room)) - rooms.first[room]


def write_planted(folder: Path, settings: LiveSimSettings, world: World) -> None:
    """Writes `settings.json`, `authors.parquet` and `users.parquet` into `planted` in the folder."""
    folder = folder / PLANTED
    folder.mkdir(exist_ok=True)
    stated = {"version": settings.version, **asdict(settings)}
    (folder / "settings.json").write_text(json.dumps(stated, indent=2) + "\n", encoding="utf-8")
    authors, users = world.authors, world.users
    pl.DataFrame(
        {
            "author_id": [f"a{author}" for author in range(settings.authors)],
            "type": authors.type,
            "circle": authors.circle,
            "first_day": authors.first_day,
            "own": authors.own,
            "rule": (authors.rules @ (1 << np.arange(EVENTS))).astype(np.uint16),
            "appeal": authors.appeal,
            "picture": authors.picture,
            "speech": authors.speech,
        }
    ).write_parquet(folder / "authors.parquet")
    pl.DataFrame(
        {
            "user_id": [f"u{user}" for user in range(settings.users)],
            "circle": users.circle,
            "tastes": users.tastes.astype(np.float32),
            "favourites": [[f"a{author}" for author in row if author >= 0] for row in users.favourites],
            "generosity": users.generosity,
            "reaction": users.reaction,
            "talk": users.talk,
            "wealth": users.wealth,
        }
    ).write_parquet(folder / "users.parquet")
