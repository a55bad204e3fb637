"""Sheets of a ranking table."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from mmbee_plugin.evaluation.resampling import MEAN_DRAWS
from mmbee_plugin.experiments.sheet import (
    Sheet,
    difference_sheet,
    drawn_over,
    mean_of_seeds,
    p_text,
    seeds_text,
    standing,
    untested,
    with_ends,
)
from mmbee_plugin.experiments.verdict import above, framed, listed
from mmbee_plugin.tables.costs import Weighed, cost_sheet
from mmbee_plugin.tables.ranking.measures import (
    ALL,
    FEW,
    METRICS,
    NEW,
    RankingMeasures,
    RowFigures,
)
from mmbee_plugin.tables.ranking.published import Publication
from mmbee_plugin.tables.ranking.rows import NUMBER

SHOWN = ("recall@20", "ndcg@20")
"""metrics in the sheet of groups"""
GROUPS = {
    ALL: "all pairs",
    FEW: "pairs of users with at most two training interactions",
    NEW: "pairs with an item that has no training interaction",
}
NAMES = {"recall": "Recall", "precision": "Precision", "ndcg": "NDCG"}
WEIGHED = "recall@20"
"""metric that costs are weighed against"""


def ranking_sheets(
    measures: RankingMeasures, protocol: Sequence[str], published: Sequence[Publication]
) -> list[Sheet]:
    """The table, the reference row minus every other one, groups of pairs, costs, and published figures.

    Args:
        protocol: notes on ranking, tuning and the rows' own settings.
    """
    found = [_table(measures, protocol)]
    if measures.differences:
        found.append(_differences(measures))
    found += [_groups(measures), cost_sheet(weighed(measures), measures.side_by_side)]
    return [*(found if measures.tested else untested(found)), *map(_published, published)]


def weighed(measures: RankingMeasures) -> Weighed:
    """The rows' Recall@20 and costs."""
    values = {name: of_row[WEIGHED] for name, of_row in measures.intervals.items()}
    return Weighed(metric_name(WEIGHED), values, {name: row.costs for name, row in measures.rows.items()})


def verdict(measures: RankingMeasures, kind: str) -> str:
    """The table in one sentence.

    Args:
        kind: of the data: real, sample or simulated.
    """
    if measures.differences:
        headings = {metric: metric_name(metric) for metric in SHOWN}
        found = above(measures.reference, measures.differences[ALL], headings, measures.tested)
    elif others := [name for name in measures.rows if name != measures.reference]:
        found = f"{listed(others)} is not compared with {measures.reference}"
    else:
        found = f"{measures.reference} is compared with no other row"
    return framed(found, kind, measures.seeds)


def metric_name(metric: str) -> str:
    """``recall@20`` -> ``Recall@20``."""
    name, _, k = metric.partition("@")
    return f"{NAMES[name]}@{k}"


def best_other_lines(measures: RankingMeasures) -> list[str]:
    """The reference row's difference from the best other row, a line for each metric."""
    found = []
    for metric in METRICS:
        other = measures.best_other(metric)
        difference = measures.differences[ALL][other]
        best, gain = measures.rows[other].value(metric), difference.found[metric].interval
        p = difference.p_values[metric]
        verdict = standing(gain.mean, p if measures.tested else None)
        share = f" ({gain.mean / best:+.1%})" if best else ""
        found.append(
            f"{metric_name(metric)}: {measures.reference} is {verdict} the best other row, {other}: "
            f"{gain.mean:+.4f}{share}"
            + (f", 95 % interval {gain.low:+.4f} to {gain.high:+.4f}" if np.isfinite(gain.low) else "")
            + (f", p {_p(p)}" if measures.tested else "")
        )
    return found


def _table(measures: RankingMeasures, protocol: Sequence[str]) -> Sheet:
    best = {metric: max(figures.value(metric) for figures in measures.rows.values()) for metric in METRICS}
    rows = []
    for name, figures in measures.rows.items():
        cells = [_value(figures, metric, best[metric]) for metric in METRICS]
        rows.append((name, *cells, str(figures.tried or "-")))
    pairs, users = measures.counts[ALL]
    notes = [
        f"{mean_of_seeds(measures.seeds)}; * the best row. Tried: settings in the row's tuning.",
        *protocol,
    ]
    if measures.differences:
        notes += best_other_lines(measures)
    headings = ("Model", *map(metric_name, METRICS), "Tried")
    title = f"Table {NUMBER}. Full ranking, {measures.split} split: {pairs:,} pairs of {users:,} users"
    return Sheet(title, headings, tuple(rows), tuple(notes))


def _differences(measures: RankingMeasures) -> Sheet:
    note = (
        "In brackets the 95 % interval"
        + ("; p: two-sided, Holm-corrected over the rows. Both" if measures.tested else ",")
        + f" by the paired bootstrap over {drawn_over(measures.seeds)}, {MEAN_DRAWS:,} draws."
    )
    headings = {metric: metric_name(metric) for metric in METRICS}
    title = f"{measures.reference} minus the row"
    return difference_sheet(title, measures.differences[ALL], headings, "{:+.4f}".format, _p, note)


def _groups(measures: RankingMeasures) -> Sheet:
    groups = [group for group in GROUPS if group in measures.counts]
    headings = [f"{metric_name(metric)}, {group}" for group in groups for metric in SHOWN]
    rows = [
        (name, *(f"{figures.value(metric, group):.4f}" for group in groups for metric in SHOWN))
        for name, figures in measures.rows.items()
    ]
    notes = []
    for group in groups:
        pairs, users = measures.counts[group]
        notes.append(f"{group}: {GROUPS[group]}, {pairs:,} of {users:,} users, ranked among all items.")
        for metric in SHOWN if measures.differences and group != ALL else ():
            other = measures.best_other(metric, group)
            difference = measures.differences[group][other]
            gain = difference.found[metric].interval
            notes.append(
                f"  {metric_name(metric)}: {measures.reference} minus the best other, {other}: "
                f"{with_ends(gain, '{:+.4f}'.format)}"
                + (f", p {_p(difference.p_values[metric])}" if measures.tested else "")
            )
    notes += [
        f"{group}: there are no {text} in this split."
        for group, text in GROUPS.items()
        if group not in groups
    ]
    by_degree = {name: measures.counts[name][1] for name in measures.counts if name[0].isdigit()}
    notes.append(
        "users by training interactions: " + ", ".join(f"{name}: {n:,}" for name, n in by_degree.items())
    )
    return Sheet("Where the figures come from", ("Model", *headings), tuple(rows), tuple(notes))


def _published(publication: Publication) -> Sheet:
    metrics = [metric for metric in METRICS if any(metric in row for row in publication.rows.values())]
    rows = [
        (name, *(f"{row[metric]:.4f}" if metric in row else "" for metric in metrics))
        for name, row in publication.rows.items()
    ]
    return Sheet(
        f"Published, not measured here: {publication.data}",
        ("Model", *map(metric_name, metrics)),
        tuple(rows),
        (f"Source: {publication.source}.", *publication.notes),
    )


def _value(figures: RowFigures, metric: str, best: float) -> str:
    value = figures.value(metric)
    return f"{seeds_text(figures.seeds[metric], value)}{'*' if value == best else ' '}"


def _p(value: float) -> str:
    return f"{value:.4f}" if value < 0.001 else p_text(value)
