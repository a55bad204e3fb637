"""Sheets: tables as text, and the formats of their figures."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from mmbee_plugin.evaluation.bootstrap import Interval
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
    """number of leading columns that name the row; the others are figures."""


def lines(sheet: Sheet) -> list[str]:
    """Lines of the sheet as an aligned Markdown table."""
    rows = [sheet.headings, *sheet.rows]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    printed = [line(row, widths, sheet.names) for row in rows]
    notes = ["", *sheet.notes] if sheet.notes else []
    return [sheet.title, "", printed[0], rule(widths), *printed[1:], *notes]


def line(texts: Sequence[str], widths: Sequence[int], names: int) -> str:
    """A row of a Markdown table: the first ``names`` texts left-aligned, figures right-aligned."""
    padded = [
        text.ljust(width) if place < names else text.rjust(width)
        for place, (text, width) in enumerate(zip(texts, widths, strict=True))
    ]
    return f"| {' | '.join(padded)} |"


def rule(widths: Sequence[int]) -> str:
    """The line below the headings."""
    return "|" + "|".join("-" * (width + 2) for width in widths) + "|"


def untested(sheets: Sequence[Sheet]) -> list[Sheet]:
    """Sheets of generated data: drops the columns of p-values and notes why below the last sheet."""
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
    """Sheet of differences: one row minus each other one, by metric with 95 % interval and p-value.

    Args:
        differences: by the other row's name. metrics: name -> heading.
        form, p_form: format of a difference and of a p-value.
    """
    rows = []
    for name, difference in differences.items():
        cells = []
        for metric in metrics:
            cells += [with_ends(difference.found[metric].interval, form), p_form(difference.p_values[metric])]
        rows.append((name, *cells))
    headings = (text for heading in metrics.values() for text in (heading, "p"))
    return Sheet(title, ("Row", *headings), tuple(rows), (note,))


def standing(gain: float, p: float | None) -> str:
    """Words for a difference: a gain or not, and whether beyond chance; ``p`` is None without a test."""
    if not gain > 0:
        return "not above"
    return "above" if p is None or p < SIGNIFICANT else f"above, but not beyond chance (p {p_text(p)}),"


def mean_of_seeds(seeds: int) -> str:
    """Note on :func:`seeds_text`: the number of seeds and the meaning of the brackets."""
    if seeds == 1:
        return "One seed: how seeds differ is not known, and tests and intervals are over its users alone"
    return f"Mean of {seeds} seeds, in brackets the largest minus the smallest"


def drawn_over(seeds: int) -> str:
    """What the bootstrap of intervals and p-values draws."""
    return "users and seeds" if seeds > 1 else "users"


def beside(cells: int) -> str:
    """Note on timings: how many of the command's cells shared the machine."""
    return (
        f"with up to {cells} cells side by side"
        if cells > 1
        else "with no other cell of this command beside it"
    )


def seeds_text(seeds: Sequence[float], value: float | None = None) -> str:
    """The mean over seeds (or ``value`` instead), with the spread in brackets for several seeds."""
    shown = mean(seeds) if value is None else value
    return f"{shown:.4f}" + (f" ({spread(seeds):.4f})" if len(seeds) > 1 else "")


def percent(difference: float) -> str:
    """An absolute difference of a metric in percentage points, as the paper prints it."""
    return f"{100 * difference:+.2f} %"


def with_ends(found: Interval, form: Callable[[float], str]) -> str:
    """A mean and in brackets the ends of its interval, if it has any."""
    ends = f" [{form(found.low)}, {form(found.high)}]" if np.isfinite(found.low) else ""
    return form(found.mean) + ends


def p_text(value: float) -> str:
    """A p-value with the three digits that 2,000 draws resolve; ``unknown`` for NaN, of too few users."""
    return f"{value:.3f}" if np.isfinite(value) else "unknown"


def mean(values: Sequence[float]) -> float:
    """Mean over the seeds."""
    return float(np.mean(values))


def spread(values: Sequence[float]) -> float:
    """Largest minus smallest value of the seeds."""
    return float(np.ptp(values))
