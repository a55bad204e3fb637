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
from mmbee_plugin.experiments.colours import GREY
from mmbee_plugin.experiments.plots import OTHER

MAIN, EVENT, LAST = "#2f6fab", "#d4572f", "#b9c0c8"
LIMIT = {"color": GREY, "width": 1, "dash": "dot"}


def by_hour(measures: Measures) -> go.Figure:
    """Metrics by hour of the day, a panel each, with the day's value as a dotted line."""
    figure = _panels(list(METRICS.values()), 250)
    for column, name in enumerate(METRICS, 1):
        found = measures.hours[name]
        if found is not None:
            figure.add_scatter(
                x=found.hours % 24,
                y=found.values,
                mode="lines+markers",
                line={"color": MAIN},
                marker={"size": 5},
                hovertemplate="%{x}:00 %{y:.4f}<extra></extra>",
                row=1,
                col=column,
            )
        if np.isfinite(measures.whole[name]):
            figure.add_hline(y=measures.whole[name], line=LIMIT, row=1, col=column)
    return _clock(figure)


def deciles(found: Calibration) -> go.Figure:
    """Predicted and observed gifts a row of the log by tenth, and their ratio with its interval."""
    figure = _panels(["Gifts a 1,000 rows", "Predicted over observed"], 300)
    names = [f"{bin + 1}" for bin in found.bins]
    for label, values, colour in (("predicted", found.predicted, MAIN), ("observed", found.observed, EVENT)):
        bars = go.Bar(x=names, y=1000 * values / found.rows, name=label, marker_color=colour)
        figure.add_trace(bars, row=1, col=1)
    _ratio(figure, names, found, 2)
    figure.update_xaxes(title="tenth of the rows, lowest chances first", type="category")
    return figure.update_layout(barmode="group", showlegend=True, legend={"orientation": "h", "y": 1.2})


def hours(found: Calibration) -> go.Figure:
    """Gifts by hour, predicted and observed, and their ratio with its interval."""
    figure = _panels(["Gifts an hour", "Predicted over observed"], 300)
    clock = found.bins % 24
    figure.add_trace(
        go.Scatter(x=clock, y=found.predicted, name="predicted", line={"color": MAIN}), row=1, col=1
    )
    figure.add_trace(go.Bar(x=clock, y=found.observed, name="observed", marker_color=EVENT), row=1, col=1)
    _ratio(figure, clock, found, 2)
    return _clock(figure).update_layout(showlegend=True, legend={"orientation": "h", "y": 1.2})


def stability(found: Stability) -> go.Figure:
    """Shares of the rows by bin of chances, yesterday and today, in the same hours."""
    figure = _panels([f"PSI {found.psi:.3f}"], 280)
    ends = [0.0, *found.edges, np.inf]
    names = [f"from {low:.2%}" for low in ends[:-1]]
    for label, shares, colour in (("yesterday", found.before, LAST), ("today", found.after, MAIN)):
        figure.add_bar(x=names, y=shares, name=label, marker_color=colour)
    figure.update_yaxes(tickformat=".0%", rangemode="tozero", title="share of the rows")
    figure.update_xaxes(title="chance of a gift, in tenths of yesterday", type="category")
    return figure.update_layout(barmode="group", showlegend=True, legend={"orientation": "h", "y": 1.2})


def norms(found: Mapping[str, float], limit: float) -> go.Figure:
    """Relative change of each table's mean norm, with the gate's limits."""
    figure = _panels(["Change of the mean norm since the served bundle"], 120 + 24 * len(found))
    names = sorted(found, key=lambda name: abs(found[name]))
    figure.add_bar(y=names, x=[found[name] for name in names], orientation="h", marker_color=MAIN)
    for end in (limit, 1 / (1 + limit) - 1):
        figure.add_vline(x=end, line=LIMIT)
    return figure.update_xaxes(tickformat="+.0%").update_yaxes(automargin=True)


def last_days(names: Sequence[str], lines: Mapping[str, Sequence[float]]) -> go.Figure:
    """Values of the last days and this one, a panel for each line."""
    figure = _panels(list(lines), 250)
    for column, values in enumerate(lines.values(), 1):
        figure.add_scatter(
            x=names,
            y=values,
            mode="lines+markers",
            line={"color": MAIN},
            marker={"size": [5] * (len(names) - 1) + [9]},
            row=1,
            col=column,
        )
    return figure.update_xaxes(type="category", tickangle=-40)


def _ratio(figure: go.Figure, x: NDArray | Sequence[str], found: Calibration, column: int) -> None:
    """Predicted over observed with its interval, on a scale where twice and half are equally far."""
    ratio = np.where(np.isfinite(found.ratio), found.ratio, np.nan)
    bars = {
        "type": "data",
        "symmetric": False,
        "array": np.where(np.isfinite(found.high), found.high, ratio) - ratio,
        "arrayminus": ratio - found.low,
        "thickness": 1.2,
        "color": OTHER,
    }
    points = go.Scatter(
        x=x,
        y=ratio,
        error_y=bars,
        mode="markers",
        marker={"color": MAIN, "size": 8},
        showlegend=False,
        hovertemplate="%{y:.3f}<extra></extra>",
    )
    figure.add_trace(points, row=1, col=column)
    figure.add_hline(y=1, line=LIMIT, row=1, col=column)
    figure.update_yaxes(type="log", tickvals=[0.25, 0.5, 0.8, 1, 1.25, 2, 4], row=1, col=column)


def _panels(titles: list[str], height: int) -> go.Figure:
    figure = make_subplots(1, len(titles), horizontal_spacing=0.07, subplot_titles=titles)
    return figure.update_layout(
        template="plotly_white", showlegend=False, height=height, margin={"l": 10, "r": 10, "t": 50, "b": 10}
    )


def _clock(figure: go.Figure) -> go.Figure:
    return figure.update_xaxes(title="hour", range=[-0.7, 23.7], tickvals=list(range(0, 24, 6)))
