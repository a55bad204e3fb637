"""The demo's folder, and what its data and its model are made with."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mmbee_plugin.data.live import ENDED
from mmbee_plugin.livesim.settings import LiveSimSettings
from mmbee_plugin.logs.settings import SampleSettings

SIMULATION = LiveSimSettings(users=800, authors=80, days=6, density=4.0, seed=0)
SAMPLES = SampleSettings(train_days=5, train_negatives=0.3, test_negatives=0.5, seed=0, segments_known=ENDED)
"""of six days the last is the test part, the one before validation; rows see what the board has at their moment"""
SETTINGS: dict[str, Any] = {"epochs": 5, "learning_rate": 0.003, "gpu_id": "", "use_gpu": False}
"""settings of the run that differ from those of simulated streams; the rate is from the validation part"""
SEED = 2020


@dataclass(frozen=True)
class Demo:
    """The folder of a demo."""

    folder: Path

    @property
    def data(self) -> Path:
        return self.folder / "datasets" / "demo"

    @property
    def checkpoint(self) -> Path:
        return self.folder / "MMBee-demo.pth"

    @property
    def bundles(self) -> Path:
        return self.folder / "bundles"

    @property
    def pages(self) -> Path:
        return self.folder / "pages"

    @property
    def card(self) -> Path:
        """The model card, in Markdown, beside the bundles."""
        return self.folder / "model-card.md"

    @property
    def mark(self) -> Path:
        """What the folder was made by."""
        return self.folder / "demo.json"
