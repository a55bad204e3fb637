"""Plots of a day's report."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import plotly.graph_objects as go
from numpy.typing import NDArray
from plotly.subplots import make_subplots

from mmbee_plugin.daily.measures import METRICS, Measures
from mmbee_plugin.evaluation.calibration import Calibration
from mmbee_plugin.evaluation.drift import Stability
from mmbee_plugin.experiments.colours import BLUE, GREY, OWN
from mmbee_plugin.experiments.plots import LIMIT, Plot, error_bars

SERVED, OBSERVED, LAST = OWN, BLUE, GREY
"""colours of the served bundle, of what happened, and of the day before"""
CHANCE = 0.5
"""AUC, UAUC and GAUC of random scores"""


def by_hour(measures: Measures) -> Plot:
    """Metrics by hour of the day, a panel each, with the day's value as a line."""
    figure = _panels(list(METRICS.values()), 260)
    for column, name in enumerate(METRICS, 1):
        found = measures.hours[name]
        if found is not None:
            figure.add_scatter(
                x=found.hours % 24,
                y=found.values,
                mode="lines+markers",
                line={"color": SERVED},
                marker={"size": 5},
                hovertemplate="%{x}:00 %{y:.4f}<extra></extra>",
                row=1,
                col=column,
            )
        if np.isfinite(measures.whole[name]):
            figure.add_hline(y=measures.whole[name], line={**LIMIT, "dash": "dot"}, row=1, col=column)
        if name != "log_loss":
            figure.add_hline(y=CHANCE, line=LIMIT, row=1, col=column)
        figure.update_yaxes(title=_unit(name), row=1, col=column)
    return Plot(
        "Metrics by hour",
        "Whether the served bundle is equally good at all hours. Dotted: the whole day; dashed: random scores. An hour "
        "has few gifts and no interval here, so a single peak means little.",
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
        figure.add_trace(bars, row=1, col=1)
    _ratio(figure, names, found, 2)
    figure.update_yaxes(title="gifts a 1,000 rows of the log", row=1, col=1)
    figure.update_xaxes(title="tenth of the rows, lowest chances first", type="category")
    return Plot("Calibration by tenth of the rows", CALIBRATED, figure.update_layout(barmode="group"))


def hours(found: Calibration) -> Plot:
    """Gifts by hour, predicted and observed, and their ratio with its interval."""
    figure = _panels(["Gifts an hour", "Predicted over observed"], 320)
    clock = found.bins % 24
    figure.add_trace(
        go.Scatter(x=clock, y=found.predicted, name="predicted", line={"color": SERVED}), row=1, col=1
    )
    figure.add_trace(go.Bar(x=clock, y=found.observed, name="observed", marker_color=OBSERVED), row=1, col=1)
    _ratio(figure, clock, found, 2)
    figure.update_yaxes(title="gifts in the log", row=1, col=1)
    return Plot("Calibration by hour", FEWER, _clock(figure))


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
        f"{limit:g} an alarm is raised.",
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


def last_days(names: Sequence[str], values: Mapping[str, Sequence[float]]) -> Plot:
    """Values of the last days and this one, a panel for each.

    Args:
        values: metric of :data:`METRICS`, or ``gift_rate``, -> one a day.
    """
    figure = _panels([METRICS.get(name, "Gifts") for name in values], 280)
    for column, (name, of_days) in enumerate(values.items(), 1):
        figure.add_scatter(
            x=names,
            y=of_days,
            mode="lines+markers",
            line={"color": OBSERVED if name == "gift_rate" else SERVED},
            marker={"size": [5] * (len(names) - 1) + [9]},
            row=1,
            col=column,
        )
        figure.update_yaxes(title=_unit(name), row=1, col=column)
    return Plot(
        "The last days",
        "Whether the served bundles keep their quality from day to day; this day is the large dot. No intervals: days "
        "differ in what happened on them, so look for a trend and not for a step.",
        figure.update_xaxes(type="category", tickangle=-40, title="day"),
    )


CALIBRATED = (
    "A calibrated bundle promises as many gifts as happen: points on the dashed line at 1. Lines are 95 % intervals "
    "over users; a point whose line does not reach 1 is out of calibration."
)
FEWER = "The same by hour: an hour has fewer gifts than a tenth of the rows, so its lines are longer."
UNITS = {"log_loss": "nats a row of the log", "gift_rate": "gifts a row of the log"}


def _unit(name: str) -> str:
    return UNITS.get(name, METRICS.get(name, name))


def _ratio(figure: go.Figure, x: NDArray | Sequence[str], found: Calibration, column: int) -> None:
    """Predicted over observed with its interval, on a scale where twice and half are equally far."""
    ratio = np.where(np.isfinite(found.ratio), found.ratio, np.nan)
    bars = error_bars([])
    bars["array"] = np.where(np.isfinite(found.high), found.high, ratio) - ratio
    bars["arrayminus"] = ratio - found.low
    points = go.Scatter(
        x=x,
        y=ratio,
        error_y=bars,
        mode="markers",
        marker={"color": SERVED, "size": 8},
        showlegend=False,
        hovertemplate="%{y:.3f}<extra></extra>",
    )
    figure.add_trace(points, row=1, col=column)
    figure.add_hline(y=1, line=LIMIT, row=1, col=column)
    figure.update_yaxes(
        type="log", tickvals=[0.25, 0.5, 0.8, 1, 1.25, 2, 4], title="factor", row=1, col=column
    )


def _panels(titles: list[str], height: int) -> go.Figure:
    return make_subplots(1, len(titles), subplot_titles=titles).update_layout(height=height)


def _clock(figure: go.Figure) -> go.Figure:
    return figure.update_xaxes(title="hour of the day", range=[-0.7, 23.7], tickvals=list(range(0, 24, 6)))
