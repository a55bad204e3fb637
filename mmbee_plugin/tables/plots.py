"""Plots of the labelled tables: metrics, improvements, speed and costs of all rows."""

from __future__ import annotations

from collections.abc import Iterable

import plotly.graph_objects as go

from mmbee_plugin.experiments.colours import FULL, of_models
from mmbee_plugin.experiments.comparison import METRICS
from mmbee_plugin.experiments.plots import LIMIT, OTHER, Plot, interval_bars, percentage, side_by_side
from mmbee_plugin.experiments.sheet import BEST, drawn_over
from mmbee_plugin.tables.costs import FRONTIER, pareto
from mmbee_plugin.tables.layout import WEIGHED, weighed
from mmbee_plugin.tables.measures import Measures


def plots(measures: Measures) -> list[Plot]:
    """The table's plots."""
    interval = f"95 % intervals over {drawn_over(measures.seeds)}"
    bound = f" Dashed: {BEST}." if measures.best else ""
    found = [
        Plot(
            "Pooled metrics",
            f"Further right is better; zero is a model that ranks by chance. Lines are {interval}: of rows whose lines "
            f"overlap, the differences below say more.{bound}",
            _values(measures),
        )
    ]
    if measures.improvements:
        found.append(
            Plot(
                "Improvement over the baseline",
                "Right of zero the row is better than its baseline; a line that crosses zero may be chance. Lines are "
                f"{interval}.",
                _improvements(measures),
            )
        )
    if measures.table.costs:
        found.append(
            Plot(
                "Speed",
                "What a row costs: speed further right is better, operations further left. Each bar is a mean over the "
                "seeds, timed once each, so without interval.",
                _speed(measures),
            )
        )
    caption = f"{FRONTIER} Lines are {interval}."
    found.append(Plot(f"{WEIGHED.upper()} against cost", caption, pareto(weighed(measures))))
    return found


def _values(measures: Measures) -> go.Figure:
    figure = side_by_side([metric.upper() for metric in METRICS], len(measures.rows))
    for column, metric in enumerate(METRICS, start=1):
        found = {name: measured.interval(metric) for name, measured in measures.rows.items()}
        bars = interval_bars(
            found,
            _colours(measures, found),
            _above_chance,
            customdata=[each.mean for each in found.values()],
            hovertemplate="%{y}: %{customdata:.4f}<extra></extra>",
        )
        figure.add_trace(bars, row=1, col=column)
        if measures.best:
            at = _above_chance(measures.best["pooled"][metric])
            note = {"annotation_text": BEST, "annotation_position": "top"}
            figure.add_vline(x=at, line=LIMIT, **note, row=1, col=column)
    return figure.update_xaxes(title_text="points above chance (0.5), %")


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
            _colours(measures, measures.improvements),
            percentage,
            customdata=[each.p_values[metric] for each in measures.improvements.values()],
            hovertemplate="%{y}: %{x:+.2f} points, p %{customdata:.3f}<extra></extra>",
        )
        figure.add_trace(bars, row=1, col=column)
    return figure.update_xaxes(title_text="difference, percentage points")


def _speed(measures: Measures) -> go.Figure:
    shown = {
        "Training": ("train_samples_per_s", 1.0, "samples a second"),
        "Inference": ("infer_samples_per_s", 1.0, "samples a second"),
        "Operations of inference": ("flops", 1e-6, "MFLOPs a sample"),
    }
    figure = side_by_side(list(shown), len(measures.rows))
    for column, (cost, scale, unit) in enumerate(shown.values(), start=1):
        values = [scale * measured.costs[cost] for measured in measures.rows.values()]
        colours = _colours(measures, measures.rows)
        bars = go.Bar(y=list(measures.rows), x=values, orientation="h", marker_color=colours)
        figure.add_trace(bars, row=1, col=column)
        figure.update_xaxes(title_text=unit, row=1, col=column)
    return figure


def _colours(measures: Measures, names: Iterable[str]) -> list[str]:
    """The full model's and the baselines' colours; others are grey, being between them."""
    against = {row.against for row in measures.table.rows}
    named = of_models([name for name in measures.rows if name in (*against, *FULL)])
    return [named.get(name, OTHER) for name in names]
