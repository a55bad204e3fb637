"""Compares days that go on from the day before with days trained from nothing, on a simulated log:

python benchmarks/daily.py                                       # 20,000 users x 1,500 authors, 5 days
python benchmarks/daily.py --users=2000 --authors=200 --days=2   # a smaller simulation

Both sides of a day have the same samples, and are scored by the serving code on the same rows: those of the 24 hours
after the day's cut, which neither was trained on. CPU seconds are those of a day's stages, from samples to bundle; the
two sides of a day follow each other in one process.
"""

from __future__ import annotations

import argparse
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from mmbee_plugin.command import threads
from mmbee_plugin.command.yaml_settings import parse_value
from mmbee_plugin.daily.loop import run_day
from mmbee_plugin.daily.outcome import DayOutcome
from mmbee_plugin.daily.settings import DailySettings
from mmbee_plugin.data.folder import DatasetFolder
from mmbee_plugin.data.labelled import GIFT, LabelledRows
from mmbee_plugin.evaluation.metrics import auc, gauc
from mmbee_plugin.livesim.settings import LiveSimSettings
from mmbee_plugin.livesim.simulate import simulate
from mmbee_plugin.logs.folder import LogFolder
from mmbee_plugin.logs.period import Period, day_of
from mmbee_plugin.logs.samples import write_samples
from mmbee_plugin.serving.bundle.shelf import Shelf
from mmbee_plugin.serving.replay import open_scorer, replay_rows

HOURS = 24
"""hours after the cut whose rows are scored"""


@dataclass
class Side:
    """A bundle of a day, what it cost and how it ranks the rows after the cut."""

    outcome: DayOutcome
    cpu: float
    gauc: float
    auc: float
    log_loss: float


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--logs", type=Path, help="a log folder; by default one is simulated")
    parser.add_argument("--users", type=int, default=20_000)
    parser.add_argument("--authors", type=int, default=1_500)
    parser.add_argument("--days", type=int, default=5, help="days that go on from the day before")
    parser.add_argument("--seed", type=int, default=0, help="of the simulation and of training")
    parser.add_argument(
        "--set", action="append", default=[], metavar="NAME=VALUE", help="a setting of the loop"
    )
    chosen = parser.parse_args()
    given = dict(one.split("=", 1) for one in chosen.set)
    named: dict[str, Any] = {name: parse_value(text, name) for name, text in given.items()}
    settings = DailySettings(**{"seed": chosen.seed, **named})
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        logs = chosen.logs or place / "livesim"
        if chosen.logs is None:
            # The day before the first that goes on, a window before it, and the rows after the last cut.
            days = settings.window_days + chosen.days + 1
            made = LiveSimSettings(users=chosen.users, authors=chosen.authors, days=days, seed=chosen.seed)
            simulate(logs, made)
        log = LogFolder(logs)
        print(log.provenance(), threads.line(), settings, sep="\n", flush=True)
        _compare(log, place, settings, chosen.days)


def _compare(log: LogFolder, place: Path, settings: DailySettings, days: int) -> None:
    first = settings.window_days
    sides: dict[str, list[Side]] = {"warm": [], "cold": []}
    for number in range(first, first + days + 1):
        rows, folder = _rows_after(log, place / f"after-{number}", number, settings)
        told = []
        for name, found in sides.items():
            bundles = place / ("warm" if name == "warm" else f"cold-{number}")
            if number == first and name == "cold":
                continue  # the first day is trained from nothing anyway
            outcome = run_day(log.path, bundles, str(number), settings)
            assert outcome.cold == (name == "cold" or number == first), outcome
            side = _scored(bundles, outcome, folder, rows)
            told.append(
                f"{'cold' if outcome.cold else name} GAUC {side.gauc:.4f} AUC {side.auc:.4f} log loss "
                f"{side.log_loss:.5f}, {side.cpu:.1f} CPU s"
            )
            if number > first:
                found.append(side)
        gifts = int((rows.labels[GIFT] == 1).sum())
        print(f"day {number}: {len(rows):,} rows with {gifts:,} gifts; {'; '.join(told)}", flush=True)
    mean = {name: np.mean([one.gauc for one in found]) for name, found in sides.items()}
    cpu = {name: sum(one.cpu for one in found) for name, found in sides.items()}
    print(
        f"{days} days: GAUC warm {mean['warm']:.4f}, cold {mean['cold']:.4f} ({mean['warm'] - mean['cold']:+.4f}); "
        f"CPU s warm {cpu['warm']:.1f}, cold {cpu['cold']:.1f} ({cpu['warm'] / cpu['cold']:.1%})"
    )
    for name, found in sides.items():
        stages: dict[str, float] = {}
        for one in found:
            for stage, seconds in one.outcome.cpu_seconds.items():
                stages[stage] = stages.get(stage, 0.0) + seconds
        print(
            f"{name}, CPU s by stage:", ", ".join(f"{stage} {spent:.1f}" for stage, spent in stages.items())
        )


def _rows_after(
    log: LogFolder, folder: Path, number: int, settings: DailySettings
) -> tuple[LabelledRows, DatasetFolder]:
    """The rows of the hours after a day's cut, and the folder with their segments."""
    day = day_of(log, str(number))
    cut = Period.until(log, day, settings.window_days, settings.holdout_hours).ends[0] / 1000
    after = Period.until(log, day + 1, settings.window_days, settings.holdout_hours)
    write_samples(log, folder, settings.of_samples(), period=after)
    opened = DatasetFolder(folder)
    return LabelledRows.of(opened, ("train", "valid"), cut, cut + HOURS * 3600), opened


def _scored(bundles: Path, outcome: DayOutcome, folder: DatasetFolder, rows: LabelledRows) -> Side:
    replayed = replay_rows(open_scorer(Shelf(bundles), outcome.bundle), folder, rows)
    logits = replayed.logits[:, 0].astype(np.float64)
    # A row without an answer, of an author that the bundle does not know, ranks as the mean does.
    logits[np.isnan(logits)] = np.nanmean(logits)
    labels = rows.labels[GIFT]
    log_loss = float(np.mean(np.logaddexp(0, np.where(labels == 1, -logits, logits))))
    users = np.unique(rows.users, return_inverse=True)[1]
    cpu = sum(seconds for stage, seconds in outcome.cpu_seconds.items() if stage in STAGES)
    return Side(outcome, cpu, gauc(users, labels, logits), auc(labels, logits), log_loss)


STAGES = ("samples", "train", "bundle")
"""stages that make a bundle; validation, gate and report are the same for both sides"""

if __name__ == "__main__":
    threads.choose()
    main()
