"""Plots of a day's report."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import plotly.graph_objects as go
from numpy.typing import NDArray
from plotly.subplots import make_subplots

from mmbee_plugin.daily.gate import Check
from mmbee_plugin.daily.measures import METRICS, Measures
from mmbee_plugin.evaluation.bootstrap import FEWEST, Interval
from mmbee_plugin.evaluation.calibration import Calibration
from mmbee_plugin.evaluation.drift import Stability
from mmbee_plugin.experiments.colours import BLUE, GREY, OWN
from mmbee_plugin.experiments.plots import LIMIT, Plot, error_bars

SERVED, OBSERVED, LAST = OWN, BLUE, GREY
"""colours of the served bundle, of what happened, and of the day before"""
CHANCE = 0.5
"""AUC, UAUC and GAUC of random scores"""


Limits = tuple[float, float]
"""below and above which an alarm is raised"""


def gate(checks: Iterable[Check]) -> Plot | None:
    """Changes from the served bundle with intervals and limits, a panel each; None without a served bundle."""
    found = [(check, check.change) for check in checks if check.change is not None]
    if not found:
        return None
    figure = _panels([check.name for check, _ in found], 150)
    for column, (check, change) in enumerate(found, 1):
        title, form, none = CHANGES[check.name]
        figure.add_scatter(
            x=[change.mean],
            y=["candidate"],
            error_x=error_bars([change]),
            mode="markers",
            marker={"color": SERVED, "size": 9},
            row=1,
            col=column,
        )
        figure.add_vline(x=none, line={"color": LAST, "width": 1}, row=1, col=column)
        figure.add_vline(
            x=check.limit, line=LIMIT, annotation_text="limit", annotation_position="top", row=1, col=column
        )
        figure.update_xaxes(title=title, tickformat=form, nticks=5, row=1, col=column)
        figure.update_yaxes(type="category", showticklabels=False, row=1, col=column)
    return Plot(
        "Changes against the gate's limits",
        "A point beyond the dashed limit closes the gate if its line, a 95 % interval over resampled users, does not "
        "reach the thin line of no change.",
        figure,
    )


def by_hour(measures: Measures) -> Plot:
    """Metrics by hour of the day with intervals, a panel each, with the day's value as a line."""
    figure = _panels(list(METRICS.values()), 260)
    for column, name in enumerate(METRICS, 1):
        found = measures.hours[name]
        figure.add_scatter(
            x=[hour % 24 for hour in found],
            y=[each.mean for each in found.values()],
            error_y=error_bars(found.values()),
            mode="markers",
            marker={"size": 6, "color": SERVED},
            hovertemplate="%{x}:00 %{y:.4f}<extra></extra>",
            row=1,
            col=column,
        )
        if np.isfinite(measures.whole[name].mean):
            figure.add_hline(y=measures.whole[name].mean, line={**LIMIT, "dash": "dot"}, row=1, col=column)
        if name != "log_loss":
            figure.add_hline(y=CHANCE, line=LIMIT, row=1, col=column)
        figure.update_yaxes(title=UNITS.get(name, METRICS[name]), row=1, col=column)
    return Plot(
        "Metrics by hour",
        "Whether the served bundle is equally good at all hours. Dotted: the whole day; dashed: random scores. Lines "
        "are 95 % intervals over resampled users: of 24 hours one misses the day's value by chance. An hour in which "
        f"less than {FEWEST} users gave a gift has no point.",
        _clock(figure),
    )


def deciles(found: Calibration) -> Plot:
    """Predicted and observed gifts a row of the log by tenth, and their ratio with its interval."""
    figure = _panels(["Gifts a 1,000 rows", "Predicted over observed"], 320)
    names = [f"{bin + 1}" for bin in found.bins]
    for label, values, colour in (
        ("predicted", found.predicted, SERVED),
        ("observed", found.observed, OBSERVED),
    ):
        bars = go.Bar(x=names, y=1000 * values / found.rows, name=label, marker_color=colour)
        if label == "observed":
            bars.error_y = _observed(found, 1000 / found.rows)
        figure.add_trace(bars, row=1, col=1)
    _ratio(figure, names, found, 2)
    figure.update_yaxes(title="gifts a 1,000 rows of the log", row=1, col=1)
    figure.update_xaxes(title="tenth of the rows, lowest chances first", type="category")
    return Plot("Calibration by tenth of the rows", CALIBRATED, figure.update_layout(barmode="group"))


