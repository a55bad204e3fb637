"""Sheets of the labelled tables in the paper's layout."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from mmbee_plugin.experiments.comparison import METRICS
from mmbee_plugin.experiments.sheet import (
    BEST,
    SIGNIFICANT,
    Sheet,
    beside,
    difference_sheet,
    drawn_over,
    mean_of_seeds,
    p_text,
    percent,
    seeds_text,
    untested,
)
from mmbee_plugin.experiments.verdict import above, framed, gains, listed
from mmbee_plugin.tables.costs import Weighed, cost_sheet
from mmbee_plugin.tables.measures import Measured, Measures

WEIGHED = "gauc"
"""metric that costs are weighed against"""


def sheets(measures: Measures, notes: Sequence[str] = ()) -> list[Sheet]:
    """The table over all samples and, for data with time, averaged over hours; then the full model minus every other
    row; then costs.

    Args:
        notes: further lines below the table.
    """
    found = [_pooled(measures)]
    if "hours" in measures.counts:
        found.append(_hourly(measures))
    found[-1] = replace(found[-1], notes=(*_notes(measures), *notes))
    if measures.of_full:
        found.append(_of_full(measures))
    found.append(cost_sheet(weighed(measures), measures.side_by_side))
    return found if measures.tested else untested(found)


def weighed(measures: Measures) -> Weighed:
    """The rows' GAUC and costs."""
    rows = measures.rows.items()
    values = {name: measured.interval(WEIGHED) for name, measured in rows}
    return Weighed(WEIGHED.upper(), values, {name: measured.costs for name, measured in rows})


def verdict(measures: Measures, kind: str) -> str:
    """The table in one sentence.

    Args:
        kind: of the data: real, sample or simulated.
    """
    headings = {metric: metric.upper() for metric in METRICS}
    against = list(dict.fromkeys(row.against for row in measures.table.rows if row.against))
    if measures.of_full:
        found = above(str(measures.table.full), measures.of_full, headings, measures.tested)
    elif measures.improvements:
        found = gains(listed(against), measures.improvements, METRICS, measures.tested)
    else:
        found = f"{listed(list(measures.rows))} stands alone, with nothing to compare it with"
    return framed(found, kind, measures.seeds)


def of_full_lines(measures: Measures) -> list[str]:
    """Summary of the full model's comparisons, a line for each metric."""
    found = []
    for metric in METRICS:
        each = {name: (c.gain(metric), c.p_values[metric]) for name, c in measures.of_full.items()}
        sure = [
            name for name, (gain, p) in each.items() if gain > 0 and (p < SIGNIFICANT or not measures.tested)
        ]
        below = [name for name, (gain, _) in each.items() if gain <= 0]
        line = f"{metric.upper()}: {measures.table.full} is above {len(sure)} of {len(each)} rows"
        line += f" with p < {SIGNIFICANT:g}" if measures.tested else ""
        if unsure := [name for name in each if name not in sure and name not in below]:
            line += f"; above, but not beyond chance: {', '.join(unsure)}"
        if below:
            line += f"; not above: {', '.join(below)}"
        largest = f"; largest p {p_text(np.max([p for _, p in each.values()]))}" if measures.tested else ""
        found.append(line + largest)
    return found


def _pooled(measures: Measures) -> Sheet:
    table, counts = measures.table, measures.counts
    columns = [text for metric in table.metrics for text in (metric.upper(), "Impr.", "p")]
    speed = ("Training samples/s", "Inference samples/s", "MFLOPs a sample") if table.costs else ()
    rows = []
    for name, measured in measures.rows.items():
        cells = [*(measured.row.labels or (name,))]
        for metric in table.metrics:
            cells += [seeds_text(measured.pooled[metric]), *_gain(measures, name, metric)]
        rows.append((*cells, *(_costs(measured) if table.costs else ())))
    if measures.best:
        best = measures.best["pooled"]
        cells = [text for metric in table.metrics for text in (f"{best[metric]:.4f}", "", "")]
        rows.append((BEST, *[""] * (len(table.headings) - 1), *cells, *[""] * len(speed)))
    title = (
        f"Table {table.number}. {table.title}: {measures.split} split, {counts['samples']:,} samples, "
        f"{counts['positives']:,} gifts, {counts['users']:,} users, {counts['users_with_both']:,} of them with both; "
        "pooled"
    )
    return Sheet(title, (*table.headings, *columns, *speed), tuple(rows), names=len(table.headings))


