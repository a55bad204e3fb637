"""Writes a labelled table's CSV, JSON and HTML page, each with the data's provenance."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from mmbee_plugin.experiments.cells import Cell
from mmbee_plugin.experiments.comparison import METRICS, Difference
from mmbee_plugin.experiments.report import Report
from mmbee_plugin.experiments.sheet import BEST, Sheet, mean, spread
from mmbee_plugin.tables.layout import verdict
from mmbee_plugin.tables.measures import Measures
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
) -> list[str]:
    """Writes the three files and returns the lines to print.

    Args:
        provenance: lines that describe the data. kind: real, sample or simulated.
        facts: settings and versions. cells: row -> one cell a seed.
    """
    full = measures.table.full
    content = {
        "kind": kind,
        "table": measures.table.number,
        "split": measures.split,
        "counts": measures.counts,
        "best possible": measures.best,
        "notes": [note for sheet in printed for note in sheet.notes],
        "rows": {name: _row(measures, name, cells[name]) for name in measures.rows},
        "full minus the row": {name: _minus(full, name, one) for name, one in measures.of_full.items()},
    }
    title = f"Table {measures.table.number}, {measures.split} split"
    page = title, verdict(measures, kind), printed, plots(measures), provenance, kind == "real"
    return report.write(*page, COLUMNS, _lines(measures, kind), content, facts)


def _row(measures: Measures, name: str, cells: Sequence[Cell]) -> dict[str, Any]:
    measured, gain = measures.rows[name], measures.improvements.get(name)
    return {
        "settings": dict(measured.row.settings),
        "against": measured.row.against,
        "pooled": measured.pooled,
        "hourly": measured.hourly,
        "intervals": {metric: asdict(measured.interval(metric)) for metric in METRICS},
        "improvement": _minus(name, measured.row.against, gain) if gain else None,
        "hourly improvement": {
            metric: hourly
            for metric in measured.hourly
            if (hourly := measures.hourly_gain(name, metric)) is not None
        },
        "costs": measured.costs,
        "cells": [cell.facts for cell in cells],
    }


def _minus(row: str | None, against: str | None, difference: Difference) -> dict[str, Any]:
    of_metrics = {metric: asdict(found) for metric, found in difference.found.items()}
    return {"row": row, "against": against, "differences": of_metrics, "p_values": difference.p_values}


def _lines(measures: Measures, kind: str) -> Iterator[dict[str, Any]]:
    """Lines of the CSV: for each row, one a metric and way of averaging, then one a cost."""
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
            yield {**same, "row": BEST, "metric": metric, "averaged": averaged, "value": value}


def _pooled(measures: Measures, name: str, metric: str) -> dict[str, Any]:
    measured, difference = measures.rows[name], measures.improvements.get(name)
    interval, seeds = measured.interval(metric), measured.pooled[metric]
    line = {
        "metric": metric,
        "averaged": "pooled",
        "value": mean(seeds),
        "spread": spread(seeds),
        "low": interval.low,
        "high": interval.high,
    }
    if difference is None:
        return line
    gain = difference.found[metric]
    return {
        **line,
        "improvement": gain.interval.mean,
        "improvement_low": gain.interval.low,
        "improvement_high": gain.interval.high,
        **({"p": gain.p_value, "p_holm": difference.p_values[metric]} if measures.tested else {}),
    }
