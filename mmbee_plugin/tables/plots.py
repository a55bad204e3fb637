"""Plots of the labelled tables: metrics, improvements, speed and costs of all rows."""

from __future__ import annotations

import plotly.graph_objects as go

from mmbee_plugin.experiments.comparison import METRICS
from mmbee_plugin.experiments.plots import OTHER, interval_bars, percentage, side_by_side
from mmbee_plugin.experiments.sheet import BEST, drawn_over
from mmbee_plugin.tables.costs import pareto
from mmbee_plugin.tables.layout import WEIGHED, weighed
from mmbee_plugin.tables.measures import Measures
from mmbee_plugin.tables.rows import COLOURS


def plots(measures: Measures) -> list[tuple[str, go.Figure]]:
    """(heading, figure) of each plot."""
    interval = f"95 % interval over {drawn_over(measures.seeds)}"
    found = [(f"Pooled metrics, bars from chance, {interval}", _values(measures))]
    if measures.improvements:
        found.append((f"Absolute improvement, {interval}", _improvements(measures)))
    if measures.table.costs:
        found.append(("Speed", _speed(measures)))
    found.append(
        (f"{WEIGHED.upper()} against cost, {interval}; dotted: the frontier", pareto(weighed(measures)))
    )
    return found


def _values(measures: Measures) -> go.Figure:
    figure = side_by_side([metric.upper() for metric in METRICS], len(measures.rows))
    for column, metric in enumerate(METRICS, start=1):
        found = {name: measured.interval(metric) for name, measured in measures.rows.items()}
        bars = interval_bars(
            found,
            [_colour(measures, name) for name in found],
            _above_chance,
            customdata=[each.mean for each in found.values()],
            hovertemplate="%{y}: %{customdata:.4f}<extra></extra>",
        )
        figure.add_trace(bars, row=1, col=column)
        if measures.best:
            at = _above_chance(measures.best["pooled"][metric])
            figure.add_vline(x=at, line_dash="dash", annotation_text=BEST, row=1, col=column)
    return figure.update_xaxes(title_text="points above chance, %")


def _above_chance(value: float) -> float:
    return percentage(value - 0.5)


def _improvements(measures: Measures) -> go.Figure:
    figure = side_by_side([metric.upper() for metric in METRICS], len(measures.improvements))
    for column, metric in enumerate(METRICS, start=1):
        found = {
            f"{name} - {measures.rows[name].row.against}": each.found[metric].interval
            for name, each in measures.improvements.items()
        }
        bars = interval_bars(
            found,
            [_colour(measures, name) for name in measures.improvements],
            percentage,
            customdata=[each.p_values[metric] for each in measures.improvements.values()],
            hovertemplate="%{y}: %{x:+.2f} %, p %{customdata:.3f}<extra></extra>",
        )
        figure.add_trace(bars, row=1, col=column)
    return figure.update_xaxes(title_text="absolute difference, %")


def _speed(measures: Measures) -> go.Figure:
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


def _colour(measures: Measures, name: str) -> str:
    return COLOURS.get(str(measures.rows[name].row.settings.get("backbone")), OTHER)
