"""Cost beside accuracy: a sheet of all rows' costs, and a plot of accuracy against them with its frontier."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from mmbee_plugin.evaluation.bootstrap import Interval
from mmbee_plugin.experiments.colours import GREY, of_models
from mmbee_plugin.experiments.plots import error_bars
from mmbee_plugin.experiments.sheet import Sheet, beside

COLUMNS = {
    "parameters": ("Parameters", "{:,.0f}"),
    "embedding_parameters": ("of embeddings", "{:,.0f}"),
    "train_cpu_seconds": ("Training CPU s", "{:,.4g}"),
    "rank_cpu_ms": ("Ranking CPU ms a user", "{:.3g}"),
    "score_cpu_us": ("Scoring CPU µs a sample", "{:.3g}"),
    "epochs": ("Epochs", "{:.0f}"),
    "epoch_seconds": ("s an epoch", "{:.1f}"),
    "seconds": ("Seconds", "{:,.0f}"),
    "peak_rss_mb": ("Peak MB", "{:,.0f}"),
}
"""fact of a cell -> heading and format; a sheet has those that any row has"""
FRONTIER = "Up and to the left is better: more for less. No row on the dotted line is beaten in both."
"""caption of the plot"""
AGAINST = ("train_cpu_seconds", "rank_cpu_ms", "score_cpu_us")
"""costs that the plot shows accuracy against"""


@dataclass(frozen=True)
class Weighed:
    """What rows cost, and the metric that the costs are weighed against.

    Attributes:
        metric: its heading. values: row -> its value with the 95 % interval.
        costs: row -> costs of :data:`COLUMNS`, means over its seeds; a row may lack some.
    """

    metric: str
    values: Mapping[str, Interval]
    costs: Mapping[str, Mapping[str, float]]

    def known(self, costs: Sequence[str]) -> list[str]:
        """Those of the costs that any row has."""
        return [cost for cost in costs if any(cost in of_row for of_row in self.costs.values())]

    def of(self, cost: str) -> dict[str, float]:
        """Row -> one cost, rows without it left out."""
        return {name: of_row[cost] for name, of_row in self.costs.items() if cost in of_row}

    def frontier(self, cost: str) -> list[str]:
        """The :func:`frontier` of the metric against one cost."""
        return frontier(self.of(cost), {name: value.mean for name, value in self.values.items()})


def cost_sheet(weighed: Weighed, side_by_side: int) -> Sheet:
    """The costs of each row, and who is on the frontier.

    Args:
        side_by_side: most cells that were made at once.
    """
    columns = weighed.known(tuple(COLUMNS))
    cells = tuple(
        (name, *(COLUMNS[cost][1].format(costs[cost]) if cost in costs else "" for cost in columns))
        for name, costs in weighed.costs.items()
    )
    notes = [
        f"Means over the seeds, one thread, {beside(side_by_side)}. CPU s, ms and µs: time of the process on the core, "
        "which what runs beside it lengthens a little, by caches and memory; seconds: by the clock, of the whole cell.",
        "Parameters: trained weights. Training: all epochs and their validations until it stopped, or the counting of "
        "a row that only counts. The graph stage, which rows share and the data keep, is in no row's training, and in "
        "the seconds of the cell that made it.",
    ]
    notes += [
        f"Frontier, no row has a higher {weighed.metric} for less {COLUMNS[cost][0]}: "
        f"{', '.join(weighed.frontier(cost))}."
        for cost in weighed.known(AGAINST)
    ]
    return Sheet("Cost", ("Row", *(COLUMNS[cost][0] for cost in columns)), cells, tuple(notes))


def frontier(costs: Mapping[str, float], values: Mapping[str, float]) -> list[str]:
    """Rows that no other one beats in cost and value both, by ascending cost.

    Example:
        >>> frontier({"a": 1.0, "b": 2.0, "c": 3.0}, {"a": 0.5, "b": 0.4, "c": 0.6})
        ['a', 'c']
    """
    found: list[str] = []
    for name in sorted(costs, key=lambda name: (costs[name], -values[name])):
        if not found or values[name] > values[found[-1]]:
            found.append(name)
    return found


def pareto(weighed: Weighed) -> go.Figure:
    """Accuracy against each cost, on a logarithmic axis, with 95 % intervals; the frontier is a line of steps."""
    values, shown = weighed.values, weighed.known(AGAINST)
    figure = make_subplots(1, len(shown), subplot_titles=[COLUMNS[cost][0] for cost in shown])
    colours = of_models(values)
    for column, cost in enumerate(shown, start=1):
        costs, best = weighed.of(cost), weighed.frontier(cost)
        ends = np.log10([max(min(costs.values()), 1e-9), max(*costs.values(), 1e-9)])
        middle = 10 ** ends.mean()
        line = {"color": GREY, "dash": "dot", "shape": "hv"}
        steps = go.Scatter(
            x=[costs[name] for name in best],
            y=[values[name].mean for name in best],
            mode="lines",
            line=line,
            hoverinfo="skip",
        )
        points = go.Scatter(
            x=list(costs.values()),
            y=[values[name].mean for name in costs],
            error_y=error_bars([values[name] for name in costs]),
            mode="markers+text",
            marker={
                "size": [12 if name in best else 8 for name in costs],
                "color": [colours[name] for name in costs],
            },
            text=[f" <b>{name}</b> " if name in best else f" {name} " for name in costs],
            textposition=[f"middle {'right' if costs[name] <= middle else 'left'}" for name in costs],
            textfont_size=10,
            customdata=[f"{weighed.costs[name]['parameters']:,.0f}" for name in costs],
            hovertemplate="%{text}: %{y:.4f} at %{x:.3g}, %{customdata} parameters<extra></extra>",
        )
        figure.add_trace(steps, row=1, col=column).add_trace(points, row=1, col=column)
        room = max(0.35 * (ends[1] - ends[0]), 0.3)  # for the names beside the outermost points
        span = [ends[0] - room, ends[1] + room]
        figure.update_xaxes(title_text=COLUMNS[cost][0], type="log", range=span, row=1, col=column)
    figure.update_yaxes(title_text=weighed.metric)
    return figure.update_layout(height=480, showlegend=False)