def hours(found: Calibration, limits: Mapping[float, Limits]) -> Plot:
    """Gifts by hour, predicted and observed, and their ratio with its interval.

    Args:
        limits: hour of the log's clock -> limits of the ratio.
    """
    figure = _panels(["Gifts an hour", "Predicted over observed"], 320)
    clock = found.bins % 24
    figure.add_trace(
        go.Scatter(x=clock, y=found.predicted, name="predicted", line={"color": SERVED}), row=1, col=1
    )
    bars = go.Bar(
        x=clock, y=found.observed, name="observed", marker_color=OBSERVED, error_y=_observed(found, 1)
    )
    figure.add_trace(bars, row=1, col=1)
    _ratio(figure, clock, found, 2, [end for ends in limits.values() for end in ends])
    for place in (0, 1):
        ends = {hour: limits[hour][place] for hour in sorted(limits)}
        if ends:
            figure.add_scatter(
                x=list(ends),
                y=list(ends.values()),
                name="limit of the alarm",
                mode="markers",
                marker={"symbol": "line-ew", "size": 9, "line": {"width": 2, "color": LAST}, "color": LAST},
                hovertemplate="alarm beyond %{y:.2f}<extra></extra>",
                row=1,
                col=2,
            )
    figure.update_yaxes(title="gifts in the log", row=1, col=1)
    return Plot("Calibration by hour", FEWER + (HOURLY if limits else ""), _clock(figure))


def stability(found: Stability, limit: float) -> Plot:
    """Shares of the rows by bin of chances, yesterday and today, in the same hours, and their PSI.

    Args:
        limit: of the PSI, from which an alarm is raised.
    """
    figure = _panels(["Rows by chance of a gift", "Population stability index"], 300)
    ends = [0.0, *found.edges, np.inf]
    names = [f"from {low:.2%}" for low in ends[:-1]]
    for label, shares, colour in (("yesterday", found.before, LAST), ("today", found.after, SERVED)):
        figure.add_bar(x=names, y=shares, name=label, marker_color=colour, row=1, col=1)
    figure.update_yaxes(tickformat=".0%", rangemode="tozero", title="share of the rows", row=1, col=1)
    figure.update_xaxes(title="chance of a gift, in tenths of yesterday", type="category", row=1, col=1)
    psi = go.Bar(x=[found.psi], y=["today"], orientation="h", marker_color=SERVED, showlegend=False)
    figure.add_trace(psi, row=1, col=2).update_yaxes(type="category", row=1, col=2)
    figure.add_vline(x=limit, line=LIMIT, annotation_text="alarm", annotation_position="top", row=1, col=2)
    figure.update_xaxes(
        title="PSI, 0 for the same shares", range=[0, 1.2 * max(limit, found.psi)], row=1, col=2
    )
    return Plot(
        "Chances against yesterday's held-out rows",
        f"Equal bars: the bundle meets rows like yesterday's. PSI {found.psi:.3f}; beyond the dashed limit of "
        f"{limit:g} an alarm is raised. By custom less than 0.1 is no shift.",
        figure.update_layout(barmode="group"),
    )


def norms(found: Mapping[str, float], limit: float) -> Plot:
    """Relative change of each table's mean norm, with the gate's limits."""
    figure = go.Figure().update_layout(height=120 + 24 * len(found))
    names = sorted(found, key=lambda name: abs(found[name]))
    figure.add_bar(y=names, x=[found[name] for name in names], orientation="h", marker_color=SERVED)
    for end in (limit, 1 / (1 + limit) - 1):
        figure.add_vline(x=end, line=LIMIT)
    figure.update_yaxes(title="table or part", type="category")
    figure.update_xaxes(tickformat="+.0%", title="change since the served bundle")
    return Plot(
        "Mean norms of tables and weights",
        "A bar beyond a dashed limit closes the gate: a table that grows or shrinks so fast is going wrong.",
        figure,
    )


