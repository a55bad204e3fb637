"""Runs a ranking table: tuning, cells, measures, report files, printed lines."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from mmbee_plugin.builtin.sample import ensure
from mmbee_plugin.data.folder import DatasetFolder
from mmbee_plugin.experiments.cells import seeds_of
from mmbee_plugin.experiments.making import cells_of_rows
from mmbee_plugin.experiments.pool import Task, run_tasks
from mmbee_plugin.experiments.progress import cell_bar
from mmbee_plugin.experiments.report import Report
from mmbee_plugin.experiments.rows import PAPER, chosen, kept_note, over
from mmbee_plugin.experiments.training import OF_THE_RUN, cells_given, check_split
from mmbee_plugin.recbole.config.modalities import FeaturelessError
from mmbee_plugin.recbole.config.sources import merged
from mmbee_plugin.recbole.config.splitting import data_lines
from mmbee_plugin.recbole.config.tuned import Finalist, Tuning, is_stale, read_tuning, tunings_folder
from mmbee_plugin.recbole.training.report import provenance_lines
from mmbee_plugin.recbole.tune import space_file
from mmbee_plugin.tables.command import TableOptions
from mmbee_plugin.tables.ranking.layout import ranking_sheets
from mmbee_plugin.tables.ranking.measures import measure
from mmbee_plugin.tables.ranking.published import published
from mmbee_plugin.tables.ranking.report import write_ranking
from mmbee_plugin.tables.ranking.rows import NUMBER, REFERENCE, RankedRow, table_rows
from mmbee_plugin.tables.ranking.run import check_finite, ranking_jobs
from mmbee_plugin.tables.ranking.tuning import begin_tuning, tune


def run_table_3(asked: TableOptions, arguments: Sequence[str]) -> list[str]:
    """Tunes rows if asked to, makes the missing cells, writes the report and returns the lines to print.

    Args:
        arguments: settings of all rows, ``--key=value``.

    Raises:
        InputError: invalid options, settings or data; raised before any training where possible.
    """
    check_split(asked.split)
    known = table_rows()
    rows = chosen(known, asked.only, f"table {NUMBER}")
    given = cells_given([row.model for row in known if row.model], arguments)
    folder = ensure(asked.dataset, asked.data_path)
    folder.check_part(asked.split)
    return ranking_table(rows, REFERENCE, folder, given, asked)


def ranking_table(
    rows: Sequence[RankedRow],
    reference: str,
    folder: DatasetFolder,
    given: Mapping[str, Any],
    asked: TableOptions,
) -> list[str]:
    """A table of any rows on a dataset, as :func:`run_table_3`.

    Args:
        reference: the row to compare with every other one; may be missing from ``rows``.
        given: settings of all rows; they win over tuned ones, and a row's own over both, with a note.
    """
    rows, featureless = _readable(rows, folder, given, asked)
    tuned = asked.tuned or tunings_folder(folder)
    if asked.minutes is not None:
        _tune(rows, folder, given, tuned, asked.minutes, asked.jobs)
    tunings = {row.name: read_tuning(tuned / f"{row.tuning}.json") for row in rows if row.tuning}
    found = {
        name: tuning for name, tuning in tunings.items() if tuning is not None and tuning.chosen is not None
    }
    if asked.finalists > 1:
        _decide(rows, folder, given, found, asked)
    seeds = seeds_of(asked.seeds)
    jobs = {}
    for row in rows:
        tuned_to = found[row.name].chosen if row.name in found else None
        jobs[row.name] = ranking_jobs(row, folder, merged(tuned_to or {}, given), seeds)
    cells = cells_of_rows(jobs, asked.cells, asked.jobs, fresh=True)
    check_finite(cells)
    tried = {name: len(tuning.trials) for name, tuning in found.items()}
    tested = folder.kind != "sample"
    measures = measure(cells, asked.split, asked.seeds, tried, reference, tested)
    untuned = [row.name for row in rows if row.tuning and row.name not in found]
    protocol = [
        *_protocol(folder, {name: of_row[0].key["settings"] for name, of_row in jobs.items()}),
        *_tuning_lines(found, untuned, folder, {row.name: over(given, row.settings) for row in rows}),
        *_own_lines(rows, given),
    ]
    if featureless:
        protocol.append(
            f"Left out, since they read item features and the data have none: {', '.join(featureless)}."
        )
    printed = ranking_sheets(measures, protocol, published(folder.name) if tested else [])
    provenance = provenance_lines(folder)
    facts = {
        "data": {"name": folder.name, "kind": folder.kind, "counts": folder.counts, "hash": folder.hash},
        "settings given": dict(given),
        "settings in effect": {name: of_row[0].key["settings"] for name, of_row in jobs.items()},
        "code": {name: of_row[0].key["code"] for name, of_row in jobs.items()},
        "versions": cells[rows[0].name][0].facts["versions"],
        "tuned": {
            name: {"file": str(t.file), "trials": len(t.trials), "finalists": len(t.finalists)}
            for name, t in found.items()
        },
    }
    return write_ranking(Report(asked.out), measures, printed, provenance, facts, cells)


def _readable(
    rows: Sequence[RankedRow], folder: DatasetFolder, given: Mapping[str, Any], asked: TableOptions
) -> tuple[list[RankedRow], list[str]]:
    """The rows, and the names of those that read features which the data lack; they are left out unless asked for.

    Raises:
        InputError: settings invalid for a row, before hours of tuning.
    """
    found, featureless = [], []
    for row in rows:
        try:
            ranking_jobs(row, folder, given, [])
        except FeaturelessError:
            if asked.only:
                raise
            featureless.append(row.name)
        else:
            found.append(row)
    return found, featureless


def _tune(
    rows: Sequence[RankedRow],
    folder: DatasetFolder,
    given: Mapping[str, Any],
    tuned: Path,
    minutes: float,
    processes: int,
) -> None:
    tasks = []
    for row in rows:
        if row.model and row.tuning:
            space = space_file(row.tuning)
            own = over(given, row.settings)
            tuning = begin_tuning(tuned / f"{row.tuning}.json", row.model, folder, own, space)
            tasks.append(Task(f"{row.name} tuned", tune, (tuning, folder.path, space, minutes)))
    with cell_bar(len(tasks), 0, processes, "rows") as show:
        run_tasks(tasks, processes, show, fresh=True)


def _decide(
    rows: Sequence[RankedRow],
    folder: DatasetFolder,
    given: Mapping[str, Any],
    found: Mapping[str, Tuning],
    asked: TableOptions,
) -> None:
    """Trains the best trials of each tuned row with all seeds and chooses among them; the cells are the table's."""
    seeds = seeds_of(asked.seeds)
    jobs = {
        (row.name, place): [
            replace(job, name=f"{job.name}, settings {place + 1}")
            for job in ranking_jobs(row, folder, merged(trial.settings, given), seeds)
        ]
        for row in rows
        if row.name in found
        for place, trial in enumerate(found[row.name].leading(asked.finalists))
    }
    cells = cells_of_rows(jobs, asked.cells, asked.jobs, fresh=True)
    for name, tuning in found.items():
        tuning.decide(
            Finalist(
                trial.settings,
                [cell.facts["valid"].get(tuning.metric) for cell in cells[name, place]],
                jobs[name, place][0].key["code"],
            )
            for place, trial in enumerate(tuning.leading(asked.finalists))
        )


