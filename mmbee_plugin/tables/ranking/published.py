"""Figures that papers printed: shown under a heading of their own, since nothing here measured them."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

FILE = Path(__file__).with_name("published.json")


@dataclass(frozen=True)
class Publication:
    """What one source printed for one dataset and split.

    Attributes:
        datasets: names of folders beside whose figures it is shown.
        data: which files and split, with counts. source: the paper. notes: what keeps the figures from comparing.
        rows: model -> metric, as ``recall@20``, -> value.
    """

    datasets: list[str]
    data: str
    source: str
    notes: list[str]
    rows: dict[str, dict[str, float]]


def published(dataset: str) -> list[Publication]:
    """What stands in ``published.json`` for a dataset of this name, or of it with a suffix such as ``tiktok-full``."""
    entries = json.loads(FILE.read_text(encoding="utf-8"))
    found = [Publication(**each) for each in entries]
    return [each for each in found if any(f"{dataset}-".startswith(f"{name}-") for name in each.datasets)]
