"""Draws the picture of `mmbee data info`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from mmbee_plugin.command.extras import check_extra
from mmbee_plugin.data.inspect.info import DatasetInfo
from mmbee_plugin.errors import InputError

if TYPE_CHECKING:
    import plotly.graph_objects as go

BINS = 60


def check_picture(path: Path) -> None:
    """Raises InputError if `path` is no .html file in an existing folder, or plotly is missing."""
    if path.suffix != ".html":
        raise InputError(f"{path}: a picture is an .html file")
    if not path.absolute().parent.is_dir():
        raise InputError(f"{path}: no such folder to write to")
    check_extra("plotly", f"{path}: a picture")


def drawn(info: DatasetInfo) -> go.Figure:
    """Four charts: degrees of users and items, concentration on the top items, feature sizes, popularity baseline."""
    from plotly import graph_objects
    from plotly.subplots import make_subplots

    titles = (
        "How many have at least so many training interactions",
        "Training interactions held by the top items",
        "Row norms (words of a bag), relative to their median",
        "Popularity baseline",
    )
    figure = make_subplots(rows=2, cols=2, subplot_titles=titles, vertical_spacing=0.14)
    for name, degrees in (("users", info.user_degrees), ("items", info.item_degrees)):
        values, at_least = _at_least(degrees)
        figure.add_scatter(x=values, y=at_least, name=name, mode="lines+markers", row=1, col=1)
    share, held = _held_by_top(info.item_degrees)
    figure.add_scatter(x=share, y=held, name="items, most popular first", mode="lines", row=1, col=2)
    for modality, health in info.features.items():
        if len(health.sizes):
            relative = health.sizes / max(float(np.median(health.sizes)), 1e-12)
            counts, edges = np.histogram(relative, bins=BINS)
            figure.add_scatter(
                x=(edges[:-1] + edges[1:]) / 2,
                y=counts,
                name=modality,
                mode="lines",
                line_shape="hvh",
                row=2,
                col=1,
            )
    for part, metrics in info.popularity.items():
        shown = {name: value for name, value in metrics.items() if name != "users"}
        bars = graph_objects.Bar(x=list(shown), y=list(shown.values()), name=part)
        figure.add_trace(bars, row=2, col=2)
    figure.update_xaxes(type="log", title_text="training interactions", row=1, col=1)
    figure.update_yaxes(type="log", row=1, col=1)
    figure.update_xaxes(title_text="share of the items", tickformat=".0%", row=1, col=2)
    figure.update_yaxes(tickformat=".0%", row=1, col=2)
    return figure.update_layout(height=840, template="plotly_white")


def _at_least(degrees: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The occurring degrees above 0, ascending, and how many have at least each."""
    values, counts = np.unique(degrees[degrees > 0], return_counts=True)
    return values, counts[::-1].cumsum()[::-1]


def _held_by_top(degrees: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """201 shares of the items, most popular first, and the shares of the training interactions they hold."""
    held = np.concatenate(([0], np.sort(degrees)[::-1].cumsum()))
    share = np.linspace(0, 1, 201)
    return share, held[np.rint(share * len(degrees)).astype(int)] / max(1, held[-1])
