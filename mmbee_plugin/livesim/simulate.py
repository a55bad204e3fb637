"""Runs the simulator and writes a log folder of live gifting with planted truth."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

from mmbee_plugin.errors import InputError
from mmbee_plugin.livesim.report import KUAILIVE, Oracle, gift_statistics
from mmbee_plugin.livesim.settings import FRAMES, LiveSimSettings
from mmbee_plugin.livesim.worlds import run_of
from mmbee_plugin.logs.folder import PLANTED
from mmbee_plugin.logs.writer import LogInfo, writing


@dataclass(frozen=True)
class Simulation:
    """Summary of a simulation.

    Attributes:
        counts: rows of the tables, and gifts of the last day.
        statistics: gift statistics by name, see `report.KUAILIVE`.
        oracle: metrics of the planted truth on the last day's samples; None if no user has both labels.
        bases: base log-odds in a window of a gift, a comment and a like.
        causes: what the causes that livesim 1 lacks come to on the last day, by name.
    """

    counts: dict[str, int]
    statistics: dict[str, float]
    oracle: Oracle | None
    bases: dict[str, float]
    causes: dict[str, float]


def simulate(
    folder: Path,
    settings: LiveSimSettings,
    *,
    force: bool = False,
    progress: Callable[[str, int, int], None] | None = None,
) -> Simulation:
    """Simulates a log and writes the log folder `folder`; equal settings give equal logs.

    A first pass over the days draws rooms and visits; a second one, once the base log-odds are known, gifts and
    feedback.

    Args:
        settings: of a world of `worlds.WORLDS`.
        force: replace a log that is no sample.
        progress: called with the current step, the steps done and the number of steps.

    Raises:
        InputError: as `logs.writer.writing`, or no gift was drawn.
    """
    info = LogInfo(
        name=folder.name,
        kind="simulated",
        source=f"mmbee data simulate: {settings.version}, seed {settings.seed}",
        version=settings.version,
        frames={"visual": FRAMES},
    )
    steps = 2 * settings.days
    with writing(folder, info, force=force) as log:
        run = run_of(log, settings)
        for day in range(settings.days):
            if progress is not None:
                progress(f"day {day + 1}: rooms, content, visits", day, steps)
            run.open_day(day)
        run.find_bases()
        for day in range(settings.days):
            if progress is not None:
                progress(f"day {day + 1}: gifts, feedback", settings.days + day, steps)
            run.live_day(day)
        run.close()
        if not run.counts["gifts"]:
            raise InputError(f"{folder}: nobody gave anything; simulate more users, days or a higher density")
        simulation = Simulation(run.counts, gift_statistics(log.folder), run.oracle, run.bases, run.causes)
        report = {**asdict(simulation), "kuailive": KUAILIVE}
        path = log.folder / PLANTED / "report.json"
        path.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    return simulation
