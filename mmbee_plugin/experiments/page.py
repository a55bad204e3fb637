"""Writes sheets, plots and their data's provenance to one self-contained HTML file."""

from __future__ import annotations

import base64
import json
import zlib
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

import plotly.graph_objects as go
from plotly.offline import get_plotlyjs

from mmbee_plugin.experiments.colours import SERIES
from mmbee_plugin.experiments.sheet import Sheet
from mmbee_plugin.files import replaced

STYLE = """
:root { color-scheme: light dark; --ink: #1b1f24; --soft: #57606a; --line: #d8dee4; --page: #fff }
@media (prefers-color-scheme: dark) { :root { --ink: #e6edf3; --soft: #9aa4af; --line: #3a424b; --page: #0f1419 } }
body { font: 15px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--page); max-width: 1250px;
margin: 2rem auto; padding: 0 1rem }
h1 { font-size: 1.5rem } h2 { font-size: 1.1rem; margin-top: 2.2rem }
.loud { background: #b42318; color: white; font-weight: 600; padding: .7rem 1rem; border-radius: 4px }
h1.good::before, h1.bad::before { content: ""; display: inline-block; width: .75em; height: .75em; border-radius: 50%;
margin-right: .5em; background: #1a7f37 } h1.bad::before { background: #b42318 }
.scroll, .plot { overflow-x: auto }
table { border-collapse: collapse; font-size: .87rem; font-variant-numeric: tabular-nums }
th, td { padding: .28rem .7rem; border-bottom: 1px solid var(--line); text-align: left; white-space: nowrap }
thead th { border-bottom: 2px solid var(--soft) }
.notes, .data { color: var(--soft); font-size: .87rem; padding-left: 1.2rem } .notes li { margin: .15rem 0 }
.data { padding-left: 0 } pre { font-size: .8rem; overflow-x: auto }
@media print { body { max-width: none } .scroll { overflow: visible } details { display: none } }
"""
UNPACK = """
new Response(new Blob([Uint8Array.from(atob(document.getElementById("plotly").textContent), c => c.charCodeAt(0))])
.stream().pipeThrough(new DecompressionStream("deflate"))).text().then(code => { const script =
document.createElement("script"); script.textContent = code; document.head.append(script);
for (const plot of document.querySelectorAll(".plot")) { const drawn = JSON.parse(plot.firstElementChild.textContent);
Plotly.newPlot(plot, drawn.data, drawn.layout, {displayModeBar: false, responsive: true}) } })
"""
"""draws the plots once Plotly, which takes 40 % of its size packed, is unpacked"""
INK, GRID, CLEAR = "#7a828e", "rgba(128, 128, 128, 0.25)", "rgba(0, 0, 0, 0)"
"""of plots: readable on light and dark pages"""
MARKS = {True: "good", False: "bad"}
Plots = Sequence[tuple[str, go.Figure]]
"""(heading, figure) of each plot; an empty heading prints none"""


def write_page(
    path: Path,
    title: str,
    sheets: Sequence[Sheet],
    plots: Plots,
    provenance: Sequence[str],
    real: bool,
    facts: Mapping[str, Any] | None = None,
    good: bool | None = None,
) -> None:
    """Writes the page, replacing an older file atomically.

    Args:
        sheets: the tables; a sheet with the page's title prints no heading of its own.
        plots: drawn below them.
        provenance: lines that describe the data.
        real: False prints them as a red banner, but for the first.
        facts: settings and versions as JSON values; each entry is folded under its name.
        good: whether the title is good news, shown by a green or red mark before it; None for neither.

    Raises:
        OSError: the file cannot be written.
    """
    first, *others = provenance
    told, loud = (provenance, "") if real else ([first] if others else [], " ".join(others) or first)
    folded = [
        f"<details><summary>{escape(name)}</summary><pre>"
        f"{escape(json.dumps(value, indent=1, default=str))}</pre></details>"
        for name, value in (facts or {}).items()
    ]
    body = [
        f"<h1{'' if good is None else f' class={MARKS[good]!r}'}>{escape(title)}</h1>",
        f'<p class="loud">{escape(loud)}</p>' if loud else "",
        *(f'<p class="data">{escape(line)}</p>' for line in told),
        *(_heading(sheet.title, title) + _table(sheet) for sheet in sheets),
        *(_heading(name, title) + _plot(figure) for name, figure in plots),
        _heading("Settings and versions" if folded else "", title),
        *folded,
    ]
    with replaced(path) as file:
        file.write(
            '<!doctype html><html lang="en"><head><meta charset="utf-8">'
            '<meta name="viewport" content="width=device-width, initial-scale=1">'
            f"<title>{escape(title)}</title><style>{STYLE}</style></head>"
            f"<body>{''.join(body)}{_library() if plots else ''}</body></html>\n"
        )


def _heading(text: str, title: str) -> str:
    return f"<h2>{escape(text)}</h2>" if text not in ("", title) else ""


def _table(sheet: Sheet) -> str:
    head = "".join(f"<th>{escape(heading)}</th>" for heading in sheet.headings)
    rows = "".join(f"<tr>{''.join(f'<td>{escape(cell)}</td>' for cell in row)}</tr>" for row in sheet.rows)
    items = "".join(f"<li>{escape(note)}</li>" for note in sheet.notes)
    notes = f'<ul class="notes">{items}</ul>' if items else ""
    return (
        f'<div class="scroll"><table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table></div>{notes}'
    )


def _plot(figure: go.Figure) -> str:
    """A figure as JSON within the element that it is drawn in, in colours of the page."""
    drawn = go.Figure(figure).update_layout(
        paper_bgcolor=CLEAR, plot_bgcolor=CLEAR, font_color=INK, colorway=SERIES
    )
    if drawn.layout.margin.t is None:
        drawn.update_layout(margin_t=30)  # the heading stands above the figure
    drawn.update_xaxes(gridcolor=GRID, zerolinecolor=GRID).update_yaxes(gridcolor=GRID, zerolinecolor=GRID)
    content = drawn.to_json().replace("</", "<\\/")
    return f'<div class="plot"><script type="application/json">{content}</script></div>'


def _library() -> str:
    """Plotly, packed, and the script that draws."""
    packed = base64.b64encode(zlib.compress(get_plotlyjs().encode(), 9)).decode()
    return f'<script type="text/plain" id="plotly">{packed}</script><script>{UNPACK}</script>'
