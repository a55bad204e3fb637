"""The sentence that a report begins with, computed from its figures."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence

from mmbee_plugin.experiments.comparison import Difference
from mmbee_plugin.experiments.sheet import SIGNIFICANT

MIXED = "mixed"
"""kind of several data sets of which some are generated"""


def framed(found: str, kind: str, seeds: int | None = None) -> str:
    """What was found as one sentence, with what it cannot bear.

    Args:
        found: a clause without a full stop.
        kind: real, sample, simulated or :data:`MIXED`.
        seeds: trainings that each figure is a mean of; None for figures of no training.
    """
    if kind == "sample":
        return f"Nothing follows from a generated sample; in this one, {found}."
    if seeds == 1:
        where = " in a simulation" if kind == "simulated" else ""
        return f"Nothing follows from one training of each model{where}; here, {found}."
    if kind == MIXED:
        return f"On data of which some are generated, {found}."
    return f"In a simulation, {found}." if kind == "simulated" else f"{found[0].upper()}{found[1:]}."


def above(name: str, differences: Mapping[str, Difference], metrics: Mapping[str, str], tested: bool) -> str:
    """On how many metrics a row is above the others, and how many of the differences are within chance.

    Args:
        differences: other row -> ``name`` minus it. metrics: metric -> heading.
        tested: whether there are p-values.
    """
    others = len(differences)
    every, some = [], []
    for metric, heading in metrics.items():
        gained = sum(each.gain(metric) > 0 for each in differences.values())
        if gained == others:
            every.append(heading)
        else:
            some.append(f"{gained or 'none'} of {others} on {heading}")
    rows = {1: next(iter(differences)), 2: "both other rows"}.get(others, f"all {others} other rows")
    parts = ([f"{rows} on {listed(every)}"] if every else []) + some
    found = f"{name} is above {listed(parts)}"
    if not tested:
        return found
    return f"{found}; {within_chance(each.p_values[one] for each in differences.values() for one in metrics)}"


def gains(against: str, differences: Mapping[str, Difference], metrics: Iterable[str], tested: bool) -> str:
    """How many differences from a baseline are gains and losses, beyond chance where this is tested.

    Args:
        against: the baseline's name. differences: row -> row minus the baseline.
    """
    each = [(one.gain(name), one.p_values[name]) for name in metrics for one in differences.values()]
    sure = [gain for gain, p in each if p < SIGNIFICANT or not tested]
    up, down = sum(gain > 0 for gain in sure), sum(gain < 0 for gain in sure)
    found = (
        f"of {count(len(each), 'difference')} from {against}, {up} {'is a gain' if up == 1 else 'are gains'}"
    )
    found += f" and {down} {'a loss' if down == 1 else 'losses'}"
    return f"{found} beyond chance, {len(each) - len(sure)} within it" if tested else found


def within_chance(p_values: Iterable[float]) -> str:
    """How many differences may be chance."""
    every = list(p_values)
    unsure = sum(not p < SIGNIFICANT for p in every)
    if len(every) == 1:
        return f"the difference is {chance(every[0])}"
    return f"{unsure or 'none'} of {len(every)} differences {'is' if unsure < 2 else 'are'} within chance"


def chance(p_value: float) -> str:
    """``within chance`` or ``beyond chance``; NaN is of too few users to say."""
    if math.isnan(p_value):
        return "of too few users to tell from chance"
    return "beyond chance" if p_value < SIGNIFICANT else "within chance"


def listed(parts: Sequence[str]) -> str:
    """``a, b and c``."""
    return " and ".join([", ".join(parts[:-1]), parts[-1]] if len(parts) > 1 else parts)


def count(number: int, what: str) -> str:
    """``1 seed``, ``2 seeds``."""
    return f"{number:,} {what}{'' if number == 1 else 's'}"