def _notes(measures: Measures) -> list[str]:
    notes = [
        f"{mean_of_seeds(measures.seeds)}; Impr.: absolute, over "
        + ", ".join(dict.fromkeys(row.against for row in measures.table.rows if row.against))
        + (
            f"; p: paired bootstrap over {drawn_over(measures.seeds)}, Holm-corrected over the rows."
            if measures.tested
            else "."
        ),
    ]
    if measures.table.costs:
        notes.append(
            f"Speed: one thread, {beside(measures.side_by_side)}; FLOPs: products of matrices in inference, a "
            "multiplication and its addition counting two."
        )
    if measures.best:
        notes.append(f"{BEST}: the simulator's planted probabilities as scores.")
    if measures.of_full:
        notes += of_full_lines(measures)
    if "hours" in measures.counts:
        notes += hourly_lines(measures)
    return notes


def hourly_lines(measures: Measures) -> list[str]:
    """Notes on pooled against hourly figures; for each metric the rows whose improvements differ in sign."""
    counts = measures.counts
    found = [
        "Pooled, AUC ranks all samples together; over hours, those of the same clock hour alone, and every hour counts "
        f"the same. UAUC and GAUC: pooled of {counts['users_with_both']:,} users with both a gift and none among their "
        f"samples; over hours of {counts['user_hours_with_both']:,} user-hours with both, of {counts['user_hours']:,}."
    ]
    for metric in METRICS:
        other = []
        for name, comparison in measures.improvements.items():
            pooled = comparison.gain(metric)
            hourly = measures.hourly_gain(name, metric)
            if hourly is not None and pooled * hourly < 0:
                other.append(f"{name} (pooled {percent(pooled)}, hourly {percent(hourly)})")
        if other:
            found.append(
                f"{metric.upper()}: Impr. with another sign pooled than over hours: {', '.join(other)}."
            )
    if measures.improvements and len(found) == 1:
        found.append("Impr. has the same sign pooled and over hours, for every row and metric.")
    return found


def _hourly(measures: Measures) -> Sheet:
    table = measures.table
    rows = []
    for name, measured in measures.rows.items():
        cells = [*(measured.row.labels or (name,))]
        for metric in table.metrics:
            gain = measures.hourly_gain(name, metric)
            cells += [seeds_text(measured.hourly[metric]), "-" if gain is None else percent(gain)]
        rows.append(tuple(cells))
    if measures.best:
        best = measures.best["hourly"]
        cells = [text for metric in table.metrics for text in (f"{best[metric]:.4f}", "")]
        rows.append((BEST, *[""] * (len(table.headings) - 1), *cells))
    headings = [text for metric in table.metrics for text in (metric.upper(), "Impr.")]
    title = (
        f"The same, averaged over the {measures.counts['hours']} clock hours of the {measures.split} split"
    )
    return Sheet(title, (*table.headings, *headings), tuple(rows), names=len(table.headings))


def _of_full(measures: Measures) -> Sheet:
    note = f"In brackets the 95 % interval over {drawn_over(measures.seeds)}"
    note += "; p: Holm-corrected over the rows." if measures.tested else "."
    headings = {metric: metric.upper() for metric in METRICS}
    title = f"{measures.table.full} minus the row"
    return difference_sheet(title, measures.of_full, headings, percent, p_text, note)


def _gain(measures: Measures, name: str, metric: str) -> tuple[str, str]:
    difference = measures.improvements.get(name)
    if difference is None:
        return "-", ""
    return percent(difference.gain(metric)), p_text(difference.p_values[metric])


def _costs(measured: Measured) -> tuple[str, str, str]:
    costs = measured.costs
    return (
        f"{costs['train_samples_per_s']:,.0f}",
        f"{costs['infer_samples_per_s']:,.0f}",
        f"{costs['flops'] / 1e6:.2f}",
    )
