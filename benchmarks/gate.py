"""Days of a simulation through the daily loop: quiet ones, bad models planted at the gate, shifts planted in the log:

python benchmarks/gate.py                                       # 20,000 users x 1,500 authors, 5 quiet days
python benchmarks/gate.py --users=4000 --authors=300            # a smaller simulation, of noisier days

Quiet days should open the gate and raise no alarm. Bad models are the last day's bundle with a fault planted in its
arrays or weights, judged as it was. Shifts are planted into the log of the day after and answered by the served bundle.
"""

from __future__ import annotations

import argparse
import os
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from gate_shifts import SHIFTS, Shifted

from mmbee_plugin.command import threads
from mmbee_plugin.daily.alarms import alarms
from mmbee_plugin.daily.day import HELD_OUT, PROGRESSIVE
from mmbee_plugin.daily.gate import judge
from mmbee_plugin.daily.loop import WORK, run_day
from mmbee_plugin.daily.norms import directions, norms
from mmbee_plugin.daily.settings import DailySettings
from mmbee_plugin.data.folder import DatasetFolder
from mmbee_plugin.data.labelled import LabelledRows
from mmbee_plugin.livesim.settings import DAY_MS, FIRST_DAY_MS, LiveSimSettings
from mmbee_plugin.livesim.simulate import simulate
from mmbee_plugin.logs.folder import LogFolder
from mmbee_plugin.logs.period import Period, day_of, name_of
from mmbee_plugin.logs.samples import write_samples
from mmbee_plugin.serving.bundle.shelf import Shelf
from mmbee_plugin.serving.replay import Replayed, open_scorer, replay_rows
from mmbee_plugin.serving.scorer import Scorer


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--users", type=int, default=20_000)
    parser.add_argument("--authors", type=int, default=1_500)
    parser.add_argument(
        "--window", type=int, default=7, help="days of a window, the first before the quiet days"
    )
    parser.add_argument("--days", type=int, default=5, help="quiet days, after two on which the model starts")
    parser.add_argument("--negative-rate", type=float, default=0.25)
    parser.add_argument("--seed", type=int, default=0)
    chosen = parser.parse_args()
    settings = DailySettings(
        window_days=chosen.window,
        negative_rate=chosen.negative_rate,
        seed=chosen.seed,
        keep_days=chosen.days + 2,
    )
    last = chosen.window + chosen.days + 1
    made = LiveSimSettings(users=chosen.users, authors=chosen.authors, days=last + 1, seed=chosen.seed)
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        log = place / "log" / "livesim"
        simulate(log, made)
        print(LogFolder(log).provenance(), threads.line(), settings, "", sep="\n", flush=True)
        print("| day | | gate | alarms |\n| --- | --- | --- | --- |")
        quiet = []
        for number in range(chosen.window, last + 1):
            found = run_day(log, place / "bundles", str(number), settings)
            if number >= chosen.window + 2:
                quiet.append(found)
            kind = "quiet" if quiet else "starts"
            gate = "opens" if found.published else f"closes: {found.reason}"
            print(f"| {found.day} | {kind} | {gate} | {'; '.join(found.alarms) or 'none'} |", flush=True)
        kept, raised = sum(not one.published for one in quiet), sum(bool(one.alarms) for one in quiet)
        print(f"\n{len(quiet)} quiet days: {kept} kept back by the gate, {raised} with an alarm", flush=True)
        earlier = [one.published for one in reversed(quiet[:-1])]
        since_served = 1 + [*earlier, True].index(True)
        _bad_models(place, LogFolder(log), last, since_served, settings)
        _shifts(place, made, last + 1, settings)


def _bad_models(place: Path, log: LogFolder, day: int, since_served: int, settings: DailySettings) -> None:
    """Prints the gate's verdict on the day's bundle with each fault, against what was served since so many days."""
    work = place / "bundles" / WORK / name_of(day_of(log, str(day)))
    samples = DatasetFolder(work / "samples" / log.info.name)
    rows = LabelledRows.of(samples, ("valid",))
    candidate, answers = Replayed.read(work / HELD_OUT), Replayed.read(work / PROGRESSIVE)
    assert answers.times is not None and rows.times is not None  # samples of logs have time
    served = answers.taken(answers.times >= rows.times.min())
    shelf = Shelf(place / "bundles")
    last = open_scorer(shelf, served.bundle).bundle
    before = norms(last)
    print("\n| planted in the bundle | gate | why |\n| --- | --- | --- |")
    for name, plant in FAULTS.items():
        scorer = open_scorer(shelf, candidate.bundle)
        with torch.no_grad():
            plant(scorer, np.random.default_rng(0))
        verdict = judge(
            replay_rows(scorer, samples, rows),
            served,
            (before, norms(scorer.bundle)),
            directions(last, scorer.bundle),
            settings.gate,
            settings.seed,
            since_served,
        )
        told = next((check.words for check in verdict.checks if check.name == "GAUC"), "")
        why = f"GAUC {told}" if verdict.opens else verdict.reason
        print(f"| {name} | {'opens' if verdict.opens else 'closes'} | {why} |", flush=True)


