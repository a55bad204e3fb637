"""An arm's logs: the platform's burn-in, then the events of the arm's own users, day by day.

Parts of tables that are of all arms alike are hard links to the platform's.
"""

from __future__ import annotations

import json
import os
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import polars as pl

from mmbee_plugin.abtest.platform import LiveDay, Platform
from mmbee_plugin.files import replaced, write_json
from mmbee_plugin.livesim import choice
from mmbee_plugin.livesim.outcomes import FEEDBACK, Outcomes, truth_of
from mmbee_plugin.livesim.prices import draw_prices
from mmbee_plugin.livesim.record import Day
from mmbee_plugin.livesim.settings import DAY_MS, FIRST_DAY_MS, FRAMES, VERSION
from mmbee_plugin.livesim.visits import Visits
from mmbee_plugin.logs.writer import INFO_FILE, LogInfo

DAILY = {"rooms": 1, "segments": 1, "visits": 1, "truth": 1, "feedback": len(FEEDBACK)}
"""table of a simulated log -> parts that a day has, in the order of the days"""


class ArmLogs:
    """The log folder of one arm.

    Args:
        folder: created by `start`.
    """

    def __init__(self, folder: Path, platform: Platform) -> None:
        self.folder, self.platform = folder, platform

    def days(self) -> int:
        """Number of whole days in it, from the first."""
        file = self.folder / INFO_FILE
        if not file.exists():
            return 0
        last = datetime.fromisoformat(json.loads(file.read_text(encoding="utf-8"))["days"][-1])
        return (last.replace(tzinfo=UTC) - _date(0)).days + 1

    def start(self, burn_in: int) -> None:
        """Takes the first days of the platform's log, of all users."""
        source = self.platform.log
        for table in ("users", "authors"):
            for path in sorted((source / table).glob("*.parquet")):
                self._link(path, table)
        for table in DAILY:
            for day in range(burn_in):
                self._link_day(table, day)
        (self.folder / "gifts").mkdir(exist_ok=True)
        before = FIRST_DAY_MS + burn_in * DAY_MS
        gifts = pl.scan_parquet(source / "gifts" / "*.parquet").filter(pl.col("time") < before)
        self._write("gifts", 0, gifts.collect())
        self._finish(burn_in - 1)

    def add(self, day: LiveDay, visits: Visits, outcomes: Outcomes, stream: int) -> None:
        """Adds a day of the arm's users; written again, it is the same.

        Args:
            stream: number of the random stream of the gifts' prices.
        """
        platform, number = self.platform, day.number
        tables = Day(platform.world, day.rooms, number)
        for table in ("rooms", "segments"):
            self._link_day(table, number)
        self._write("visits", number, tables.visits(visits))
        self._write("truth", number, truth_of(tables, visits, outcomes))
        for place, feedback in enumerate(outcomes.feedback):
            self._write("feedback", number * len(FEEDBACK) + place, feedback)
        visit = outcomes.windows.visit[outcomes.given]
        if len(visit):
            rng = np.random.default_rng([platform.settings.seed, 8, number, stream])
            author = day.rooms.author[visits.room[visit]]
            amount = draw_prices(rng, platform.settings, platform.world, visits.user[visit], author)
            self._write("gifts", number, outcomes.gifts.with_columns(pl.Series("amount", amount)))
        self._finish(number)

    def cut(self, days: int) -> None:
        """Removes all but the first days."""
        if self.days() > days:
            self._finish(days - 1)
        for table, parts in {**DAILY, "gifts": 1}.items():
            for path in (self.folder / table).glob("part-*.parquet"):
                if int(path.stem.removeprefix("part-")) >= days * parts:
                    path.unlink()

    def _link_day(self, table: str, day: int) -> None:
        parts = DAILY[table]
        for part in range(day * parts, (day + 1) * parts):
            self._link(self.platform.log / table / f"part-{part:05}.parquet", table)

    def _link(self, path: Path, table: str) -> None:
        place = self.folder / table / path.name
        place.parent.mkdir(parents=True, exist_ok=True)
        if not place.exists():
            os.link(path, place)

    def _write(self, table: str, part: int, frame: pl.DataFrame) -> None:
        with replaced(self.folder / table / f"part-{part:05}.parquet", "wb") as file:
            frame.write_parquet(file)

    def _finish(self, day: int) -> None:
        """Makes the days up to one count, by the file that names them."""
        seed = self.platform.settings.seed
        info = LogInfo(
            name="livesim",  # the dataset, for its settings
            kind="simulated",
            source=f"mmbee abtest: {VERSION}, {choice.VERSION}, seed {seed}",
            version=f"{VERSION}, {choice.VERSION}",
            frames={"visual": FRAMES},
            days=[f"{_date(each):%Y-%m-%d}" for each in (0, day)],
        )
        write_json(self.folder / INFO_FILE, asdict(info))


def _date(day: int) -> datetime:
    return datetime.fromtimestamp(FIRST_DAY_MS / 1_000, UTC) + timedelta(days=day)
