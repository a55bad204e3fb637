"""Tables as text: headings, rows of cells, notes below; printed as Markdown."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

SIGNIFICANT = 0.05
UNTESTED = "SAMPLE: the data are generated, so no p-values and no published figures stand beside these."
"""the note below sheets of generated samples"""


@dataclass(frozen=True)
class Sheet:
    """A table as text; every row has a cell for each heading."""

    title: str
    headings: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    notes: tuple[str, ...] = ()
    names: int = 1
    """how many of the first columns say what the row is; the others are figures."""


def lines(sheet: Sheet) -> list[str]:
    """The sheet as lines of a Markdown table, columns aligned."""
    rows = [sheet.headings, *sheet.rows]
    widths = [max(len(row[column]) for row in rows) for column in range(len(sheet.headings))]
    printed = [
        "| "
        + " | ".join(
            cell.ljust(width) if place < sheet.names else cell.rjust(width)
            for place, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        + " |"
        for row in rows
    ]
    rule = "|" + "|".join("-" * (width + 2) for width in widths) + "|"
    notes = ["", *sheet.notes] if sheet.notes else []
    return [sheet.title, "", printed[0], rule, *printed[1:], *notes]


def untested(sheets: Sequence[Sheet]) -> list[Sheet]:
    """The sheets of generated data: without columns of p-values, and the last of them says why."""
    found = []
    for sheet in sheets:
        kept = [place for place, heading in enumerate(sheet.headings) if heading != "p"]
        rows = tuple(tuple(row[place] for place in kept) for row in sheet.rows)
        found.append(replace(sheet, headings=tuple(sheet.headings[place] for place in kept), rows=rows))
    return [*found[:-1], replace(found[-1], notes=(*found[-1].notes, UNTESTED))]


def standing(gain: float, p: float | None) -> str:
    """Whether a difference is a gain, and whether beyond chance; ``p`` is None where nothing was tested."""
    if not gain > 0:
        return "not above"
    return "above" if p is None or p < SIGNIFICANT else f"above, but not beyond chance (p {p_text(p)}),"


def percent(difference: float) -> str:
    """An absolute difference of a metric, as the paper prints it."""
    return f"{100 * difference:+.2f} %"


def p_text(value: float) -> str:
    """A p-value with as many digits as the draws give it."""
    return f"{value:.3f}"
