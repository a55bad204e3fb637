"""Small tests in busy worlds, run in this process."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

pytest.importorskip("recbole", reason="RecBole is not installed")
pytest.importorskip("safetensors", reason="the serve extra is not installed")

from mmbee_plugin.abtest import run as running
from mmbee_plugin.abtest.arms import PLANTED, RANDOM, Arm, again
from mmbee_plugin.abtest.measures import Observed
from mmbee_plugin.abtest.plan import Plan
from mmbee_plugin.experiments.cells import Cell, CellStore, Job
from mmbee_plugin.experiments.pool import Task, missing_jobs
from mmbee_plugin.experiments.sheet import BEST
from mmbee_plugin.livesim.choice import ChoiceSettings
from mmbee_plugin.livesim.settings import LiveSimSettings

UNTRAINED = (Arm(RANDOM, RANDOM), Arm(again(RANDOM), RANDOM), Arm(BEST, PLANTED))
"""arms without a model"""


class Busy(Plan):
    """A test in a world with many rooms on air and many gifts."""

    def world(self, seed: int) -> LiveSimSettings:
        return replace(super().world(seed), on_air=1.0, room_hours=6.0, density=6.0)


def make_cells(jobs: Sequence[Job], store: CellStore, processes: int, show: object) -> list[Cell]:
    for job in missing_jobs(jobs, store):
        store.put(job.key, job.work(*job.arguments))
    return [cell for job in jobs if (cell := store.get(job.key)) is not None]


def run_tasks(tasks: Sequence[Task], processes: int, show: object) -> None:
    for task in tasks:
        task.work(*task.arguments)


@pytest.fixture
def here(monkeypatch: pytest.MonkeyPatch) -> None:
    """No processes but this one."""
    monkeypatch.setattr(running, "make_cells", make_cells)
    monkeypatch.setattr(running, "run_tasks", run_tasks)


@pytest.fixture
def plan(tmp_path: Path) -> Plan:
    """Of arms that are not trained."""
    return Busy(UNTRAINED, 300, 60, burn_in=2, days=2, choice=ChoiceSettings(), given={}, folder=tmp_path)


@pytest.fixture
def seen(here: None) -> Callable[[Plan, Sequence[int]], dict[str, list[Observed]]]:
    """Runs a plan with these seeds."""

    def run(plan: Plan, seeds: Sequence[int]) -> dict[str, list[Observed]]:
        return running.observed(plan, seeds, running.run(plan, seeds, 1), 1)

    return run
