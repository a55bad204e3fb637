"""What the loop asks of an adapter: settings, a training and what it can go on from, the source of a bundle."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from mmbee_plugin.daily.settings import DailySettings
from mmbee_plugin.data.folder import DatasetFolder
from mmbee_plugin.data.folds import DAY
from mmbee_plugin.errors import InputError
from mmbee_plugin.serving.bundle.source import Source

NODES = "nodes.npz"
"""File that a training leaves for the next: the node vectors by token, if it had any."""


@dataclass(frozen=True)
class Start:
    """What training goes on from."""

    folder: Path
    """of a training that has ended"""
    days: int
    """days since its cut, whose rows are trained on"""
    snapshot: Path | None = None
    """its graph, from which the day's is refreshed; None: all lists are new"""


class Adapter(Protocol):
    """A library that trains the model."""

    name: str

    def settings(self, samples: DatasetFolder) -> dict[str, Any]:
        """All settings that decide what a training comes to, as plain values by name. Raises InputError."""
        ...

    def unfit(self, folder: Path, before: Mapping[str, Any], now: Mapping[str, Any]) -> str | None:
        """Why a day cannot go on from a training; None if it can.

        Args:
            folder: of the training.
            before, now: its settings and the day's.

        Returns:
            words that follow the name of the training's day, such as "was trained with width=8, now it is 16".
        """
        ...

    def train(
        self, samples: DatasetFolder, start: Start | None, folder: Path, show: Callable[[str], None]
    ) -> Source:
        """Trains on samples, or goes on with a training that was killed in this folder.

        Leaves in the folder what the next day goes on from.

        Args:
            start: None trains from nothing, on all rows.
            folder: of this training alone.
            show: called with a line now and then.

        Raises:
            InputError: samples or settings that cannot be trained on, a folder that cannot be written.
        """
        ...

    def source(self, samples: DatasetFolder, folder: Path) -> Source:
        """The model that was trained in a folder. Raises InputError."""
        ...


def differing(before: Mapping[str, Any], now: Mapping[str, Any]) -> str | None:
    """The first setting by which two trainings differ, in words as of :meth:`Adapter.unfit`; None if there is none."""
    for name in sorted(before.keys() | now.keys()):
        if before.get(name) != now.get(name):
            return f"was trained with {name}={before.get(name)!r}, now it is {now.get(name)!r}"
    return None


def refreshed(start: Start | None, settings: DailySettings) -> dict[str, Any]:
    """Entries of the graph's settings by which a day's graph is refreshed; none if its lists are all new."""
    if start is None or start.snapshot is None:
        return {}
    return {"refresh_from": str(start.snapshot.absolute()), "refresh_limit": settings.refresh_limit}


def folds_of(samples: DatasetFolder, start: Start | None) -> int:
    """Folds of a day's graph: one for each day that is trained on, and one for those before."""
    if start is not None:
        return max(2, start.days + 1)
    times = samples.interactions("train").timestamps
    assert times is not None  # samples of logs have time
    return max(2, int((float(times.max()) - samples.origin) // DAY) + 1)


def refuse_decided(given: Mapping[str, Any], decided: Mapping[str, str]) -> None:
    """Raises InputError for a given setting that the loop decides, except graph.folds=0.

    Args:
        decided: name, which may be section.name -> what decides it.
    """
    for name, decides in decided.items():
        section, _, entry = name.rpartition(".")
        among = (given.get(section) or {}) if section else given
        if entry in among and not (name == "graph.folds" and among[entry] == 0):
            raise InputError(
                f"{name}={among[entry]!r}: in the daily loop it is up to {decides}; leave it out"
            )
