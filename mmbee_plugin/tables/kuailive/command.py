"""Runs `mmbee table kuailive LOGS`: folders of the tasks from the log, then a table of each."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path

import polars as pl

from mmbee_plugin.data.folder import DatasetFolder
from mmbee_plugin.data.jsons import read_object
from mmbee_plugin.data.writer import SPLITS
from mmbee_plugin.errors import InputError
from mmbee_plugin.experiments.report import Report
from mmbee_plugin.experiments.training import check_split, settings_given, versions
from mmbee_plugin.logs.folder import LogFolder
from mmbee_plugin.logs.samples import write_samples
from mmbee_plugin.logs.settings import SampleSettings
from mmbee_plugin.logs.tasks import PRICE, WATCH, amounts, write_clicks, write_clickthrough
from mmbee_plugin.logs.writer import INFO_FILE
from mmbee_plugin.tables.command import MODEL, TableOptions, run_table
from mmbee_plugin.tables.kuailive.amounts import amount_sheet, amount_verdict, measure
from mmbee_plugin.tables.ranking.command import run_table_3

NAME = "kuailive"
GIFTING, TOP_K, CTR = "gifting", "top-k", "ctr"
AMOUNTS = {WATCH: "Watch time of a visit, seconds", PRICE: "Price of a gift"}
COLUMNS = ("task", "kind", "split", "row", "metric", "value", "low", "high")
TASKS = (GIFTING, TOP_K, CTR, *AMOUNTS)
FOLDERS = {GIFTING: NAME, TOP_K: f"{NAME}-clicks", CTR: f"{NAME}-ctr"}
"""task -> name of its dataset, whose settings are in recbole_configs; that of gifting has those of livesim"""
RANKED = ("LightGCN", "SASRec", "SIM", "MMBee", "MostPop", "walk u-a-u-a")
CLICKED = ("MMoE", "SIM", "SIM+GIE", "DIN", "DIEN")
"""rows of the static tasks, whose authors have no content"""


def run_kuailive(logs: Path, asked: TableOptions, arguments: Sequence[str]) -> list[str]:
    """Runs the chosen tasks, all by default, and returns the lines to print; each writes a report of its own.

    Args:
        asked: ``only`` names tasks; ``data_path`` is where the tasks' folders are made, once for a state of the log.
        arguments: settings of all rows, ``--key=value``.

    Raises:
        InputError: an unknown task, a log that a task cannot be cut from, invalid settings.
    """
    for task in asked.only:
        if task not in TASKS:
            raise InputError(f"table {NAME} has no task {task!r}; it has: {', '.join(TASKS)}")
    check_split(asked.split)
    settings_given(MODEL, arguments)  # raises before the log is cut
    log = LogFolder(logs)
    chosen = [task for task in TASKS if task in (asked.only or TASKS)]
    for task in chosen:
        if task in FOLDERS:
            _folder(log, asked.data_path / FOLDERS[task], task)
    printed: list[str] = []
    for task in chosen:
        own = replace(asked, only=(), out=asked.out.with_name(f"{asked.out.name}-{task}"))
        printed += [f"# {task}", "", *_run(task, log, own, arguments), ""]
    return printed


def _run(task: str, log: LogFolder, asked: TableOptions, arguments: Sequence[str]) -> list[str]:
    if task in AMOUNTS:
        return _amounts(task, log, asked)
    asked = replace(asked, dataset=FOLDERS[task])
    if task == TOP_K:
        return run_table_3(replace(asked, number=3, only=RANKED), arguments)
    return run_table(replace(asked, number=2, only=CLICKED if task == CTR else ()), arguments)


def _folder(log: LogFolder, folder: Path, task: str) -> None:
    """Cuts the task's folder from the log, unless it is there.

    Raises InputError for a folder of another log, from before this log was written, or cut with other settings; it is
    left alone.
    """
    made = folder / "dataset.json"
    if made.exists():
        source = DatasetFolder(folder).source
        if source != log.info.source:
            raise InputError(
                f"{folder}: was made from {source}, not {log.info.source}; name another --data-path"
            )
        if made.stat().st_mtime < (log.path / INFO_FILE).stat().st_mtime:
            raise InputError(f"{folder}: is older than {log.path}; delete it and it is cut again")
        if task == GIFTING and (other := _cut_otherwise(made)):
            raise InputError(
                f"{folder}: was cut with {', '.join(other)}, this table takes the defaults; name another --data-path"
            )
        return
    write: Mapping[str, Callable[[], object]] = {
        GIFTING: lambda: write_samples(log, folder, SampleSettings()),
        TOP_K: lambda: write_clicks(log, folder),
        CTR: lambda: write_clickthrough(log, folder),
    }
    write[task]()


def _cut_otherwise(made: Path) -> list[str]:
    """Options of `mmbee data samples` that a folder was cut with and that are not the defaults; further visits change
    no row."""
    cut = read_object(made).get("log", {}).get("settings")
    if cut is None:
        return ["what dataset.json does not tell"]
    default = {name: value for name, value in asdict(SampleSettings()).items() if name != "visits"}
    return [f"{name} {cut[name]}" for name in default if name in cut and cut[name] != default[name]]


def _amounts(task: str, log: LogFolder, asked: TableOptions) -> list[str]:
    rows, split = amounts(log, task), SPLITS.index(asked.split)
    found, users = measure(rows, split), rows.filter(pl.col("part") == split)["user_id"]
    title = f"{AMOUNTS[task]}: {asked.split} split, {len(users):,} rows of {users.n_unique():,} users"

    same = {"task": task, "kind": log.info.kind, "split": asked.split}
    lines = (
        {**same, "row": name, "metric": metric, "value": one["mean"], "low": one["low"], "high": one["high"]}
        for name, errors in found.items()
        for metric, one in asdict(errors).items()
    )
    content = {**same, "rows": {name: asdict(errors) for name, errors in found.items()}}
    sheets, provenance, kind = [amount_sheet(title, found)], [log.provenance()], log.info.kind
    page = title, amount_verdict(found, kind), sheets, (), provenance, kind == "real"
    return Report(asked.out).write(*page, COLUMNS, lines, content, {"versions": versions()})
