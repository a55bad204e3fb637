"""What the loop asks of an adapter: the settings a model is made with, its training, and the source of its bundle."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from mmbee_plugin.data.folder import DatasetFolder
from mmbee_plugin.serving.bundle.source import Source


@dataclass(frozen=True)
class Start:
    """What training goes on from."""

    model: Path
    """exchange file with optimizer state"""
    nodes: Path
    """node vectors by token"""
    days: int
    """days since its cut, whose rows are trained on"""


class Adapter(Protocol):
    """A library that trains the model."""

    name: str

    def settings(self, samples: DatasetFolder) -> dict[str, Any]:
        """All settings that a model shares with the one it goes on from, as plain values. Raises InputError."""
        ...

    def train(self, samples: DatasetFolder, start: Start | None, folder: Path) -> Source:
        """Trains on samples, or goes on with a training that was killed in this folder.

        Writes ``start.pt`` and ``nodes.npz``, from which the next day goes on, when training has ended.

        Args:
            start: None trains from nothing, on all rows.
            folder: of this training alone.
        """
        ...

    def source(self, samples: DatasetFolder, folder: Path) -> Source:
        """The model that was trained in a folder. Raises InputError."""
        ...
