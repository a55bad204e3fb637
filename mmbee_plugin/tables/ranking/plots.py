"""Plots of a ranking table: metrics of all rows, alone and against costs, and metrics and gain by user degree."""

from __future__ import annotations

import numpy as np
import plotly.graph_objects as go
from numpy.typing import NDArray

from mmbee_plugin.evaluation.bootstrap import Interval
from mmbee_plugin.experiments.colours import of_models
from mmbee_plugin.experiments.plots import LIMIT, Plot, error_bars, interval_bars, side_by_side
from mmbee_plugin.experiments.sheet import drawn_over
from mmbee_plugin.tables.costs import FRONTIER, pareto
from mmbee_plugin.tables.ranking.layout import SHOWN, WEIGHED, metric_name, weighed
from mmbee_plugin.tables.ranking.measures import METRICS, RankingMeasures


def ranking_plots(measures: RankingMeasures) -> list[Plot]:
    """The table's plots."""
    interval = f"95 % intervals over {drawn_over(measures.seeds)}"
    found = [
        Plot(
            "Metrics",
            f"Further right is better. Lines are {interval}: of rows whose lines overlap, the table of differences "
            "says more.",
            _values(measures),
        ),
        Plot(
            f"{metric_name(WEIGHED)} against cost",
            f"{FRONTIER} Lines are {interval}.",
            pareto(weighed(measures)),
        ),
    ]
    groups = [name for name in measures.counts if name[0].isdigit()]
    for metric in SHOWN:
        found.append(
            Plot(
                f"{metric_name(metric)} by user degree",
                "Which users a model is good for: those with few training interactions on the left. Lines are 95 % "
                "intervals over the users of a group (normal approximation), wide where it is small.",
                _over_degree(measures, metric, groups),
            )
        )
    if measures.differences:
        found.append(
            Plot(
                f"{measures.reference} minus the best other row, by user degree",
                f"Above zero {measures.reference} is better than whichever row is best in that group (hover names it). "
                f"Lines are {interval}: one that crosses zero may be chance.",
                _gain_over_degree(measures, groups),
            )
        )
    return found


def _values(measures: RankingMeasures) -> go.Figure:
    figure = side_by_side([metric_name(metric) for metric in METRICS], len(measures.rows))
    for column, metric in enumerate(METRICS, start=1):
        found = {name: each[metric] for name, each in measures.intervals.items()}
        colours = list(of_models(found).values())
        bars = interval_bars(found, colours, hovertemplate="%{y}: %{x:.4f}<extra></extra>")
        figure.add_trace(bars, row=1, col=column)
        figure.update_xaxes(title_text=f"{metric_name(metric)}, mean over users", row=1, col=column)
    return figure


def _over_degree(measures: RankingMeasures, metric: str, groups: list[str]) -> go.Figure:
    figure, colours = go.Figure(), of_models(measures.rows)
    for name, figures in measures.rows.items():
        own = name == measures.reference
        line = {"width": 4 if own else 1.5, "color": colours[name]}
        found = [_interval(figures.users[group][metric]) for group in groups]
        figure.add_scatter(
            x=_labels(measures, groups),
            y=[each.mean for each in found],
            error_y=error_bars(found),
            name=name,
            mode="lines+markers",
            line=line,
        )
    return _over_users(figure, f"{metric_name(metric)}, mean over users")


def _interval(values: NDArray[np.float64]) -> Interval:
    """95 % interval over the users of a group, by a normal approximation; (seeds, n) values of a metric."""
    values = values.mean(axis=0)
    mean, error = float(values.mean()), float(values.std() / max(1, len(values)) ** 0.5)
    return Interval(mean, error, mean - 1.96 * error, mean + 1.96 * error)


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
    return _over_users(figure.add_hline(y=0, line=LIMIT), "difference of the metric")


def _labels(measures: RankingMeasures, groups: list[str]) -> list[str]:
    return [f"{group}<br>({measures.counts[group][1]:,} users)" for group in groups]


def _over_users(figure: go.Figure, title: str) -> go.Figure:
    figure.update_layout(height=420)
    figure.update_xaxes(title_text="training interactions of the user", type="category")
    return figure.update_yaxes(title_text=title)
