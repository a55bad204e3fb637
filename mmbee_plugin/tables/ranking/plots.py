"""Plots of a ranking table: metrics of all rows, alone and against costs, and metrics and gain by user degree."""

from __future__ import annotations

import plotly.graph_objects as go

from mmbee_plugin.experiments.colours import of_models
from mmbee_plugin.experiments.plots import error_bars, interval_bars, side_by_side
from mmbee_plugin.experiments.sheet import drawn_over
from mmbee_plugin.tables.costs import pareto
from mmbee_plugin.tables.ranking.layout import SHOWN, WEIGHED, metric_name, weighed
from mmbee_plugin.tables.ranking.measures import METRICS, RankingMeasures


def ranking_plots(measures: RankingMeasures) -> list[tuple[str, go.Figure]]:
    """(heading, figure) of each plot."""
    interval = f"95 % interval over {drawn_over(measures.seeds)}"
    found = [(f"Metrics, {interval}", _values(measures))]
    found.append(
        (f"{metric_name(WEIGHED)} against cost, {interval}; dotted: the frontier", pareto(weighed(measures)))
    )
    groups = [name for name in measures.counts if name[0].isdigit()]
    for metric in SHOWN:
        found.append((f"{metric_name(metric)} over user degree", _over_degree(measures, metric, groups)))
    if measures.differences:
        title = f"{measures.reference} minus the best other row, over user degree, {interval}"
        found.append((title, _gain_over_degree(measures, groups)))
    return found


def _values(measures: RankingMeasures) -> go.Figure:
    figure = side_by_side([metric_name(metric) for metric in METRICS], len(measures.rows))
    for column, metric in enumerate(METRICS, start=1):
        found = {name: each[metric] for name, each in measures.intervals.items()}
        colours = list(of_models(found).values())
        bars = interval_bars(found, colours, hovertemplate="%{y}: %{x:.4f}<extra></extra>")
        figure.add_trace(bars, row=1, col=column)
    return figure


def _over_degree(measures: RankingMeasures, metric: str, groups: list[str]) -> go.Figure:
    figure, colours = go.Figure(), of_models(measures.rows)
    for name, figures in measures.rows.items():
        own = name == measures.reference
        line = {"width": 4 if own else 1.5, "color": colours[name]}
        values = [figures.value(metric, group) for group in groups]
        figure.add_scatter(x=_labels(measures, groups), y=values, name=name, mode="lines+markers", line=line)
    return _over_users(figure, metric_name(metric))


def _gain_over_degree(measures: RankingMeasures, groups: list[str]) -> go.Figure:
    figure = go.Figure()
    for metric in SHOWN:
        others = [measures.best_other(metric, group) for group in groups]
        found = [
            measures.differences[group][other].found[metric].interval
            for group, other in zip(groups, others, strict=True)
        ]
        figure.add_bar(
            x=_labels(measures, groups),
            y=[each.mean for each in found],
            name=metric_name(metric),
            error_y=error_bars(found),
            customdata=others,
            hovertemplate="%{y:+.4f} over %{customdata}<extra></extra>",
        )
    return _over_users(figure, "difference")


def _labels(measures: RankingMeasures, groups: list[str]) -> list[str]:
    return [f"{group}<br>({measures.counts[group][1]:,} users)" for group in groups]


def _over_users(figure: go.Figure, title: str) -> go.Figure:
    figure.update_layout(template="plotly_white", height=460, margin={"l": 10, "r": 10, "t": 20, "b": 10})
    figure.update_xaxes(title_text="training interactions of the user", type="category")
    return figure.update_yaxes(title_text=title)
