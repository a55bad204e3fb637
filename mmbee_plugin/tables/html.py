"""The report of a table: one HTML file that needs nothing else, with its plots."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

import plotly.graph_objects as go
from plotly.offline import get_plotlyjs
from plotly.subplots import make_subplots

from mmbee_plugin.tables.layout import BEST, Sheet
from mmbee_plugin.tables.measures import METRICS, Measures

STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; color: #1b1f24; max-width: 1250px; margin: 2rem auto; padding: 0 1rem }
h1 { font-size: 1.5rem } h2 { font-size: 1.1rem; margin-top: 2.2rem }
.loud { background: #b42318; color: white; font-weight: 600; padding: .7rem 1rem; border-radius: 4px }
.scroll { overflow-x: auto }
table { border-collapse: collapse; font-size: .87rem; font-variant-numeric: tabular-nums }
th, td { padding: .28rem .7rem; border-bottom: 1px solid #d8dee4; text-align: left; white-space: nowrap }
thead th { border-bottom: 2px solid #57606a }
.notes { color: #57606a; font-size: .87rem } pre { font-size: .8rem; overflow-x: auto }
"""
COLOURS = {"mmoe": "#4c78a8", "sim": "#e4572e"}
OTHER = "#7a828e"


def page(
    measures: Measures,
    printed: Sequence[Sheet],
    provenance: Sequence[str],
    real: bool,
    facts: Mapping[str, Any],
) -> str:
    """The report as HTML.

    Args:
        printed: the table's sheets.
        provenance: lines that say what the data are.
        real: whether they are real; a red line says so where they are not.
        facts: settings and versions, as JSON has them; each entry is folded away under its name.
    """
    title = f"Table {measures.table.number}, {measures.split} split"
    loud = "" if real else f'<p class="loud">{escape(" ".join(provenance[1:]) or provenance[0])}</p>'
    plots = [
        f"<h2>{escape(name)}</h2>{figure.to_html(full_html=False, include_plotlyjs=False)}"
        for name, figure in _plots(measures)
    ]
    folded = [
        f"<details><summary>{escape(name)}</summary><pre>{escape(text)}</pre></details>"
        for name, text in ((name, json.dumps(value, indent=1, default=str)) for name, value in facts.items())
    ]
    body = [
        f"<h1>{escape(title)}</h1>",
        loud,
        *(f"<p>{escape(line)}</p>" for line in provenance),
        *map(_sheet, printed),
        *plots,
        "<h2>Settings and versions</h2>",
        *folded,
    ]
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        f"<title>{escape(title)}</title><style>{STYLE}</style><script>{get_plotlyjs()}</script></head>"
        f"<body>{''.join(body)}</body></html>\n"
    )


def _sheet(sheet: Sheet) -> str:
    head = "".join(f"<th>{escape(heading)}</th>" for heading in sheet.headings)
    rows = "".join(f"<tr>{''.join(f'<td>{escape(cell)}</td>' for cell in row)}</tr>" for row in sheet.rows)
    notes = "".join(f'<p class="notes">{escape(note)}</p>' for note in sheet.notes)
    return (
        f'<h2>{escape(sheet.title)}</h2><div class="scroll"><table><thead><tr>{head}</tr></thead>'
        f"<tbody>{rows}</tbody></table></div>{notes}"
    )


def _plots(measures: Measures) -> list[tuple[str, go.Figure]]:
    plots = [("Pooled metrics, bars from chance, 95 % interval over users", _values(measures))]
    if measures.improvements:
        plots.append(("Absolute improvement, 95 % interval over users", _improvements(measures)))
    if measures.table.costs:
        plots.append(("Cost", _costs(measures)))
    return plots


def _values(measures: Measures) -> go.Figure:
    figure = _side_by_side([metric.upper() for metric in METRICS], len(measures.rows))
    for column, metric in enumerate(METRICS, start=1):
        found = {name: measured.interval(metric) for name, measured in measures.rows.items()}
        values = [100 * (each.mean - 0.5) for each in found.values()]
        bars = go.Bar(
            y=list(found),
            x=values,
            orientation="h",
            marker_color=[_colour(measures, name) for name in found],
            error_x=_interval(
                [(100 * (each.low - 0.5), 100 * (each.high - 0.5)) for each in found.values()], values
            ),
            customdata=[each.mean for each in found.values()],
            hovertemplate="%{y}: %{customdata:.4f}<extra></extra>",
        )
        figure.add_trace(bars, row=1, col=column)
        if measures.best:
            at = 100 * (measures.best["pooled"][metric] - 0.5)
            figure.add_vline(x=at, line_dash="dash", annotation_text=BEST, row=1, col=column)
    return figure.update_xaxes(title_text="points above chance, %")


def _improvements(measures: Measures) -> go.Figure:
    figure = _side_by_side([metric.upper() for metric in METRICS], len(measures.improvements))
    for column, metric in enumerate(METRICS, start=1):
        found = {name: each.differences[metric].interval for name, each in measures.improvements.items()}
        names = [f"{name} - {measures.improvements[name].against}" for name in found]
        values = [100 * each.mean for each in found.values()]
        bars = go.Bar(
            y=names,
            x=values,
            orientation="h",
            marker_color=[_colour(measures, name) for name in found],
            error_x=_interval([(100 * each.low, 100 * each.high) for each in found.values()], values),
            customdata=[each.p_values[metric] for each in measures.improvements.values()],
            hovertemplate="%{y}: %{x:+.2f} %, p %{customdata:.3f}<extra></extra>",
        )
        figure.add_trace(bars, row=1, col=column)
    return figure.update_xaxes(title_text="absolute difference, %")


def _costs(measures: Measures) -> go.Figure:
    shown = {
        "training samples/s": ("train_samples_per_s", 1.0),
        "inference samples/s": ("infer_samples_per_s", 1.0),
        "MFLOPs a sample": ("flops", 1e-6),
    }
    figure = _side_by_side(list(shown), len(measures.rows))
    for column, (cost, scale) in enumerate(shown.values(), start=1):
        values = [scale * measured.costs[cost] for measured in measures.rows.values()]
        bars = go.Bar(y=list(measures.rows), x=values, orientation="h", marker_color=OTHER)
        figure.add_trace(bars, row=1, col=column)
    return figure


def _side_by_side(titles: list[str], rows: int) -> go.Figure:
    figure = make_subplots(1, len(titles), shared_yaxes=True, horizontal_spacing=0.03, subplot_titles=titles)
    figure.update_layout(
        template="plotly_white",
        showlegend=False,
        height=140 + 26 * rows,
        margin={"l": 10, "r": 10, "t": 40, "b": 10},
    )
    return figure.update_yaxes(autorange="reversed", automargin=True, type="category")


def _interval(edges: list[tuple[float, float]], values: list[float]) -> dict[str, Any]:
    return {
        "type": "data",
        "symmetric": False,
        "array": [high - value for (_, high), value in zip(edges, values, strict=True)],
        "arrayminus": [value - low for (low, _), value in zip(edges, values, strict=True)],
        "thickness": 1.2,
        "color": "#1b1f24",
    }


def _colour(measures: Measures, name: str) -> str:
    return COLOURS.get(str(measures.rows[name].row.settings.get("backbone")), OTHER)