def last_days(days: Mapping[str, Mapping[str, Interval]], limits: Mapping[str, Limits]) -> Plot:
    """Values of the last days and this one with intervals, a panel for each.

    Args:
        days: day -> as of :func:`~mmbee_plugin.daily.measures.whole`.
        limits: name of a value -> limits of this day's.
    """
    figure = _panels(list(PANELS.values()), 280)
    for column, name in enumerate(PANELS, 1):
        found = [each[name] for each in days.values()]
        figure.add_scatter(
            x=list(days),
            y=[each.mean for each in found],
            error_y=error_bars(found),
            mode="lines+markers",
            line={"color": OBSERVED if name == "gift_rate" else SERVED},
            marker={"size": [5] * (len(days) - 1) + [9]},
            row=1,
            col=column,
        )
        for end in limits.get(name, ()):
            figure.add_hline(y=end, line=LIMIT, row=1, col=column)
        figure.update_yaxes(title=UNITS.get(name, PANELS[name]), row=1, col=column)
    return Plot(
        "The last days",
        "Whether the served bundles keep their quality from day to day; this day is the large dot. Lines are 95 % "
        "intervals over resampled users. Days also differ in what happened on them, so look for a trend and not for a "
        "step. Beyond the dashed limits this day raises an alarm, if that is beyond chance.",
        figure.update_xaxes(type="category", tickangle=-40, title="day"),
    )


CALIBRATED = (
    "A calibrated bundle promises as many gifts as happen: points on the dashed line at 1. Lines are 95 % intervals "
    "over resampled users; a point whose line does not reach 1 is out of calibration. A triangle is the least that the "
    "factor may be where no gift happened."
)
FEWER = "The same by hour: an hour has fewer gifts than a tenth of the rows, so its lines are longer."
HOURLY = " Beyond the grey ticks an hour raises an alarm, if that is beyond chance."
UNITS = {"log_loss": "nats a row of the log", "gift_rate": "gifts a row of the log", "factor": "factor"}
PANELS = {"gauc": "GAUC", "log_loss": "Log loss", "gift_rate": "Gifts", "factor": "Predicted over observed"}
CHANGES = {
    "GAUC": ("difference of GAUC", "+.3f", 0.0),
    "log loss": ("change of the log loss", "+.1%", 0.0),
    "predicted over observed": ("times as far from 1", ".2f", 1.0),
}
"""check -> title and format of its change, and no change"""
TICKS = [0.1, 0.25, 0.5, 0.8, 1, 1.25, 2, 4, 10]


def _ratio(
    figure: go.Figure,
    x: NDArray | Sequence[str],
    found: Calibration,
    column: int,
    shown: Sequence[float] = (),
) -> None:
    """Predicted over observed with its interval, on a scale where twice and half are equally far.

    An interval without an upper end goes to the panel's; a bin without a gift has the lower end alone.

    Args:
        shown: values that the scale shows too.
    """
    event = np.isfinite(found.ratio)
    point = np.where(event, found.ratio, found.low)
    values = np.concatenate([[0.8, 1.25], point, found.low, found.high, shown])
    values = values[np.isfinite(values) & (values > 0)]
    ends = 0.9 * values.min(), 1.1 * values.max()
    bars = error_bars([])
    bars["array"] = np.where(np.isfinite(found.high), found.high, 2 * ends[1]) - point
    bars["arrayminus"] = point - found.low
    points = go.Scatter(
        x=x,
        y=point,
        error_y=bars,
        mode="markers",
        marker={
            "color": SERVED,
            "size": 8,
            "symbol": np.where(event, "circle", "triangle-up-open").tolist(),
        },
        showlegend=False,
        hovertemplate="%{y:.3f}<extra></extra>",
    )
    figure.add_trace(points, row=1, col=column)
    figure.add_hline(y=1, line=LIMIT, row=1, col=column)
    figure.update_yaxes(
        type="log", tickvals=TICKS, title="factor", range=np.log10(ends).tolist(), row=1, col=column
    )


def _observed(found: Calibration, scale: float | NDArray[np.float64]) -> dict[str, Any]:
    """Error bars of the observed events, times ``scale``."""
    bars = error_bars([])
    bars["array"] = scale * (found.most - found.observed)
    bars["arrayminus"] = scale * (found.observed - found.fewest)
    return bars


def _panels(titles: list[str], height: int) -> go.Figure:
    return make_subplots(1, len(titles), subplot_titles=titles).update_layout(height=height)


def _clock(figure: go.Figure) -> go.Figure:
    return figure.update_xaxes(title="hour of the day", range=[-0.7, 23.7], tickvals=list(range(0, 24, 6)))
