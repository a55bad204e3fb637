"""Cells of all rows of a table or study: read from the store, or made with a progress bar."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TypeVar

from mmbee_plugin.experiments.cells import Cell, CellStore, Job
from mmbee_plugin.experiments.pool import make_cells, missing_jobs
from mmbee_plugin.experiments.progress import cell_bar

Name = TypeVar("Name")


def cells_of_rows(
    jobs: Mapping[Name, Sequence[Job]],
    folder: Path,
    processes: int = 1,
    fresh: bool = False,
    of: str = "cells",
) -> dict[Name, list[Cell]]:
    """The cells of each row, one a job; those missing from ``folder`` are made, the first seed of all rows first.

    Args:
        jobs: row -> its jobs by seed; rows may differ in their number.
        of: noun for the cells on the progress bar.
        processes, fresh: as in :func:`~mmbee_plugin.experiments.pool.make_cells`.

    Raises:
        InputError: as `make_cells`.
    """
    store = CellStore(folder)
    seeds = range(max(map(len, jobs.values()), default=0))
    in_order = [of_row[seed] for seed in seeds for of_row in jobs.values() if seed < len(of_row)]
    missing = len(missing_jobs(in_order, store))
    distinct = len({store.file(job.key) for job in in_order})
    with cell_bar(missing, distinct - missing, processes, of) as show:
        cells = make_cells(in_order, store, processes, show, fresh)
    made = dict(zip(map(id, in_order), cells, strict=True))
    return {name: [made[id(job)] for job in of_row] for name, of_row in jobs.items()}
