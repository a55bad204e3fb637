"""A day of one arm: a bundle from the logs so far, lists for the arm's users, their visits and gifts, new logs.

New logs are the last effect of a day, so one that was killed is done again from the same state.
"""

from __future__ import annotations

import os
import shutil
import time
from pathlib import Path
from typing import Any

import numpy as np

from mmbee_plugin.abtest.arms import MODEL, Arm, assigned
from mmbee_plugin.abtest.logs import ArmLogs
from mmbee_plugin.abtest.plan import Plan
from mmbee_plugin.abtest.platform import Platform, quiet_gifts
from mmbee_plugin.abtest.rankers import ranker_of, shown_rooms
from mmbee_plugin.daily.loop import run_day
from mmbee_plugin.experiments.cells import Cell
from mmbee_plugin.files import discard, published
from mmbee_plugin.livesim.simulate import simulate
from mmbee_plugin.serving.bundle.shelf import Shelf


def make_world(plan: Plan, seed: int) -> None:
    """Simulates all days without lists, unless that is done."""
    if not _log(plan, seed).exists():
        _log(plan, seed).parent.mkdir(parents=True, exist_ok=True)
        simulate(_log(plan, seed), plan.world(seed))


def make_start(plan: Plan, arm: Arm, seed: int) -> None:
    """Trains the model that an arm starts with on the burn-in, unless that is done; arms of equal settings share it."""
    folder = plan.place("starts", plan.start_key(arm, seed))
    if not folder.exists():
        folder.parent.mkdir(parents=True, exist_ok=True)
        with published(folder) as beside:
            ArmLogs(beside / "logs", platform_of(plan, seed)).start(plan.burn_in)
            _learn(plan, arm, seed, beside, plan.burn_in - 1)


def arm_day(plan: Plan, number: int, seed: int, day: int) -> Cell:
    """Runs a day of an arm, the plan's ``number``-th, after the days before it if their logs are gone.

    Returns:
        arrays: ``users`` (n,) of the arm, and ``visits`` and ``gifts`` of each.
        facts: what the daily loop learnt from the day before (after the first day), number of lists, CPU seconds.
    """
    begun = time.process_time()
    arm, platform = plan.arms[number], platform_of(plan, seed)
    folder = plan.place("arms", plan.arm_key(number, seed))
    logs = _logs_until(plan, number, seed, day)
    facts: dict[str, Any] = {}
    if arm.ranks == MODEL and day > plan.burn_in:
        facts["learnt"] = _learn(plan, arm, seed, folder, day - 1)
    learnt = time.process_time()
    today = platform.day(day)
    own = assigned(platform.user_ids, seed, len(plan.arms)) == number
    with ranker_of(arm, number, folder / "bundles", platform, today, plan.http) as ranker:
        shown = shown_rooms(ranker, today, own[today.arrivals.user] & today.looks, plan.choice.length)
    ranked = time.process_time()
    visits = platform.visits(today, shown, own)
    outcomes = platform.outcomes(today, visits, number)
    logs.add(today, visits, outcomes, number)
    facts["lists"] = int((shown[:, 0] >= 0).sum())
    facts["cpu_seconds"] = {
        "learning": round(learnt - begun, 3),
        "ranking": round(ranked - learnt, 3),
        "outcomes": round(time.process_time() - ranked, 3),
    }
    users = np.flatnonzero(own)
    givers = visits.user[outcomes.windows.visit[outcomes.given]]
    counted = {"visits": visits.user, "gifts": givers}
    arrays = {name: np.bincount(each, minlength=plan.users)[users] for name, each in counted.items()}
    return Cell({"users": users, **arrays}, facts)


def quiet_days(plan: Plan, seed: int) -> Cell:
    """``quiet`` (users, 2): see `quiet_gifts`."""
    return Cell({"quiet": quiet_gifts(platform_of(plan, seed), plan.tested)})


def _logs_until(plan: Plan, number: int, seed: int, day: int) -> ArmLogs:
    """The arm's logs with the days before ``day`` and no later ones."""
    arm, platform = plan.arms[number], platform_of(plan, seed)
    folder = plan.place("arms", plan.arm_key(number, seed))
    logs = ArmLogs(folder / "logs", platform)
    if logs.days() > day + 1:  # a finished day was deleted: later bundles may not rank it
        discard(folder)
    if not logs.days():
        folder.parent.mkdir(parents=True, exist_ok=True)
        with published(folder) as beside:
            if arm.ranks == MODEL:
                start = plan.place("starts", plan.start_key(arm, seed))
                shutil.copytree(start, beside, copy_function=_placed, dirs_exist_ok=True)
            else:
                ArmLogs(beside / "logs", platform).start(plan.burn_in)
    for before in range(logs.days(), day):
        arm_day(plan, number, seed, before)
    logs.cut(day)
    return logs


def _learn(plan: Plan, arm: Arm, seed: int, folder: Path, day: int) -> dict[str, Any]:
    """Runs the daily loop on a day of an arm's logs."""
    outcome = run_day(
        folder / "logs",
        folder / "bundles",
        str(day + 1),
        plan.daily(seed),
        work=folder / "work",
        given=plan.model(arm),
    )
    Shelf(folder / "bundles").prune()
    return {
        "bundle": outcome.bundle,
        "published": outcome.published,
        "reason": outcome.reason,
        "cpu_seconds": dict(outcome.cpu_seconds),
    }


def _placed(source: str, target: str) -> None:
    """Links a file of the logs, which is only ever replaced; copies others."""
    (os.link if source.endswith(".parquet") else shutil.copy2)(source, target)


def platform_of(plan: Plan, seed: int) -> Platform:
    return Platform(_log(plan, seed), plan.world(seed), plan.choice)


def _log(plan: Plan, seed: int) -> Path:
    return plan.place("worlds", plan.world_key(seed)) / "livesim"
