"""Takes a figure of several subplots apart, for a page to set side by side or, on a phone, below each other."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import zip_longest
from typing import Any

import plotly.graph_objects as go

from mmbee_plugin.experiments.colours import GREY, SERIES

CLEAR, GRID = "rgba(0, 0, 0, 0)", "rgba(128, 128, 128, 0.25)"
STEPS = [step * 10.0**power for power in range(-6, 10) for step in (1, 2, 5)]
LOG_TICKS = {"tickvals": STEPS, "ticktext": [f"{step:,.6g}" for step in STEPS]}
"""of logarithmic axes, in full: plotly.js writes single digits between the powers of ten"""
HEIGHT = 450
"""Plotly's default, in pixels"""


@dataclass(frozen=True)
class Entry:
    """A line of a legend."""

    name: str
    colour: str
    kind: str
    """of :data:`KINDS`."""


KINDS = ("fill", "solid", "dash", "dot", "point")
"""bars and areas, lines, and markers without a line"""


def panels(figure: go.Figure) -> list[tuple[str, dict[str, Any]]]:
    """The subplots of a figure: title and figure of each, as JSON values of Plotly.

    Subplots that are only one below the other share their x-axis, and stay one figure. A shared range or ticks are not
    kept, so each panel can be read alone.
    """
    whole = figure.to_plotly_json()
    layout = whole["layout"]
    xs = sorted((name for name in layout if name.startswith("xaxis")), key=lambda name: int(name[5:] or 1))
    places = [tuple(layout[name].get("domain", (0.0, 1.0))) for name in xs]
    if len(set(places)) < 2:
        return [("", _drawn(whole["data"], layout, layout.get("height", HEIGHT)))]
    titles = [note["text"] for note in layout.get("annotations", ()) if note.get("xref") == "paper"]
    rows = places.count(places[0])
    height = layout.get("height", HEIGHT) / rows
    found = []
    for title, name in zip_longest(titles, xs, fillvalue=""):
        number = name[5:]
        own = [one for one in whole["data"] if one.get("xaxis", "x") == f"x{number}"]
        found.append((title, _drawn(_renamed(own, number), _layout_of(layout, number), height)))
    return found


def legend(figure: go.Figure) -> list[Entry]:
    """An entry for each name that a figure's legend has; empty for one name, which the heading tells."""
    if figure.layout.showlegend is False:
        return []
    found = {
        trace.name: _entry(trace)
        for trace in reversed(figure.data)
        if trace.name and trace.showlegend is not False
    }
    return list(found.values())[::-1] if len(found) > 1 else []


def coloured(figure: go.Figure) -> go.Figure:
    """A copy in which every trace has a colour: its own, or the next of :data:`SERIES`, the same for a name."""
    drawn = go.Figure(figure)
    names = list(dict.fromkeys(trace.name for trace in drawn.data))
    for trace in drawn.data:
        colour = SERIES[names.index(trace.name) % len(SERIES)]
        if isinstance(trace, (go.Bar, go.Histogram)):
            if trace.marker.color is None:
                trace.marker.color = colour
        elif isinstance(trace, go.Scatter) and not any(
            (trace.line.color, trace.marker.color, trace.fillcolor)
        ):
            trace.update(line_color=colour, marker_color=colour)
    return drawn


def _entry(trace: Any) -> Entry:
    colours = [trace.marker.color]
    kind = "fill"
    if isinstance(trace, go.Scatter):
        colours = [trace.fillcolor, trace.line.color, trace.marker.color]
        kind = {"dot": "dot", "dash": "dash"}.get(trace.line.dash, "solid")
        kind = "fill" if trace.stackgroup else "point" if trace.mode == "markers" else kind
    plain = (colour for colour in colours if isinstance(colour, str))
    return Entry(trace.name, next(plain, GREY), kind)


def _layout_of(layout: Mapping[str, Any], number: str) -> dict[str, Any]:
    kept = {name: value for name, value in layout.items() if not name.startswith(("xaxis", "yaxis"))}
    for letter in "xy":
        axis = dict(layout[f"{letter}axis{number}"])
        for name in ("domain", "anchor", "matches", "showticklabels"):
            axis.pop(name, None)
        kept[f"{letter}axis"] = axis
    for name in ("shapes", "annotations"):
        own = [one for one in layout.get(name, ()) if number in _numbers(one)]
        kept[name] = _renamed(own, number)
    return kept


def _numbers(one: Mapping[str, Any]) -> Iterator[str]:
    """The number of a panel that a shape or annotation refers to, as text that is empty for the first."""
    for name in ("xref", "yref"):
        place = one.get(name, "paper").split()[0]
        if place != "paper":
            yield place[1:]


def _renamed(parts: list[Any], number: str) -> list[Any]:
    """Traces, shapes or annotations that refer to the axes of one panel, made to refer to the first axes."""
    found = []
    for one in parts:
        changed = dict(one)
        for name in ("xaxis", "yaxis", "xref", "yref"):
            if name in changed:
                axis, *domain = changed[name].split()
                changed[name] = " ".join([axis[0] if axis[1:] == number else axis, *domain])
        found.append(changed)
    return found


def _drawn(data: Any, layout: Mapping[str, Any], height: float) -> dict[str, Any]:
    """A figure in the page's look: no legend and no colours of text, which the page has."""
    marked = any(layout.get("annotations", ()))
    margin = {"l": 10, "r": 20, "t": 26 if marked else 10, "b": 10, "pad": 2}
    plain: dict[str, Any] = {
        **layout,
        **{"template": {}, "showlegend": False, "height": round(height), "margin": margin},
        **{"paper_bgcolor": CLEAR, "plot_bgcolor": CLEAR, "autosize": True},
    }
    plain.pop("width", None)
    for name in {**plain, "xaxis": None, "yaxis": None}:
        if name.startswith(("xaxis", "yaxis")):
            own = plain.get(name, {})
            grid = {"gridcolor": GRID, "zerolinecolor": GRID, "zeroline": name.startswith("y")}
            ticks = LOG_TICKS if own.get("type") == "log" and "tickvals" not in own else {}
            plain[name] = {"automargin": True, **grid, **ticks, **own}
    return {"data": list(data), "layout": plain}
