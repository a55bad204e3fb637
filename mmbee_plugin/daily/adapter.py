"""What the loop asks of an adapter: the settings a model is made with, its training, and the source of its bundle."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from mmbee_plugin.data.folder import DatasetFolder
from mmbee_plugin.serving.bundle.source import Source

START, NODES = "start.pt", "nodes.npz"
"""Files that a training leaves for the next: the model with its optimizers' state, as an exchange file, and the node
vectors by token, if it had any."""


@dataclass(frozen=True)
class Start:
    """What training goes on from."""

    folder: Path
    """of a training that has ended"""
    days: int
    """days since its cut, whose rows are trained on"""


class Adapter(Protocol):
    """A library that trains the model."""

    name: str

    def settings(self, samples: DatasetFolder) -> dict[str, Any]:
        """All settings that a model shares with the one it goes on from, as plain values. Raises InputError."""
        ...

    def train(
        self, samples: DatasetFolder, start: Start | None, folder: Path, show: Callable[[str], None]
    ) -> Source:
        """Trains on samples, or goes on with a training that was killed in this folder.

        Leaves :data:`START` and :data:`NODES`, from which the next day goes on.

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
