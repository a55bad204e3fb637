"""Writes sheets, plots and their data's provenance to one self-contained HTML file."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

import plotly.graph_objects as go
from plotly.offline import get_plotlyjs

from mmbee_plugin.experiments.sheet import Sheet
from mmbee_plugin.files import replaced

STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; color: #1b1f24; max-width: 1250px; margin: 2rem auto; padding: 0 1rem }
h1 { font-size: 1.5rem } h2 { font-size: 1.1rem; margin-top: 2.2rem }
.loud { background: #b42318; color: white; font-weight: 600; padding: .7rem 1rem; border-radius: 4px }
h1.good::before, h1.bad::before { content: ""; display: inline-block; width: .75em; height: .75em; border-radius: 50%;
margin-right: .5em; background: #1a7f37 } h1.bad::before { background: #b42318 }
.scroll { overflow-x: auto }
table { border-collapse: collapse; font-size: .87rem; font-variant-numeric: tabular-nums }
th, td { padding: .28rem .7rem; border-bottom: 1px solid #d8dee4; text-align: left; white-space: nowrap }
thead th { border-bottom: 2px solid #57606a }
.notes { color: #57606a; font-size: .87rem } pre { font-size: .8rem; overflow-x: auto }
"""
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
        real: False prints the provenance as a red banner too.
        facts: settings and versions as JSON values; each entry is folded under its name.
        good: whether the title is good news, shown by a green or red mark before it; None for neither.

    Raises:
        OSError: the file cannot be written.
    """
    loud = "" if real else f'<p class="loud">{escape(" ".join(provenance[1:]) or provenance[0])}</p>'
    folded = [
        f"<details><summary>{escape(name)}</summary><pre>"
        f"{escape(json.dumps(value, indent=1, default=str))}</pre></details>"
        for name, value in (facts or {}).items()
    ]
    body = [
        f"<h1{'' if good is None else f' class={MARKS[good]!r}'}>{escape(title)}</h1>",
        loud,
        *(f"<p>{escape(line)}</p>" for line in provenance),
        *(_heading(sheet.title, title) + _table(sheet) for sheet in sheets),
        *(
            _heading(name, title) + figure.to_html(full_html=False, include_plotlyjs=False)
            for name, figure in plots
        ),
        _heading("Settings and versions" if folded else "", title),
        *folded,
    ]
    with replaced(path) as file:
        file.write(
            '<!doctype html><html lang="en"><head><meta charset="utf-8">'
            f"<title>{escape(title)}</title><style>{STYLE}</style><script>{get_plotlyjs()}</script></head>"
            f"<body>{''.join(body)}</body></html>\n"
        )


def _heading(text: str, title: str) -> str:
    return f"<h2>{escape(text)}</h2>" if text not in ("", title) else ""


def _table(sheet: Sheet) -> str:
    head = "".join(f"<th>{escape(heading)}</th>" for heading in sheet.headings)
    rows = "".join(f"<tr>{''.join(f'<td>{escape(cell)}</td>' for cell in row)}</tr>" for row in sheet.rows)
    notes = "".join(f'<p class="notes">{escape(note)}</p>' for note in sheet.notes)
    return (
        f'<div class="scroll"><table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table></div>{notes}'
    )
