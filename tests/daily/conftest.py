"""A small simulated log, the loop over its days, and days of planted chances as bundles would answer them."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("recbole", reason="RecBole is not installed")
pytest.importorskip("safetensors", reason="the serve extra is not installed")

from mmbee_plugin.daily.gate import GateSettings
from mmbee_plugin.daily.loop import run_day
from mmbee_plugin.daily.outcome import DayOutcome
from mmbee_plugin.daily.settings import DailySettings
from mmbee_plugin.livesim.settings import LiveSimSettings
from mmbee_plugin.livesim.simulate import simulate
from mmbee_plugin.serving.replay import Replayed

OPEN = GateSettings(
    gauc_drop=1, log_loss_rise=9, calibration=99, coverage_drop=1, norm_drift=99, direction=-1, psi=99
)
"""limits that models which saw a few hundred rows keep to"""
SMALL = {"embedding_size": 8, "graph": {"reach_top_k": 10}}
"""settings of a model that trains in a second"""


DAY, HOUR = 86_400.0, 3600.0
TRAINED = 0.1


@pytest.fixture(scope="session")
def log(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("log") / "livesim"
    simulate(folder, LiveSimSettings(users=250, authors=40, days=4, seed=1, density=2.0))
    return folder


@pytest.fixture(scope="session")
def settings() -> DailySettings:
    return DailySettings(window_days=3, cold_epochs=2, gate=OPEN)


@pytest.fixture(scope="session")
def small() -> dict[str, Any]:
    """Settings of a model that trains in a second."""
    return SMALL


@pytest.fixture
def run(
    log: Path, settings: DailySettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., DayOutcome]:
    """``run(number, **more)``: a day into ``tmp_path / "bundles"``, as of `run_day`."""
    monkeypatch.setattr("mmbee_plugin.serving.bundle.golden.REQUESTS", 5)

    def day(number: int, **more: object) -> DayOutcome:
        return run_day(
            log, tmp_path / "bundles", str(number), **{"settings": settings, "given": SMALL, **more}
        )

    return day


class Ended(BaseException):
    """Stands for the end of the process."""


@pytest.fixture
def until_done(monkeypatch: pytest.MonkeyPatch) -> Callable[..., tuple[list[DayOutcome], int]]:
    """``until_done(run, numbers, renames=3)``: the outcomes of days whose process is ended around one of its next
    renames, and how often it was."""

    def ending(number: int, before: bool) -> Callable[..., None]:
        """os.replace, which ends the process at its call of this number, from 1: before the rename, or after it."""
        rename, left = os.replace, number

        def replace(*arguments: Any) -> None:
            nonlocal left
            left -= 1
            if not left and before:
                raise Ended
            rename(*arguments)
            if not left:
                raise Ended

        return replace

    def until(
        run: Callable[[int], DayOutcome], numbers: list[int], renames: int = 3
    ) -> tuple[list[DayOutcome], int]:
        found: list[DayOutcome] = []
        ends = 0
        for number in numbers:
            for attempt in range(1, 100):
                with monkeypatch.context() as patched:
                    patched.setattr("os.replace", ending(1 + attempt % renames, before=attempt % 2 == 0))
                    try:
                        found.append(run(number))
                        break
                    except Ended:
                        ends += 1
        assert len(found) == len(numbers)
        return found, ends

    return until


@pytest.fixture(scope="session")
def planted_day() -> Callable[..., Replayed]:
    return _planted_day


@pytest.fixture(scope="session")
def with_logits() -> Callable[..., Replayed]:
    return _with_logits


def _planted_day(
    day: int,
    seed: int = 0,
    rows: int = 12_000,
    users: int = 800,
    share: float = 0.25,
    gifts: float = 1.0,
    **shift: Any,
) -> Replayed:
    """A day that a nearly perfect model answers.

    Args:
        gifts: factor on the odds of a gift, which the model does not know.
        shift: ``hours`` (first, last) to which the factor is limited; ``taste`` added to the logits of all users, which
            the model does know.
    """
    rng = np.random.default_rng([seed, day])
    generosity = np.random.default_rng(seed).normal(0, 0.8, users)
    user, times = rng.integers(0, users, 4 * rows), np.sort(rng.uniform(0, DAY, 4 * rows))
    known = generosity[user] + rng.normal(0, 1.0, 4 * rows) - 3.5 + shift.get("taste", 0.0)
    first, last = shift.get("hours", (0, 24))
    inside = (times >= first * HOUR) & (times < last * HOUR)
    chance = 1 / (1 + np.exp(-(known + np.where(inside, np.log(gifts), 0))))
    label = rng.random(4 * rows) < chance
    kept = label | (rng.random(4 * rows) < share)
    noisy = known - np.log(TRAINED) + rng.normal(0, 0.1, 4 * rows)
    count = int(kept.sum())
    true = {"missing": {"unknown author": np.zeros(count, bool)}, "flags": {}}
    return Replayed(
        bundle=f"bundle of day {day - 1}",
        trained_share=TRAINED,
        tasks=("gift",),
        users=np.array([f"u{one}" for one in user[kept]]),
        authors=np.array([f"a{one}" for one in rng.integers(0, 50, count)]),
        times=day * DAY + times[kept],
        weights=np.where(label[kept], 1.0, 1 / share),
        labels=label[kept, None].astype(np.int8),
        logits=noisy[kept, None].astype(np.float32),
        covered={"user": np.ones(count, bool), "user's neighbours": rng.random(count) < 0.8},
        **true,
    )


def _with_logits(replayed: Replayed, change: Any, bundle: str = "candidate") -> Replayed:
    """The same rows with other logits: ``change`` of the array (n, 1)."""
    return replace(replayed, bundle=bundle, logits=np.asarray(change(replayed.logits), dtype=np.float32))
