"""Reads the results of runs as a table, for notebooks.

Example::

    from mmbee_plugin import results

    results.frame("results/three.json").query("split == 'test'").plot.barh("name", "recall@20")
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pandas as pd

from mmbee_plugin.errors import InputError, one_line


def frame(*files: str | Path) -> pd.DataFrame:
    """A table of what ``--result=FILE`` wrote, with a row for each run and split.

    Returns:
        columns ``name`` (of the run's row in its comparison), ``model``, ``dataset``, ``kind`` (real, sample or
        simulated), ``split`` (valid or test), one for each metric, ``seconds`` and ``peak_rss_mb``; NaN for a metric
        that a run does not have.

    Raises:
        InputError: a file cannot be read, or is no result of a run.
    """
    return pd.DataFrame([row for file in files for result in _results(Path(file)) for row in _rows(result)])


def _results(file: Path) -> list[dict[str, Any]]:
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"{file}: cannot be read as a result: {one_line(error)}") from None
    found = content if isinstance(content, list) else [content]
    if not all(
        isinstance(each, dict) and {"name", "valid", "test", "dataset"} <= each.keys() for each in found
    ):
        raise InputError(
            f"{file}: no result of a run, expected what --result=FILE of mmbee train or compare writes"
        )
    return found


def _rows(result: dict[str, Any]) -> list[dict[str, Any]]:
    data, cost = result["dataset"], {name: result[name] for name in ("seconds", "peak_rss_mb")}
    run = {"name": result["name"], "model": result["model"], "dataset": data["name"], "kind": data["kind"]}
    splits = [split for split in ("valid", "test") if result[split]]  # data of a day have no test part
    return [{**run, "split": split, **result[split], **cost} for split in splits]
