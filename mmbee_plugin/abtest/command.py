"""Runs a test from its options: cells, measures, report files, printed lines."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from mmbee_plugin.abtest.arms import arms_of
from mmbee_plugin.abtest.layout import PAPER, PUBLISHED, plot, sheets, verdict
from mmbee_plugin.abtest.measures import DRAWS, METRICS, Measured, measure
from mmbee_plugin.abtest.plan import Plan
from mmbee_plugin.abtest.run import observed, run
from mmbee_plugin.errors import InputError
from mmbee_plugin.experiments.cells import Cell
from mmbee_plugin.experiments.report import Report
from mmbee_plugin.experiments.rows import both_set
from mmbee_plugin.experiments.training import settings_given, versions
from mmbee_plugin.livesim import choice, settings
from mmbee_plugin.livesim.choice import ChoiceSettings

DATASET = "livesim"
COLUMNS = ("kind", "arm", "against", "metric", "days", "value", "lift", "low", "high", "p")


@dataclass(frozen=True)
class TestOptions:
    """Options of `mmbee abtest`."""

    __test__ = False  # not a test of pytest's

    dataset: str
    arms: str
    days: int
    burn_in: int
    users: int
    authors: int
    seeds: int
    jobs: int
    folder: Path
    out: Path
    http: bool = False


def run_test(chosen: TestOptions, arguments: Sequence[str]) -> list[str]:
    """Runs what is missing of a test, writes the report and returns the lines to print.

    Args:
        arguments: settings of all models, ``--key=value``.

    Raises:
        InputError: invalid options or settings; raised before any work where possible.
    """
    if chosen.dataset != DATASET:
        raise InputError(
            f"--dataset={chosen.dataset}: users who answer to what they are shown are needed; {DATASET} simulates them"
        )
    if chosen.burn_in < 2:
        raise InputError(f"--burn-in {chosen.burn_in}: at least 2 days are needed to train and validate")
    arms = arms_of([name.strip() for name in chosen.arms.split(",")])
    given = settings_given("MMBee", arguments)
    for arm in arms:
        for name in both_set(arm.settings, given):
            raise InputError(f"setting {name!r}: the arms set it; choose them with --arms")
    plan = Plan(
        *(arms, chosen.users, chosen.authors, chosen.burn_in, chosen.days),
        choice=ChoiceSettings(),
        given=given,
        folder=chosen.folder,
        http=chosen.http,
    )
    seeds = range(1, chosen.seeds + 1)
    plan.world(1)  # raises for sizes out of range
    cells = run(plan, seeds, chosen.jobs)
    found = measure(observed(plan, seeds, cells, chosen.jobs))
    return _written(plan, chosen, found, cells)


def _written(
    plan: Plan,
    chosen: TestOptions,
    found: Mapping[str, Measured],
    cells: Mapping[str, Sequence[Sequence[Cell]]],
) -> list[str]:
    drawn = "users and seeds" if chosen.seeds > 1 else "users"
    provenance = [
        f"A/B test in a simulation ({settings.VERSION}, {choice.VERSION}): {plan.users:,} users, "
        f"{plan.authors:,} authors; burn-in days 1 to {plan.burn_in}, test days {plan.burn_in + 1} to "
        f"{plan.burn_in + plan.days}; {f'seeds 1 to {chosen.seeds}' if chosen.seeds > 1 else 'seed 1'}",
        "SIMULATED: no figure here says what a model would gain on a real platform.",
    ]
    notes = (
        f"Users are hashed to {len(plan.arms)} arms of about equal size. In brackets 95 % intervals, p two-sided: "
        f"bootstrap over {drawn}, {DRAWS:,} draws, not corrected for several arms.",
        "Adjusted (CUPED): less what a user's chance of a gift (NGU) or expected gifts (NGC) on the same days without "
        "lists explain.",
        gate_line(cells),
    )
    said = verdict(found, chosen.seeds)
    printed = sheets(found, notes)
    title = "A/B test on livesim, a simulation"
    plots = [plot(found, plan.burn_in + 1, drawn)]
    content = {
        "kind": "simulated",
        "notes": list(notes),
        "arms": {name: asdict(measured) for name, measured in found.items()},
        "published": {PAPER: PUBLISHED},
        "cells": {name: [[cell.facts for cell in days] for days in seeds] for name, seeds in cells.items()},
    }
    facts = {
        "options": asdict(chosen),
        "choice": asdict(plan.choice),
        "settings given": plan.given,
        "settings of the arms": {arm.name: dict(arm.settings) for arm in plan.arms},
        "daily loop": plan.daily(1).model_dump(mode="json"),
        "versions": versions(),
    }
    report = Report(chosen.out)
    return report.write(
        title, said, printed, plots, provenance, False, COLUMNS, _lines(found, plan), content, facts
    )


def gate_line(cells: Mapping[str, Sequence[Sequence[Cell]]]) -> str:
    """How many of the bundles that an arm's daily loop built were kept back by its gate."""
    learnt = {
        name: [cell.facts["learnt"]["published"] for days in seeds for cell in days if "learnt" in cell.facts]
        for name, seeds in cells.items()
    }
    kept = [f"{name} {each.count(False)} of {len(each)}" for name, each in learnt.items() if each]
    return f"Bundles of the test's days that the daily loop's gate kept back: {', '.join(kept) or 'none were built'}."


def _lines(found: Mapping[str, Measured], plan: Plan) -> Iterator[dict[str, Any]]:
    """Lines of the CSV: of each arm one a metric, then its lift, adjusted lift, and that of each day."""
    control = next(iter(found))
    for name, measured in found.items():
        same = {"kind": "simulated", "arm": name}
        for metric in METRICS:
            yield {**same, "metric": metric, "days": "all", "value": measured.means[metric]}
            if measured.lift is None:
                continue
            lift = measured.lift
            rows = {"all": lift.plain[metric], "all, adjusted": lift.adjusted[metric]}
            rows |= {
                f"{day + 1}, adjusted": one for day, one in zip(plan.tested, lift.daily[metric], strict=True)
            }
            for days, one in rows.items():
                yield {
                    **{**same, "against": control, "metric": metric, "days": days, "p": one.p_value},
                    **{"lift": one.interval.mean, "low": one.interval.low, "high": one.interval.high},
                }
    for metric, gain in PUBLISHED.items():
        yield {"kind": "published", "arm": PAPER, "metric": metric, "days": "all", "lift": gain}
