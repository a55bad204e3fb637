"""The report of a table: one HTML file that needs nothing else, with its plots."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

import plotly.graph_objects as go
from plotly.offline import get_plotlyjs

from mmbee_plugin.experiments.sheet import Sheet

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
Plots = Sequence[tuple[str, go.Figure]]
"""plots, each under its heading"""


def page(
    title: str,
    printed: Sequence[Sheet],
    plots: Plots,
    provenance: Sequence[str],
    real: bool,
    facts: Mapping[str, Any],
) -> str:
    """The report as HTML.

    Args:
        printed: the table's sheets.
        plots: what stands below them.
        provenance: lines that say what the data are.
        real: whether they are real; a red line says so where they are not.
        facts: settings and versions, as JSON has them; each entry is folded away under its name.
    """
    loud = "" if real else f'<p class="loud">{escape(" ".join(provenance[1:]) or provenance[0])}</p>'
    drawn = [
        f"<h2>{escape(name)}</h2>{figure.to_html(full_html=False, include_plotlyjs=False)}"
        for name, figure in plots
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
        *drawn,
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