def _protocol(folder: DatasetFolder, settings_of: Mapping[str, Mapping[str, Any]]) -> list[str]:
    settings = next(iter(settings_of.values()))
    masked = "training and, at test, validation items" if settings.get("mask_valid") else "training items"
    found = [
        f"{folder.counts['items']:,} items are ranked, {masked} masked; the epoch is the best by "
        f"{settings['valid_metric']} on validation; NDCG's ideal has min(positives, K) hits."
    ]
    if settings.get("valid_in_history"):
        found.append("at test a user's history ends with their validation items.")
    rows_of: dict[str, list[str]] = {}
    for name, of_row in settings_of.items():
        for line in data_lines(of_row, folder):
            rows_of.setdefault(line, []).append(name)
    alike = len(settings_of)
    return [
        *found,
        *(line if len(names) == alike else f"{', '.join(names)}: {line}" for line, names in rows_of.items()),
    ]


def _own_lines(rows: Sequence[RankedRow], given: Mapping[str, Any]) -> list[str]:
    """Notes on rows whose own settings win over tuned or given ones."""
    names = [row.name for row in rows]
    found = []
    if PAPER in names:
        found.append(
            f"{PAPER}: the settings of recbole_configs/paper.yaml, over the dataset's for MMBee; never tuned."
        )
    if "DIEN" in names:
        found.append("DIEN: this package's, with its auxiliary loss, on the dataset's settings for SIM.")
    return found + [line for row in rows for line in kept_note(row.name, row.settings, given)]


def _tuning_lines(
    found: Mapping[str, Tuning],
    untuned: Sequence[str],
    folder: DatasetFolder,
    given: Mapping[str, Mapping[str, Any]],
) -> list[str]:
    """Notes on tunings, by row; `given` are the settings that each row's trials would have today."""
    says = []
    if found:
        minutes = [tuning.spent / 60 for tuning in found.values()]
        says.append(
            f"Tuned on validation by {next(iter(found.values())).metric}: {min(minutes):.1f} to {max(minutes):.1f} "
            "CPU minutes a row."
        )
        by_the_wall = [
            name
            for name, tuning in found.items()
            if any(trial.cpu_seconds is None for trial in tuning.trials)
        ]
        if by_the_wall:
            says.append(f"Tuned by the clock on the wall instead: {', '.join(by_the_wall)}.")
        finals: dict[tuple[int, int], list[str]] = {}
        for name, tuning in found.items():
            if tuning.finalists:
                key = len(tuning.finalists), len(tuning.finalists[0].scores)
                finals.setdefault(key, []).append(name)
        for (count, seeds), names in finals.items():
            of = "each row" if len(names) == len(found) else ", ".join(names)
            trained = "one seed" if seeds == 1 else f"{seeds} seeds"
            says.append(
                f"Of {of} stand the best of {count} settings by their mean over {trained} on validation."
            )
    if untuned:
        says.append(f"Not tuned, with the settings of the dataset's file: {', '.join(untuned)}.")
    other = [name for name, tuning in found.items() if tuning.data["hash"] != folder.hash]
    stale = [
        name
        for name, tuning in found.items()
        if name not in other and is_stale(tuning, folder, given[name], OF_THE_RUN)
    ]
    if stale:
        says.append(
            f"Tuned from other settings than today's, of the dataset's file or given: {', '.join(stale)}."
        )
    if other:
        says.append(f"Tuned on other files of this name: {', '.join(other)}.")
    return says
