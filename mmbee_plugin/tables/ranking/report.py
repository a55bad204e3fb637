"""Writes a ranking table's CSV, JSON and HTML page, each with the data's provenance."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from mmbee_plugin.experiments.cells import Cell
from mmbee_plugin.experiments.report import Report
from mmbee_plugin.experiments.sheet import Sheet, spread
from mmbee_plugin.tables.ranking.layout import verdict
from mmbee_plugin.tables.ranking.measures import ALL, METRICS, RankingMeasures
from mmbee_plugin.tables.ranking.plots import ranking_plots
from mmbee_plugin.tables.ranking.rows import NUMBER

COLUMNS = (
    *("table", "data", "kind", "split", "row", "group", "users", "metric", "value", "spread", "low", "high"),
    *("against", "difference", "difference_low", "difference_high", "p", "p_holm"),
)


def write_ranking(
    report: Report,
    measures: RankingMeasures,
    printed: Sequence[Sheet],
    provenance: Sequence[str],
    facts: Mapping[str, Any],
    cells: Mapping[str, Sequence[Cell]],
) -> list[str]:
    """Writes the three files and returns the lines to print.

    Args:
        provenance: lines that describe the data.
        facts: settings, versions, and ``data``: name, kind, counts and hash. cells: row -> its cells.
    """
    content = {
        "table": NUMBER,
        "split": measures.split,
        "counts": {group: {"pairs": n, "users": users} for group, (n, users) in measures.counts.items()},
        "rows": {name: _row(measures, name, cells[name]) for name in measures.rows},
        f"{measures.reference} minus the row": {
            group: {name: asdict(difference) for name, difference in of_group.items()}
            for group, of_group in measures.differences.items()
        },
    }
    data = facts["data"]
    title = f"Table {NUMBER}, {measures.split} split of {data['name']}"
    said = verdict(measures, data["kind"])
    page = title, said, printed, ranking_plots(measures), provenance, data["kind"] == "real"
    return report.write(*page, COLUMNS, _lines(measures, data), content, facts)


def _row(measures: RankingMeasures, name: str, cells: Sequence[Cell]) -> dict[str, Any]:
    figures = measures.rows[name]
    return {
        "seeds": figures.seeds,
        "groups": {
            group: {metric: figures.value(metric, group) for metric in METRICS} for group in measures.counts
        },
        "intervals": {metric: asdict(interval) for metric, interval in measures.intervals[name].items()},
        "costs": figures.costs,
        "settings tried": figures.tried,
        "cells": [cell.facts for cell in cells],
    }


def _lines(measures: RankingMeasures, data: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Lines of the CSV: for each row, one a group and metric, then one a cost."""
    same = {"table": NUMBER, "data": data["name"], "kind": data["kind"], "split": measures.split}
    for name, figures in measures.rows.items():
        for group, (_, users) in measures.counts.items():
            for metric in METRICS:
                line = {**same, "row": name, "group": group, "users": users, "metric": metric}
                line["value"] = figures.value(metric, group)
                if group == ALL:
                    interval = measures.intervals[name][metric]
                    line |= {
                        "spread": spread(figures.seeds[metric]),
                        "low": interval.low,
                        "high": interval.high,
                    }
                yield {**line, **_difference(measures, group, name, metric)}
        for cost, value in figures.costs.items():
            yield {**same, "row": name, "metric": cost, "value": value}


def _difference(measures: RankingMeasures, group: str, name: str, metric: str) -> dict[str, Any]:
    of_group = measures.differences.get(group, {})
    if name not in of_group:
        return {}
    difference = of_group[name].found[metric]
    return {
        "against": measures.reference,
        "difference": difference.interval.mean,
        "difference_low": difference.interval.low,
        "difference_high": difference.interval.high,
        **({"p": difference.p_value, "p_holm": of_group[name].p_values[metric]} if measures.tested else {}),
    }
