"""Draws the picture of `mmbee data info`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from mmbee_plugin.command.extras import check_extra
from mmbee_plugin.data.inspect.info import DatasetInfo, warnings
from mmbee_plugin.errors import InputError

if TYPE_CHECKING:
    import plotly.graph_objects as go

BINS = 60
HEIGHT = 360
"""of a chart, in pixels"""
EQUAL = "#7a828e"
"""colour of what to compare with"""


def check_picture(path: Path) -> None:
    """Raises InputError if `path` is no .html file in an existing folder, or plotly is missing."""
    if path.suffix != ".html":
        raise InputError(f"{path}: a picture is an .html file")
    if not path.absolute().parent.is_dir():
        raise InputError(f"{path}: no such folder to write to")
    check_extra("plotly", f"{path}: a picture")


def verdict(info: DatasetInfo) -> str:
    """The data in one sentence: their size and what is wrong with them."""
    folder, faults = info.folder, warnings(info)
    rows = sum(info.samples.values()) or sum(map(len, info.parts.values()))
    what = f"{rows:,} rows of {len(info.user_degrees):,} users and {len(info.item_degrees):,} items"
    if not faults:
        return f"Nothing was found wrong with {what} of {folder.name}."
    first = faults[0].removeprefix("warning: ")
    more = f", and {len(faults) - 1} more" if len(faults) > 1 else ""
    return f"Look at this before training on {what} of {folder.name}: {first}{more}."


def drawn(info: DatasetInfo) -> list[tuple[str, str, go.Figure]]:
    """(heading, caption, figure) of each chart: degrees, concentration on the top items, feature sizes, popularity."""
    charts = [
        (
            "Degrees",
            "How many users and items have at least so many training interactions, both scales logarithmic. A straight "
            "line is the usual long tail; a step is a cut that somebody made.",
            _degrees(info),
        ),
        (
            "Concentration",
            "Share of the training interactions that the most popular items hold. The further the curve is above the "
            "dashed line, where all are equally popular, the better a popularity baseline does.",
            _concentration(info),
        ),
    ]
    if any(len(health.sizes) for health in info.features.values()):
        charts.append(
            (
                "Sizes of features",
                "Norms of rows (words of a bag) relative to the median of their modality, which the dashed line marks. "
                "One hump is healthy; a second one far off is another scale or a fault.",
                _sizes(info),
            )
        )
    charts.append(
        (
            "Popularity baseline",
            "What counting training interactions scores on each held-out part, without a model"
            + ("; dashed: random scores." if info.samples else "; a model has to be above it."),
            _popularity(info),
        )
    )
    return charts


def _degrees(info: DatasetInfo) -> go.Figure:
    from plotly.graph_objects import Figure

    figure = Figure()
    for name, degrees in (("users", info.user_degrees), ("items", info.item_degrees)):
        values, at_least = _at_least(degrees)
        figure.add_scatter(x=values, y=at_least, name=name, mode="lines+markers")
    figure.update_xaxes(type="log", title_text="training interactions, at least")
    return figure.update_yaxes(type="log", title_text="users or items").update_layout(height=HEIGHT)


def _concentration(info: DatasetInfo) -> go.Figure:
    from plotly.graph_objects import Figure

    share, held = _held_by_top(info.item_degrees)
    figure = Figure().add_scatter(x=share, y=held, mode="lines")
    equal = {"dash": "dash", "color": EQUAL}
    figure.add_scatter(x=[0, 1], y=[0, 1], mode="lines", line=equal, showlegend=False)
    figure.update_xaxes(title_text="share of the items, most popular first", tickformat=".0%")
    return figure.update_yaxes(
        title_text="share of the training interactions", tickformat=".0%"
    ).update_layout(height=HEIGHT)


def _sizes(info: DatasetInfo) -> go.Figure:
    from plotly.graph_objects import Figure

    figure = Figure()
    for modality, health in info.features.items():
        if len(health.sizes):
            relative = health.sizes / max(float(np.median(health.sizes)), 1e-12)
            counts, edges = np.histogram(relative, bins=BINS)
            middle = (edges[:-1] + edges[1:]) / 2
            figure.add_scatter(x=middle, y=counts, name=modality, mode="lines", line_shape="hvh")
    figure.add_vline(x=1, line={"dash": "dash", "color": EQUAL})
    figure.update_xaxes(title_text="norm or words, relative to the median")
    return figure.update_yaxes(title_text="rows").update_layout(height=HEIGHT)


def _popularity(info: DatasetInfo) -> go.Figure:
    from plotly.graph_objects import Figure

    figure = Figure()
    for part, metrics in info.popularity.items():
        shown = {name: value for name, value in metrics.items() if name != "users"}
        figure.add_bar(x=list(shown), y=list(shown.values()), name=part)
    if info.samples:
        figure.add_hline(y=0.5, line={"dash": "dash", "color": EQUAL})
    figure.update_xaxes(title_text="metric", type="category")
    return figure.update_yaxes(title_text="value of the metric").update_layout(height=HEIGHT)


def _at_least(degrees: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The occurring degrees above 0, ascending, and how many have at least each."""
    values, counts = np.unique(degrees[degrees > 0], return_counts=True)
    return values, counts[::-1].cumsum()[::-1]


def _held_by_top(degrees: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """201 shares of the items, most popular first, and the shares of the training interactions they hold."""
    held = np.concatenate(([0], np.sort(degrees)[::-1].cumsum()))
    share = np.linspace(0, 1, 201)
    return share, held[np.rint(share * len(degrees)).astype(int)] / max(1, held[-1])
