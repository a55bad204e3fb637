"""Sheets: tables as text, and how figures are written in them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from mmbee_plugin.experiments.comparison import Difference

SIGNIFICANT = 0.05
BEST = "best possible"
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
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    printed = [line(row, widths, sheet.names) for row in rows]
    notes = ["", *sheet.notes] if sheet.notes else []
    return [sheet.title, "", printed[0], rule(widths), *printed[1:], *notes]


def line(texts: Sequence[str], widths: Sequence[int], names: int) -> str:
    """A row of a Markdown table: the first ``names`` texts to the left, figures to the right."""
    padded = [
        text.ljust(width) if place < names else text.rjust(width)
        for place, (text, width) in enumerate(zip(texts, widths, strict=True))
    ]
    return f"| {' | '.join(padded)} |"


def rule(widths: Sequence[int]) -> str:
    """The line below the headings."""
    return "|" + "|".join("-" * (width + 2) for width in widths) + "|"


def untested(sheets: Sequence[Sheet]) -> list[Sheet]:
    """The sheets of generated data: without columns of p-values, and the last of them says why."""
    found = []
    for sheet in sheets:
        kept = [place for place, heading in enumerate(sheet.headings) if heading != "p"]
        rows = tuple(tuple(row[place] for place in kept) for row in sheet.rows)
        found.append(replace(sheet, headings=tuple(sheet.headings[place] for place in kept), rows=rows))
    return [*found[:-1], replace(found[-1], notes=(*found[-1].notes, UNTESTED))]


def difference_sheet(
    title: str,
    differences: Mapping[str, Difference],
    metrics: Mapping[str, str],
    form: Callable[[float], str],
    p_form: Callable[[float], str],
    note: str,
) -> Sheet:
    """A row minus others, by the other's name: each metric's mean and 95 % interval, and its p-value.

    Args:
        metrics: name -> heading. form, p_form: of a difference and of a p-value.
    """
    rows = []
    for name, difference in differences.items():
        cells = []
        for metric in metrics:
            found = difference.found[metric].interval
            cells += [
                f"{form(found.mean)} [{form(found.low)}, {form(found.high)}]",
                p_form(difference.p_values[metric]),
            ]
        rows.append((name, *cells))
    headings = (text for heading in metrics.values() for text in (heading, "p"))
    return Sheet(title, ("Row", *headings), tuple(rows), (note,))


def standing(gain: float, p: float | None) -> str:
    """Whether a difference is a gain, and whether beyond chance; ``p`` is None where nothing was tested."""
    if not gain > 0:
        return "not above"
    return "above" if p is None or p < SIGNIFICANT else f"above, but not beyond chance (p {p_text(p)}),"


def mean_of_seeds(seeds: int) -> str:
    """What the figures of a sheet are a mean of, and what is in brackets behind them."""
    return f"Mean of {seeds} seed{'s, in brackets the largest minus the smallest' if seeds > 1 else ''}"


def beside(cells: int) -> str:
    """How many cells shared the machine while they were timed."""
    return f"with up to {cells} cells side by side" if cells > 1 else "with no other cell beside it"


def seeds_text(seeds: Sequence[float], value: float | None = None) -> str:
    """The mean over seeds, or ``value`` in its place, and in brackets the spread where there are several."""
    shown = mean(seeds) if value is None else value
    return f"{shown:.4f}" + (f" ({spread(seeds):.4f})" if len(seeds) > 1 else "")


def percent(difference: float) -> str:
    """An absolute difference of a metric, as the paper prints it."""
    return f"{100 * difference:+.2f} %"


def p_text(value: float) -> str:
    """A p-value with as many digits as the draws give it."""
    return f"{value:.3f}"


def mean(values: Sequence[float]) -> float:
    """Over the seeds."""
    return float(np.mean(values))


def spread(values: Sequence[float]) -> float:
    """The largest minus the smallest seed."""
    return float(np.ptp(values))
