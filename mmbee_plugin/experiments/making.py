"""The cells of all rows of a table or study: those that are kept, and the others made under a bar."""

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
    """The cells of each row, one a job; those that ``folder`` does not have are made.

    A seed at a time, so that an interrupted table has all its rows as early as can be; rows may have fewer seeds than
    others.

    Args:
        of: what the cells are called while they are made.
        processes, fresh: as of :func:`~mmbee_plugin.experiments.pool.make_cells`, which says what is raised, too.
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
