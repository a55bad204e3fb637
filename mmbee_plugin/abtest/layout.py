"""Sheets and plot of a test."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from mmbee_plugin.abtest.arms import again
from mmbee_plugin.abtest.measures import METRICS, Lift, Measured, within_chance
from mmbee_plugin.evaluation.bootstrap import FEWEST, PairedDifference
from mmbee_plugin.experiments.colours import of_models
from mmbee_plugin.experiments.plots import LIMIT, Plot, error_bars, percentage
from mmbee_plugin.experiments.sheet import BEST, SIGNIFICANT, Sheet, p_text
from mmbee_plugin.experiments.verdict import framed

PAPER = "MMBee over SIM in the paper (a private platform)"
PUBLISHED = {"NGU": 0.02862, "NGC": 0.04775}
"""lifts in section 6.8, without intervals"""


def sheets(found: Mapping[str, Measured], notes: Sequence[str]) -> list[Sheet]:
    """The lifts, plain and adjusted, and what each arm's users did."""
    control, *others = found
    headings = ["Arm"]
    for metric in METRICS:
        headings += [f"{metric} over {control}", "p", f"{metric}, adjusted", "p"]
    rows = []
    for name in others:
        lift = found[name].lift
        assert lift is not None
        cells = []
        for metric in METRICS:
            cells += [*_cells(lift.plain[metric]), *_cells(lift.adjusted[metric])]
        rows.append((name, *cells))
    published = [text for metric in METRICS for text in (f"{100 * PUBLISHED[metric]:+.3f} %", "", "", "")]
    rows.append((PAPER, *published))
    lifts = Sheet("Lifts per user of the arm, in a simulation", tuple(headings), tuple(rows), tuple(notes))
    return [lifts, _counts(found)]


def verdict(found: Mapping[str, Measured], seeds: int) -> str:
    """The test in one sentence: whether its A/A arm is within chance, and if so the adjusted lifts of the others."""
    control, *others = found
    aa = found[again(control)].lift
    assert aa is not None
    p = within_chance(aa)
    if np.isnan(p):
        return (
            f"Do not read the lifts: less than {FEWEST} users of {control} or of {again(control)} gave a gift, too few "
            "to compare."
        )
    if p < SIGNIFICANT:
        return (
            f"Do not read the lifts: {again(control)}, the same as the control, differs from it beyond chance (Holm's "
            f"p over its four lifts {p_text(p)})."
        )
    told = []
    for name in others:
        lift = found[name].lift
        if name == again(control) or name == BEST or lift is None:
            continue
        each = [f"{_percent(lift.adjusted[metric])} {metric}" for metric in METRICS]
        told.append(f"{name} {' and '.join(each)} ({_doubt(lift)})")
    lifts = f"over {control}, adjusted: {', '.join(told)}" if told else "there is no arm to compare"
    within = f"the A/A arm is within chance (Holm's p over its four lifts {p_text(p)})"
    return framed(f"{lifts}; {within}", "simulated", seeds)


def _doubt(lift: Lift) -> str:
    p_values = [one.p_value for one in lift.adjusted.values()]
    if np.isnan(p_values).any():
        return f"of less than {FEWEST} givers, too few to tell"
    sure = [p < SIGNIFICANT for p in p_values]
    return "both beyond chance" if all(sure) else "one within chance" if any(sure) else "within chance"


def plot(found: Mapping[str, Measured], first_day: int, drawn: str) -> Plot:
    """Adjusted lifts by day, with 95 % intervals.

    Args:
        first_day: of the test, counted from 1.
        drawn: what the intervals are over.
    """
    return Plot(
        "Adjusted lift by day",
        f"Above zero an arm's users gave more than the control's. Lines are 95 % intervals over {drawn}; those of the "
        "A/A arm show how far chance alone goes.",
        _by_day(found, first_day),
    )


def _percent(found: PairedDifference) -> str:
    mean = found.interval.mean
    return "unknown" if np.isnan(mean) else f"{100 * mean:+.1f} %"


def _by_day(found: Mapping[str, Measured], first_day: int) -> go.Figure:
    control, *others = found
    colours = of_models(found)
    figure = make_subplots(1, len(METRICS), subplot_titles=[f"{metric} over {control}" for metric in METRICS])
    for column, metric in enumerate(METRICS, start=1):
        for place, name in enumerate(others):
            lift = found[name].lift
            assert lift is not None
            daily = [one.interval for one in lift.daily[metric]]
            line = go.Scatter(
                x=[first_day + day + place * 0.06 for day in range(len(daily))],
                y=[percentage(one.mean) for one in daily],
                error_y=error_bars(daily, percentage),
                name=name,
                mode="lines+markers",
                line_color=colours[name],
                showlegend=column == 1,
            )
            figure.add_trace(line, row=1, col=column)
        figure.add_hline(y=0, line=LIMIT, row=1, col=column)
    figure.update_xaxes(title_text="day of the simulation", dtick=1)
    figure.update_yaxes(title_text="adjusted lift, %")
    return figure.update_layout(height=420)


def _counts(found: Mapping[str, Measured]) -> Sheet:
    rows = []
    for name, measured in found.items():
        counts = measured.counts
        rows.append(
            (
                name,
                *(f"{counts[what]:,}" for what in ("users", "visits", "gifters", "gifts")),
                *(f"{measured.means[metric]:.4f}" for metric in METRICS),
                f"{counts['gifts'] / max(1, counts['visits']):.2%}",
            )
        )
    headings = (
        "Arm",
        "users",
        "visits",
        "gifters",
        "gifts",
        *(f"{name} a user" for name in METRICS),
        "gifts a visit",
    )
    note = f"Summed over the seeds. {BEST}: ranks by the planted chance of a gift in the half minute of the arrival."
    return Sheet("What the arms' users did", headings, tuple(rows), (note,))


def _cells(found: PairedDifference) -> tuple[str, str]:
    ends = found.interval.low, found.interval.high
    told = "" if np.isnan(ends).any() else " [{:+.1f}, {:+.1f}]".format(*(100 * end for end in ends))
    return _percent(found) + told, p_text(found.p_value)
