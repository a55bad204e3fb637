"""Table of means and plots of a room's timeline."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import plotly.graph_objects as go
import typer
from numpy.typing import NDArray
from plotly.subplots import make_subplots

from mmbee_plugin.experiments.colours import BLUE, GREY, OWN, SERIES, YELLOW
from mmbee_plugin.experiments.plots import Plot
from mmbee_plugin.experiments.scoring import open_trained
from mmbee_plugin.experiments.sheet import Sheet
from mmbee_plugin.experiments.study import Answer, study
from mmbee_plugin.figures.room import Timeline, read_timeline
from mmbee_plugin.moments import clock

GIFT, LINE, SHADE = BLUE, OWN, YELLOW
PANELS = (
    "Gifts, and their amount",
    "Attention by modality",
    "Attention by query and modality",
    "Change of the fused vector",
    "Mean logit of the audience",
)


@study(
    "figure room",
    "figure-room",
    room=typer.Option(metavar="ID", help="Default: that with the most gifts in the test part."),
)
def room(checkpoint: Path, room: str | None = None) -> Answer:
    """The timeline of one live room: what the author's queries read by segment, and the gifts on it.

    The checkpoint is of MMBee on live data.
    """
    trained = open_trained(checkpoint)
    line = read_timeline(trained.network, trained.train, room)
    return Answer(*room_figure(line), trained.folder, f"Checkpoint: {checkpoint.name}")


def room_figure(line: Timeline) -> tuple[str, Sheet, Plot]:
    """The verdict, means over segments with and without gifts and highlights, and the timeline with gifts marked."""
    end = clock(line.ends[-1])[11:]
    notes = (
        f"Author {line.author}, {clock(line.starts[0])} to {end} UTC. A sample sees the last {line.attention.shape[3]} "
        f"segments; gifts are samples: what one visit gave in one window.",
        "By modality: share of the queries' attention, over tokens that have heard the others before (eq. 5); "
        "newest: the part of it on the newest segment.",
        "Change: length of the step that the fused vector makes from the segment before.",
        *line.notes,
    )
    headings = ("segments", "number", "gifts", "amount", *line.modalities, "newest", "change", "logit")
    rows = tuple(_row(name, line, chosen) for name, chosen in _groups(line))
    plot = Plot(
        "The room by segment",
        "Whether what the queries read, and with it the score, moves where gifts happen (marked on every panel) or "
        "where a highlight was planted (shaded). One room of one model, without intervals: a story, not a result.",
        _plots(line),
    )
    return _verdict(line), Sheet(f"Timeline of room {line.room}", headings, rows, notes), plot


def _verdict(line: Timeline) -> str:
    """The logit in segments with and without gifts."""
    given = line.gifts > 0
    if given.all() or not given.any():
        found = "gifts in every segment" if given.any() else "no gifts"
        return f"room {line.room} has {found}, so there is nothing to compare"
    with_gifts, without = float(line.logit[given].mean()), float(line.logit[~given].mean())
    return (
        f"in room {line.room} the mean logit is {with_gifts:.2f} in the {int(given.sum()):,} segments with gifts and "
        f"{without:.2f} in the {int((~given).sum()):,} without; one room proves nothing"
    )


def _groups(line: Timeline) -> Iterator[tuple[str, NDArray[np.bool_]]]:
    """(name, mask of segments) of each row of the table."""
    yield "all", np.ones(len(line.starts), dtype=bool)
    yield "with gifts", line.gifts > 0
    yield "without", line.gifts == 0
    if line.highlight is not None:
        yield "planted highlight", line.highlight
        yield "no highlight", ~line.highlight


def _row(name: str, line: Timeline, chosen: NDArray[np.bool_]) -> tuple[str, ...]:
    def mean(values: NDArray[np.floating], digits: int = 3) -> str:
        known = values[chosen & np.isfinite(values)]
        return f"{known.mean():.{digits}f}" if len(known) else "-"

    shares = _by_modality(line)
    newest = line.attention[..., -1].sum(axis=2).mean(axis=1)
    return (
        name,
        f"{int(chosen.sum()):,}",
        f"{int(line.gifts[chosen].sum()):,}",
        f"{line.amounts[chosen].sum():,.0f}",
        *(mean(shares[:, place]) for place in range(len(line.modalities))),
        mean(newest),
        mean(line.change, 2),
        mean(line.logit, 2),
    )


def _by_modality(line: Timeline) -> NDArray[np.float32]:
    """(T, M) share of the attention, averaged over the queries."""
    return line.attention.sum(axis=3).mean(axis=1)


def _plots(line: Timeline) -> go.Figure:
    figure = make_subplots(
        len(PANELS),
        1,
        shared_xaxes=True,
        vertical_spacing=0.04,
        row_heights=[0.2, 0.2, 0.28, 0.16, 0.16],
        subplot_titles=PANELS,
        specs=[[{"secondary_y": place == 0}] for place in range(len(PANELS))],
    )
    minutes = (line.starts - line.starts[0]) / 60
    width = (line.ends - line.starts) / 60
    middle = minutes + width / 2
    given = line.gifts > 0
    bars = go.Bar(x=middle, y=line.gifts, width=width, name="gifts", marker_color=GIFT)
    sums = go.Scatter(
        x=middle[given],
        y=line.amounts[given],
        mode="markers",
        name="amount",
        marker={"symbol": "diamond", "size": 6, "color": GREY},
    )
    figure.add_trace(bars, row=1, col=1)
    figure.add_trace(sums, row=1, col=1, secondary_y=True)
    shares = _by_modality(line)
    for place, (name, colour) in enumerate(zip(line.modalities, SERIES[2:] * 9, strict=False)):
        area = go.Scatter(
            x=middle,
            y=shares[:, place],
            name=name,
            stackgroup="attention",
            line={"width": 0},
            fillcolor=colour,
        )
        figure.add_trace(area, row=2, col=1)
    by_query = line.attention.sum(axis=3)  # (T, N, M)
    names = [f"{name} {n + 1}" for name in line.modalities for n in range(by_query.shape[1])]
    activation = by_query.transpose(2, 1, 0).reshape(len(names), -1)
    colours = {"len": 0.28, "y": 0.46, "thickness": 8}
    heat = go.Heatmap(x=middle, y=names, z=activation, colorscale="Viridis", colorbar=colours)
    figure.add_trace(heat, row=3, col=1)
    for row, values in ((4, line.change), (5, line.logit)):
        curve = go.Scatter(x=middle, y=values, mode="lines", line={"color": LINE}, showlegend=False)
        figure.add_trace(curve, row=row, col=1)
        marks = go.Scatter(
            x=middle[given],
            y=values[given],
            mode="markers",
            marker={"color": GIFT, "size": 5},
            showlegend=False,
        )
        figure.add_trace(marks, row=row, col=1)
    if line.highlight is not None:
        _shade(figure, minutes, width, line.highlight)
    figure.update_yaxes(title_text="amount", type="log", showgrid=False, row=1, col=1, secondary_y=True)
    figure.update_yaxes(autorange="reversed", row=3, col=1)
    figure.update_xaxes(title_text=f"minutes since {clock(line.starts[0])} UTC", row=len(PANELS), col=1)
    titles = ("gifts", "share", "modality and query", "length", "logit")
    for row, title in enumerate(titles, start=1):
        figure.update_yaxes(title_text=title, row=row, col=1, secondary_y=False if row == 1 else None)
    return figure.update_layout(height=1180, bargap=0)


def _shade(
    figure: go.Figure, minutes: NDArray[np.float64], width: NDArray[np.float64], chosen: NDArray[np.bool_]
) -> None:
    """Shades runs of chosen segments on all panels but the coloured ones, which would hide the shade."""
    edges = np.diff(np.concatenate([[0], chosen.astype(int), [0]]))
    for first, after in zip(np.flatnonzero(edges == 1), np.flatnonzero(edges == -1), strict=True):
        for row in (1, 4, 5):
            figure.add_vrect(
                x0=minutes[first],
                x1=minutes[after - 1] + width[after - 1],
                fillcolor=SHADE,
                opacity=0.5,
                line_width=0,
                layer="below",
                row=row,
                col=1,
            )
    label = go.Scatter(
        x=[None],
        y=[None],
        mode="markers",
        name="planted highlight",
        marker={"symbol": "square", "size": 12, "color": SHADE},
    )
    figure.add_trace(label, row=1, col=1)
