"""What a table leaves behind: CSV, JSON and one HTML file, each saying what the data are."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from mmbee_plugin.experiments.cells import Cell
from mmbee_plugin.experiments.files import Report
from mmbee_plugin.experiments.html import page
from mmbee_plugin.experiments.sheet import Sheet
from mmbee_plugin.tables.measures import METRICS, Measures, mean, spread
from mmbee_plugin.tables.plots import plots

COLUMNS = (
    *("table", "kind", "split", "row", "metric", "averaged", "value", "spread", "low", "high"),
    *("against", "improvement", "improvement_low", "improvement_high", "p", "p_holm"),
)


def write_report(
    report: Report,
    measures: Measures,
    printed: Sequence[Sheet],
    provenance: Sequence[str],
    kind: str,
    facts: Mapping[str, Any],
    cells: Mapping[str, Sequence[Cell]],
) -> None:
    """Writes the three files, each replaced whole.

    Args:
        provenance: lines that say what the data are. kind: real, sample or simulated.
        facts: settings and versions. cells: of each row, one a seed.
    """
    content = {
        "provenance": list(provenance),
        "kind": kind,
        "table": measures.table.number,
        "split": measures.split,
        "counts": measures.counts,
        "best possible": measures.best,
        "notes": [note for sheet in printed for note in sheet.notes],
        "rows": {name: _row(measures, name, cells[name]) for name in measures.rows},
        "full minus the row": {name: asdict(comparison) for name, comparison in measures.of_full.items()},
        **facts,
    }
    title = f"Table {measures.table.number}, {measures.split} split"
    shown = page(title, printed, plots(measures), provenance, kind == "real", facts)
    report.write(COLUMNS, _lines(measures, kind), content, shown)


def _row(measures: Measures, name: str, cells: Sequence[Cell]) -> dict[str, Any]:
    measured, comparison = measures.rows[name], measures.improvements.get(name)
    return {
        "settings": dict(measured.row.settings),
        "against": measured.row.against,
        "pooled": measured.pooled,
        "hourly": measured.hourly,
        "intervals": {metric: asdict(measured.interval(metric)) for metric in METRICS},
        "improvement": asdict(comparison) if comparison else None,
        "hourly improvement": {
            metric: gain
            for metric in measured.hourly
            if (gain := measures.hourly_gain(name, metric)) is not None
        },
        "costs": measured.costs,
        "cells": [cell.facts for cell in cells],
    }


def _lines(measures: Measures, kind: str) -> Iterator[dict[str, Any]]:
    """A line of the CSV for each row, metric and way of averaging, then for each cost."""
    same = {"table": measures.table.number, "kind": kind, "split": measures.split}
    for name, measured in measures.rows.items():
        own = {**same, "row": name, "against": measured.row.against or ""}
        for metric in METRICS:
            yield {**own, **_pooled(measures, name, metric)}
        for metric, seeds in measured.hourly.items():
            line = {"metric": metric, "averaged": "hours", "value": mean(seeds), "spread": spread(seeds)}
            gain = measures.hourly_gain(name, metric)
            yield {**own, **line, **({} if gain is None else {"improvement": gain})}
        for cost, value in measured.costs.items():
            yield {**same, "row": name, "metric": cost, "averaged": "cells", "value": value}
    for averaged, values in measures.best.items():
        for metric, value in values.items():
            yield {**same, "row": "best possible", "metric": metric, "averaged": averaged, "value": value}


def _pooled(measures: Measures, name: str, metric: str) -> dict[str, Any]:
    measured, comparison = measures.rows[name], measures.improvements.get(name)
    interval, seeds = measured.interval(metric), measured.pooled[metric]
    line = {
        "metric": metric,
        "averaged": "pooled",
        "value": mean(seeds),
        "spread": spread(seeds),
        "low": interval.low,
        "high": interval.high,
    }
    if comparison is None:
        return line
    gain = comparison.differences[metric]
    return {
        **line,
        "improvement": gain.interval.mean,
        "improvement_low": gain.interval.low,
        "improvement_high": gain.interval.high,
        **({"p": gain.p_value, "p_holm": comparison.p_values[metric]} if measures.tested else {}),
    }