def _permuted(scorer: Scorer, rng: np.random.Generator) -> None:
    """Authors' rows are those of other authors."""
    table = scorer.bundle.authors["author"]
    table[1:] = table[1:][torch.from_numpy(rng.permutation(len(table) - 1))]


def _noisy(scorer: Scorer, rng: np.random.Generator) -> None:
    for weights in scorer.bundle.gtr.parameters():
        if weights.numel() > 1:
            weights.add_(torch.randn(weights.shape) * weights.std())


def _diverged(scorer: Scorer, rng: np.random.Generator) -> None:
    scorer.bundle.authors["author"].mul_(3)


def _no_number(scorer: Scorer, rng: np.random.Generator) -> None:
    scorer.bundle.authors["author"][1 + rng.integers(len(scorer.bundle.authors["author"]) - 1)] = np.nan


def _shifted(scorer: Scorer, rng: np.random.Generator) -> None:
    """Chances are three times as high, as of a model that was trained on another share of negatives."""
    score = scorer.bundle.gtr.score_tasks  # replaced on this one model: the planted fault
    scorer.bundle.gtr.score_tasks = lambda *given: score(*given) + np.log(3)  # type: ignore[method-assign]


def _reversed(scorer: Scorer, rng: np.random.Generator) -> None:
    """What is less likely scores higher."""
    score = scorer.bundle.gtr.score_tasks  # replaced on this one model: the planted fault

    def other_way_round(*given: Any) -> torch.Tensor:
        logits = score(*given)
        return 2 * logits.mean() - logits

    scorer.bundle.gtr.score_tasks = other_way_round  # type: ignore[method-assign, assignment]


FAULTS: dict[str, Callable[[Scorer, np.random.Generator], None]] = {
    "nothing": lambda scorer, rng: None,
    "authors' rows permuted": _permuted,
    "noise as large as the weights": _noisy,
    "authors' vectors three times as long": _diverged,
    "a NaN in one author's vector": _no_number,
    "chances three times as high": _shifted,
    "scores the other way round": _reversed,
}


def _shifts(place: Path, made: LiveSimSettings, day: int, settings: DailySettings) -> None:
    """Prints the alarms of the day after the last, as simulated and with each shift planted in its log."""
    log, shelf = place / "log" / "livesim", Shelf(place / "bundles")
    more = place / "more" / "livesim"
    simulate(more, replace(made, density=4 * made.density))
    begin = FIRST_DAY_MS + (day - 1) * DAY_MS
    work = place / "bundles" / WORK
    folders = sorted(work.glob("????-??-??"))
    pointer = shelf.current()
    assert pointer is not None
    held = (folder / HELD_OUT for folder in reversed(folders))
    reference = next(one for one in map(Replayed.read, held) if one.bundle == pointer.bundle)
    before = [Replayed.read(path) for folder in folders if (path := folder / PROGRESSIVE).exists()]
    scorer = open_scorer(shelf, pointer.bundle)
    print("\n| planted in the day's log | alarms |\n| --- | --- |")
    for name, plant in SHIFTS.items():
        shifted = place / "shifted" / "livesim"
        shutil.rmtree(shifted.parent, ignore_errors=True)
        shutil.copytree(log, shifted, copy_function=os.link)  # plants replace whole files
        plant(Shifted(shifted, more, begin))
        period = Period.until(LogFolder(shifted), day_of(LogFolder(shifted), str(day)), settings.window_days,
                              settings.holdout_hours)  # fmt: skip
        samples = place / "shifted" / "samples"
        write_samples(LogFolder(shifted), samples, settings.of_samples(), period=period, force=True)
        folder = DatasetFolder(samples)
        rows = LabelledRows.of(folder, ("train", "valid"), since=begin / 1000)
        found = alarms(replay_rows(scorer, folder, rows), before, settings.alarms, reference)
        told = "; ".join(f"{alarm.name} {alarm.words}" for alarm in found) or "none"
        print(f"| {name} | {told} |", flush=True)


if __name__ == "__main__":
    threads.choose()
    main()
