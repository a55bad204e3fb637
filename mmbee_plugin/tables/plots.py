"""The plots of the labelled tables: metrics, improvements and cost of every row."""

from __future__ import annotations

from typing import Any

import plotly.graph_objects as go
from plotly.subplots import make_subplots

from mmbee_plugin.tables.layout import BEST
from mmbee_plugin.tables.measures import METRICS, Measures
from mmbee_plugin.tables.rows import COLOURS

OTHER = "#7a828e"


def plots(measures: Measures) -> list[tuple[str, go.Figure]]:
    """Each plot under its heading."""
    found = [("Pooled metrics, bars from chance, 95 % interval over users", _values(measures))]
    if measures.improvements:
        found.append(("Absolute improvement, 95 % interval over users", _improvements(measures)))
    if measures.table.costs:
        found.append(("Cost", _costs(measures)))
    return found


def _values(measures: Measures) -> go.Figure:
    figure = side_by_side([metric.upper() for metric in METRICS], len(measures.rows))
    for column, metric in enumerate(METRICS, start=1):
        found = {name: measured.interval(metric) for name, measured in measures.rows.items()}
        values = [100 * (each.mean - 0.5) for each in found.values()]
        bars = go.Bar(
            y=list(found),
            x=values,
            orientation="h",
            marker_color=[_colour(measures, name) for name in found],
            error_x=error_bars(
                [(100 * (each.low - 0.5), 100 * (each.high - 0.5)) for each in found.values()], values
            ),
            customdata=[each.mean for each in found.values()],
            hovertemplate="%{y}: %{customdata:.4f}<extra></extra>",
        )
        figure.add_trace(bars, row=1, col=column)
        if measures.best:
            at = 100 * (measures.best["pooled"][metric] - 0.5)
            figure.add_vline(x=at, line_dash="dash", annotation_text=BEST, row=1, col=column)
    return figure.update_xaxes(title_text="points above chance, %")


def _improvements(measures: Measures) -> go.Figure:
    figure = side_by_side([metric.upper() for metric in METRICS], len(measures.improvements))
    for column, metric in enumerate(METRICS, start=1):
        found = {name: each.differences[metric].interval for name, each in measures.improvements.items()}
        names = [f"{name} - {measures.improvements[name].against}" for name in found]
        values = [100 * each.mean for each in found.values()]
        bars = go.Bar(
            y=names,
            x=values,
            orientation="h",
            marker_color=[_colour(measures, name) for name in found],
            error_x=error_bars([(100 * each.low, 100 * each.high) for each in found.values()], values),
            customdata=[each.p_values[metric] for each in measures.improvements.values()],
            hovertemplate="%{y}: %{x:+.2f} %, p %{customdata:.3f}<extra></extra>",
        )
        figure.add_trace(bars, row=1, col=column)
    return figure.update_xaxes(title_text="absolute difference, %")


def _costs(measures: Measures) -> go.Figure:
    shown = {
        "training samples/s": ("train_samples_per_s", 1.0),
        "inference samples/s": ("infer_samples_per_s", 1.0),
        "MFLOPs a sample": ("flops", 1e-6),
    }
    figure = side_by_side(list(shown), len(measures.rows))
    for column, (cost, scale) in enumerate(shown.values(), start=1):
        values = [scale * measured.costs[cost] for measured in measures.rows.values()]
        bars = go.Bar(y=list(measures.rows), x=values, orientation="h", marker_color=OTHER)
        figure.add_trace(bars, row=1, col=column)
    return figure


def side_by_side(titles: list[str], rows: int) -> go.Figure:
    """Horizontal bars of ``rows`` rows, a panel for each title."""
    figure = make_subplots(1, len(titles), shared_yaxes=True, horizontal_spacing=0.03, subplot_titles=titles)
    figure.update_layout(
        template="plotly_white",
        showlegend=False,
        height=140 + 26 * rows,
        margin={"l": 10, "r": 10, "t": 40, "b": 10},
    )
    return figure.update_yaxes(autorange="reversed", automargin=True, type="category")


def error_bars(edges: list[tuple[float, float]], values: list[float]) -> dict[str, Any]:
    """Plotly's error bars from (low, high) of each value."""
    return {
        "type": "data",
        "symmetric": False,
        "array": [high - value for (_, high), value in zip(edges, values, strict=True)],
        "arrayminus": [value - low for (low, _), value in zip(edges, values, strict=True)],
        "thickness": 1.2,
        "color": "#1b1f24",
    }


def _colour(measures: Measures, name: str) -> str:
    return COLOURS.get(str(measures.rows[name].row.settings.get("backbone")), OTHER)
