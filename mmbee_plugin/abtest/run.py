"""Runs a test: worlds, starts, then day by day all arms and seeds, in a pool of processes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from mmbee_plugin.abtest.arms import MODEL
from mmbee_plugin.abtest.day import arm_day, make_start, make_world, quiet_days
from mmbee_plugin.abtest.measures import Observed
from mmbee_plugin.abtest.plan import Plan
from mmbee_plugin.experiments.cells import Cell, Job
from mmbee_plugin.experiments.pool import Task, make_cells, missing_jobs, run_tasks
from mmbee_plugin.experiments.progress import cell_bar


def run(plan: Plan, seeds: Sequence[int], processes: int) -> dict[str, list[list[Cell]]]:
    """The cells of each arm, by seed and day; those that are missing are made, with a progress bar.

    Raises:
        InputError: as `run_tasks`.
    """
    store, days = plan.cells, _jobs(plan, seeds)
    missing = {day: missing_jobs(jobs, store) for day, jobs in days.items()}
    tasks = _tasks(plan, seeds) if any(missing.values()) else []
    to_make = len(tasks) + sum(map(len, missing.values()))
    finished = sum(map(len, days.values())) - sum(map(len, missing.values()))
    cells: dict[tuple[int, int, int], Cell] = {}
    with cell_bar(to_make, finished, processes, "days of arms, worlds and first models") as show:
        for stage in (make_world, make_start):
            run_tasks([task for task in tasks if task.work is stage], processes, show)
        for jobs in days.values():
            made = make_cells(jobs, store, processes, show)
            cells |= {job.arguments[1:]: cell for job, cell in zip(jobs, made, strict=True)}
    return {
        arm.name: [[cells[number, seed, day] for day in plan.tested] for seed in seeds]
        for number, arm in enumerate(plan.arms)
    }


def observed(
    plan: Plan, seeds: Sequence[int], cells: Mapping[str, Sequence[Sequence[Cell]]], processes: int
) -> dict[str, list[Observed]]:
    """What each arm's users did, by seed."""
    store = plan.cells
    jobs = [
        Job(
            f"quiet days, seed {seed}",
            {**plan.world_key(seed), "quiet": [*plan.tested]},
            quiet_days,
            (plan, seed),
        )
        for seed in seeds
    ]
    missing = len(missing_jobs(jobs, store))
    with cell_bar(missing, len(jobs) - missing, processes, "worlds without lists") as show:
        quiet = [cell.arrays["quiet"] for cell in make_cells(jobs, store, processes, show)]
    return {
        name: [
            Observed(
                gifts=np.stack([cell.arrays["gifts"] for cell in of_seed], axis=1),
                visits=np.stack([cell.arrays["visits"] for cell in of_seed], axis=1),
                quiet=quiet[place][of_seed[0].arrays["users"]],
            )
            for place, of_seed in enumerate(of_arm)
        ]
        for name, of_arm in cells.items()
    }


def _jobs(plan: Plan, seeds: Sequence[int]) -> dict[int, list[Job]]:
    """day -> one job for each arm and seed, the slow arms first."""
    slow_first = sorted(enumerate(plan.arms), key=lambda each: each[1].ranks != MODEL)
    return {
        day: [
            Job(
                f"{arm.name}, seed {seed}, day {day + 1}",
                {**plan.arm_key(number, seed), "day": day},
                arm_day,
                (plan, number, seed, day),
            )
            for number, arm in slow_first
            for seed in seeds
        ]
        for day in plan.tested
    }


def _tasks(plan: Plan, seeds: Sequence[int]) -> list[Task]:
    """Worlds and first models that are missing."""
    found: dict[Any, Task] = {}
    for seed in seeds:
        world = plan.place("worlds", plan.world_key(seed))
        found[world] = Task(f"world, seed {seed}", make_world, (plan, seed))
    for arm in plan.arms:
        for seed in seeds if arm.ranks == MODEL else ():
            start = plan.place("starts", plan.start_key(arm, seed))
            task = Task(f"{arm.name}'s first model, seed {seed}", make_start, (plan, arm, seed))
            found.setdefault(start, task)
    return [task for place, task in found.items() if not place.exists()]
