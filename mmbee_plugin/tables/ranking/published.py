"""Figures printed in papers, shown under a heading of their own since they were not measured here."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

FILE = Path(__file__).with_name("published.json")


@dataclass(frozen=True)
class Publication:
    """One source's figures for one dataset and split.

    Attributes:
        datasets: names of the dataset folders it applies to.
        data: files and split, with counts. source: the paper. notes: limits of the comparison.
        rows: model -> metric, such as ``recall@20`` -> value.
    """

    datasets: list[str]
    data: str
    source: str
    notes: list[str]
    rows: dict[str, dict[str, float]]


def published(dataset: str) -> list[Publication]:
    """Entries of ``published.json`` for a dataset, also under a name with a suffix such as ``tiktok-full``."""
    entries = json.loads(FILE.read_text(encoding="utf-8"))
    found = [Publication(**each) for each in entries]
    return [each for each in found if any(f"{dataset}-".startswith(f"{name}-") for name in each.datasets)]
