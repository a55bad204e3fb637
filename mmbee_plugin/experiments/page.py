"""A report as one HTML file: a verdict, where the data are from, sheets, and plots that need no other file."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

from plotly.io.json import to_json_plotly

from mmbee_plugin.experiments.panels import coloured, legend, panels
from mmbee_plugin.experiments.plots import Plot
from mmbee_plugin.experiments.sheet import Sheet
from mmbee_plugin.files import replaced

ASSETS = Path(__file__).parent / "assets"
HEAD = (
    '<!doctype html><html lang="en"><head><meta charset="utf-8">'
    '<meta name="viewport" content="width=device-width, initial-scale=1"><link rel="icon" href="data:,">'
)
"""of every page; the empty icon keeps a browser from asking the server for one"""
LIBRARY = ASSETS / "plotly" / "plotly-cartesian.min.js.gz"
"""plotly.js as published, without the kinds of plots that no report has: a third of the whole"""
MARKS = {True: " good", False: " bad", None: ""}
SHORT = 15
"""characters"""
TIME, WHOLE = re.compile(r"\d{4}-\d\d-\d\d( \d\d:\d\d(:\d\d)?)?"), r"<time>\g<0></time>"
"""a moment in a cell, which stays on one line"""


def page_style() -> str:
    """The stylesheet of all reports."""
    return (ASSETS / "page.css").read_text(encoding="utf-8")


def write_page(
    path: Path,
    title: str,
    verdict: str,
    sheets: Sequence[Sheet],
    plots: Sequence[Plot],
    provenance: Sequence[str],
    real: bool,
    facts: Mapping[str, Any] | None = None,
    good: bool | None = None,
) -> None:
    """Writes the page, replacing an older file atomically.

    Args:
        verdict: what the figures say, in one sentence; the first thing on the page below its title.
        sheets: the tables; a sheet with the page's title prints no heading of its own.
        plots: drawn below them.
        provenance: lines that describe the data.
        real: False prints in red the second of these lines, which says of what the data are, or the only one.
        facts: settings and versions as JSON values; each entry is folded under its name.
        good: whether the verdict is good news, shown by a green or red mark beside it; None for neither.

    Raises:
        OSError: the file cannot be written.
    """
    body = [
        f'<header><h1>{escape(title)}</h1><p class="verdict{MARKS[good]}">{escape(verdict)}</p></header>',
        _strip(provenance, real),
        *(_section(sheet.title if sheet.title != title else "", _table(sheet)) for sheet in sheets),
        *(_section(plot.heading, _plot(plot, number)) for number, plot in enumerate(plots)),
        _section("Settings and versions", _folded(facts)) if facts else "",
    ]
    with replaced(path) as file:
        file.write(
            f"{HEAD}<title>{escape(title)}</title><style>{page_style()}</style></head>"
            f"<body>{''.join(body)}{_library() if plots else ''}</body></html>\n"
        )


def _strip(provenance: Sequence[str], real: bool) -> str:
    loud = -1 if real else min(1, len(provenance) - 1)
    marks = ['class="loud"' if place == loud else "" for place in range(len(provenance))]
    lines = (f"<p {mark}>{escape(line)}</p>" for mark, line in zip(marks, provenance, strict=True))
    return f'<aside class="strip" aria-label="Data">{"".join(lines)}</aside>'


def _section(heading: str, content: str) -> str:
    return f"<section>{heading and f'<h2>{escape(heading)}</h2>'}{content}</section>"


def _table(sheet: Sheet) -> str:
    def row(cells: Sequence[str], tag: str) -> str:
        found = (
            f"<{tag}{_kind(cell) if place < sheet.names else ''}>{TIME.sub(WHOLE, escape(cell))}</{tag}>"
            for place, cell in enumerate(cells)
        )
        return f"<tr>{''.join(found)}</tr>"

    items = "".join(f"<li>{escape(note)}</li>" for note in sheet.notes)
    rows = "".join(row(cells, "td") for cells in sheet.rows)
    return (
        f'<div class="scroll"><table><thead>{row(sheet.headings, "th")}</thead><tbody>{rows}</tbody></table></div>'
        + (f'<ul class="notes">{items}</ul>' if items else "")
    )


def _kind(name: str) -> str:
    """Class of a cell that names its row; a short one, such as a date, stays on one line."""
    return ' class="name short"' if len(name) <= SHORT else " class=name"


def _plot(plot: Plot, number: int) -> str:
    """A plot as JSON within the elements that its panels are drawn in, with its caption and legend as text."""
    figure = coloured(plot.figure)
    entries = "".join(
        f'<li><i class="{one.kind}" style="--colour: {one.colour}"></i>{escape(one.name)}</li>'
        for one in legend(figure)
    )
    drawn = "".join(_panel(plot.heading, title, one, number) for title, one in panels(figure))
    return (
        f'<figure><figcaption id="caption-{number}">{escape(plot.caption)}</figcaption>'
        + (f'<ul class="legend">{entries}</ul>' if entries else "")
        + f'<div class="panels">{drawn}</div></figure>'
    )


def _panel(heading: str, title: str, drawn: Mapping[str, Any], number: int) -> str:
    content = to_json_plotly(drawn).replace("</", "<\\/")
    label = escape(": ".join(part for part in (heading, title) if part), quote=True)
    named = title and f"<p>{escape(title)}</p>"
    return (
        f'<div class="panel">{named}'
        f'<div class="plot" role="img" aria-label="{label}" aria-describedby="caption-{number}">'
        f'<script type="application/json">{content}</script></div></div>'
    )


def _folded(facts: Mapping[str, Any]) -> str:
    return "".join(
        f"<details><summary>{escape(name)}</summary><pre>"
        f"{escape(json.dumps(value, indent=1, default=str))}</pre></details>"
        for name, value in facts.items()
    )


def _library() -> str:
    """plotly.js as gzip, and the script that draws."""
    packed = base64.b64encode(LIBRARY.read_bytes()).decode()
    script = (ASSETS / "page.js").read_text(encoding="utf-8")
    return (
        "<noscript><p>The plots are drawn by a script, which this browser does not run.</p></noscript>"
        f'<script type="text/plain" id="plotly">{packed}</script><script>{script}</script>'
    )
