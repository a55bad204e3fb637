"""Plots with their captions, and panels of bars with 95 % intervals, for tables and studies."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import plotly.graph_objects as go
from plotly.subplots import make_subplots

from mmbee_plugin.evaluation.bootstrap import Interval
from mmbee_plugin.experiments.colours import GREY

OTHER = GREY
"""default colour of bars"""
LIMIT = {"color": GREY, "width": 1.5, "dash": "dash"}
"""line of a threshold: a limit, chance level, the best possible"""
Scale = Callable[[float], float]


@dataclass(frozen=True)
class Plot:
    """A figure as a report shows it.

    Attributes:
        heading: printed above; empty for none.
        caption: what a reader should see in it, and what intervals and lines are.
        figure: its look (fonts, background, margins, legend) is the page's.
    """

    heading: str
    caption: str
    figure: go.Figure


def side_by_side(titles: list[str], rows: int) -> go.Figure:
    """An empty figure for horizontal bars: one panel a title, tall enough for ``rows`` bars."""
    figure = make_subplots(1, len(titles), shared_yaxes=True, horizontal_spacing=0.03, subplot_titles=titles)
    figure.update_layout(showlegend=False, height=90 + 26 * rows)
    return figure.update_yaxes(autorange="reversed", type="category")


def interval_bars(
    found: Mapping[str, Interval], colours: Sequence[str], scale: Scale = float, **given: Any
) -> go.Bar:
    """A horizontal bar for each name, with its interval; ``given`` goes to Plotly's Bar."""
    return go.Bar(
        y=list(found),
        x=[scale(each.mean) for each in found.values()],
        orientation="h",
        marker_color=list(colours),
        error_x=error_bars(found.values(), scale),
        **given,
    )


def error_bars(found: Iterable[Interval], scale: Scale = float) -> dict[str, Any]:
    """Thin error bars of intervals, in the colour of their points; the page draws those of bars in its ink."""
    return {
        "type": "data",
        "symmetric": False,
        **arms(found, scale),
        "thickness": 1.2,
    }


def arms(found: Iterable[Interval], scale: Scale = float) -> dict[str, Any]:
    """Distances from each mean to its interval's ends, as Plotly's ``array`` and ``arrayminus``."""
    ends = [(scale(each.low), scale(each.mean), scale(each.high)) for each in found]
    return {
        "array": [high - middle for _, middle, high in ends],
        "arrayminus": [middle - low for low, middle, _ in ends],
    }


def percentage(value: float) -> float:
    """A share in per cent."""
    return 100 * value
