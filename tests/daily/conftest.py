"""A small simulated log, and the loop over its days."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

pytest.importorskip("recbole", reason="RecBole is not installed")
pytest.importorskip("safetensors", reason="the serve extra is not installed")

from mmbee_plugin.daily.loop import DayOutcome, run_day
from mmbee_plugin.daily.settings import DailySettings
from mmbee_plugin.livesim.settings import LiveSimSettings
from mmbee_plugin.livesim.simulate import simulate

SMALL = {"embedding_size": 8, "graph": {"folds": 2, "fold_by": "time", "reach_top_k": 10}}
"""settings of a model that trains in a second"""


@pytest.fixture(scope="session")
def log(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("log") / "livesim"
    simulate(folder, LiveSimSettings(users=250, authors=40, days=4, seed=1, density=2.0))
    return folder


@pytest.fixture(scope="session")
def settings() -> DailySettings:
    return DailySettings(window_days=3, cold_epochs=2)


@pytest.fixture
def run(log: Path, settings: DailySettings, tmp_path: Path) -> Callable[..., DayOutcome]:
    def day(number: int, **more: object) -> DayOutcome:
        return run_day(
            log, tmp_path / "bundles", str(number), **{"settings": settings, "given": SMALL, **more}
        )

    return day
