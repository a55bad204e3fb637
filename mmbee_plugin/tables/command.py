"""Runs one table: cells, measures, report files, printed lines."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mmbee_plugin.builtin.sample import ensure
from mmbee_plugin.data.folder import DatasetFolder
from mmbee_plugin.experiments.cells import seeds_of
from mmbee_plugin.experiments.making import cells_of_rows
from mmbee_plugin.experiments.report import Report
from mmbee_plugin.experiments.rows import over
from mmbee_plugin.experiments.training import check_split, settings_given
from mmbee_plugin.recbole.config.idle import check_read
from mmbee_plugin.recbole.config.modalities import chosen_modalities
from mmbee_plugin.recbole.config.settings import chosen_metapaths
from mmbee_plugin.recbole.run import build_config
from mmbee_plugin.recbole.training.report import provenance_lines
from mmbee_plugin.tables.layout import sheets
from mmbee_plugin.tables.measures import measure
from mmbee_plugin.tables.report import write_report
from mmbee_plugin.tables.rows import FULL, Table, check_number, make_table
from mmbee_plugin.tables.run import labelled_jobs

MODEL = "MMBee"


@dataclass(frozen=True)
class TableOptions:
    """Options of `mmbee table`."""

    number: int
    dataset: str
    data_path: Path
    seeds: int
    split: str
    only: tuple[str, ...]
    jobs: int
    cells: Path
    out: Path
    minutes: float | None = None
    """CPU minutes of tuning for each row of table 3; None for none."""
    finalists: int = 1
    """number of a row's best trials that are trained with all seeds before one is chosen."""
    tuned: Path | None = None
    """folder of table 3's tuned settings; by default that of the dataset."""


def run_table(chosen: TableOptions, arguments: Sequence[str]) -> list[str]:
    """Makes the missing cells, writes the report and returns the lines to print.

    Args:
        arguments: settings of all rows, ``--key=value``.

    Raises:
        InputError: invalid options, settings or data; raised before any training where possible.
    """
    check_number(chosen.number)
    check_split(chosen.split)
    given = settings_given(MODEL, arguments)
    folder = ensure(chosen.dataset, chosen.data_path)
    folder.check_part(chosen.split)
    table = planned(chosen, folder, given)
    seeds = seeds_of(chosen.seeds)
    jobs = {
        row.name: labelled_jobs(row.name, MODEL, folder, over(given, row.settings), seeds)
        for row in table.rows
    }
    cells = cells_of_rows(jobs, chosen.cells, chosen.jobs)
    measures = measure(table, cells, chosen.split, folder)
    printed, provenance = sheets(measures, table.notes(given)), provenance_lines(folder)
    facts = {
        "settings given": given,
        "settings of the rows": {row.name: dict(row.settings) for row in table.rows},
        "settings in effect, first row": jobs[table.rows[0].name][0].key["settings"],
        "versions": next(iter(cells.values()))[0].facts["versions"],
        "code": jobs[table.rows[0].name][0].key["code"],
        "data": folder.hash,
    }
    return write_report(Report(chosen.out), measures, printed, provenance, folder.kind, facts, cells)


def planned(chosen: TableOptions, folder: DatasetFolder, given: Mapping[str, Any]) -> Table:
    """The table with the chosen rows, for this dataset and these settings.

    Raises:
        InputError: unknown table or row, or a given setting that rows make themselves or that none reads.
    """
    config = build_config(MODEL, folder, {**given, **FULL})
    modalities = chosen_modalities(config, folder)
    table = make_table(chosen.number, modalities, [path.name for path in chosen_metapaths(config)])
    table.check_settings(given)
    table = table.only(chosen.only)
    if given:
        check_read([build_config(MODEL, folder, over(given, row.settings)) for row in table.rows], given)
    return table
