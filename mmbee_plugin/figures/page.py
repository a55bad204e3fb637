"""A figure with its table as one HTML file that needs nothing else."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from pathlib import Path

import plotly.graph_objects as go
from plotly.offline import get_plotlyjs

from mmbee_plugin.experiments.html import STYLE
from mmbee_plugin.experiments.sheet import Sheet
from mmbee_plugin.files import replaced


def write_page(path: Path, sheet: Sheet, figure: go.Figure, provenance: Sequence[str], real: bool) -> None:
    """Writes the table and the plots, an older file replaced whole or not at all.

    Args:
        provenance: lines that say what the data are.
        real: whether they are real; a red line says so where they are not.
    """
    loud = "" if real else f'<p class="loud">{escape(" ".join(provenance[1:]) or provenance[0])}</p>'
    head = "".join(f"<th>{escape(heading)}</th>" for heading in sheet.headings)
    rows = "".join(f"<tr>{''.join(f'<td>{escape(cell)}</td>' for cell in row)}</tr>" for row in sheet.rows)
    body = [
        f"<h1>{escape(sheet.title)}</h1>",
        loud,
        *(f"<p>{escape(line)}</p>" for line in provenance),
        f'<div class="scroll"><table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table></div>',
        *(f'<p class="notes">{escape(note)}</p>' for note in sheet.notes),
        figure.to_html(full_html=False, include_plotlyjs=False),
    ]
    page = (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        f"<title>{escape(sheet.title)}</title><style>{STYLE}</style><script>{get_plotlyjs()}</script></head>"
        f"<body>{''.join(body)}</body></html>\n"
    )
    with replaced(path) as file:
        file.write(page)
