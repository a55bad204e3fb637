"""What a test consists of, and where it keeps what it has done."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from mmbee_plugin.abtest.arms import MODEL, Arm
from mmbee_plugin.daily.settings import DailySettings
from mmbee_plugin.experiments.cells import CellStore
from mmbee_plugin.experiments.code import code_digest
from mmbee_plugin.experiments.rows import over
from mmbee_plugin.experiments.training import state_of_the_code
from mmbee_plugin.livesim import choice, settings
from mmbee_plugin.livesim.choice import ChoiceSettings
from mmbee_plugin.livesim.settings import LiveSimSettings

KIND = "abtest 1"
"""version of the cells' content, part of their key"""
NEGATIVES = 0.09
"""share of the visits without a gift that are trained on, as in the dataset livesim"""


@dataclass(frozen=True)
class Plan:
    """A test.

    Attributes:
        arms: see `arms_of`.
        burn_in, days: of the world, without lists; of the test.
        given: settings of all models, over the dataset's.
        folder: where worlds, arms and finished days are kept.
        http: whether bundles are asked over HTTP.
    """

    arms: tuple[Arm, ...]
    users: int
    authors: int
    burn_in: int
    days: int
    choice: ChoiceSettings
    given: Mapping[str, Any]
    folder: Path
    http: bool = False

    @property
    def tested(self) -> range:
        """The days of the test, from the world's first."""
        return range(self.burn_in, self.burn_in + self.days)

    @property
    def cells(self) -> CellStore:
        """The finished days."""
        return CellStore(self.folder / "cells")

    def world(self, seed: int) -> LiveSimSettings:
        """Settings of the simulation: newcomers arrive until the last day of the test."""
        days = self.burn_in + self.days
        return LiveSimSettings(users=self.users, authors=self.authors, days=days, seed=seed)

    def model(self, arm: Arm) -> dict[str, Any]:
        """Settings of an arm's model, over the dataset's."""
        return over(self.given, arm.settings)

    def daily(self, seed: int) -> DailySettings:
        """Settings of the daily loop."""
        return DailySettings(negative_rate=NEGATIVES, keep_days=2, seed=seed)

    def world_key(self, seed: int) -> dict[str, Any]:
        """What the world depends on."""
        return {"kind": KIND, "livesim": settings.VERSION, "world": asdict(self.world(seed))}

    def start_key(self, arm: Arm, seed: int) -> dict[str, Any]:
        """What the model that an arm starts with depends on."""
        return {
            **self.world_key(seed),
            "burn_in": self.burn_in,
            "model": self.model(arm),
            "daily": self.daily(seed).model_dump(mode="json"),
            "code": code(),
        }

    def arm_key(self, number: int, seed: int) -> dict[str, Any]:
        """What the days of an arm depend on, besides their number."""
        arm = self.arms[number]
        own = self.start_key(arm, seed) if arm.ranks == MODEL else self.world_key(seed)
        return {
            **own,
            "code": code(),
            "burn_in": self.burn_in,
            "ranks": arm.ranks,
            "number": [number, len(self.arms)],
            "choice": [choice.VERSION, asdict(self.choice)],
        }

    def place(self, kind: str, key: Mapping[str, Any]) -> Path:
        """Folder of a world, start or arm, named by its key."""
        return self.folder / kind / self.cells.file(key).stem


def code() -> dict[str, str]:
    """The code that a day of a model runs, the simulator's included, and its libraries."""
    return state_of_the_code("MMBee") | {"day": code_digest("mmbee_plugin.abtest.day", whole=True)}
