"""Models that a study trains: cells of the tables, kept and found again as theirs are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from mmbee_plugin.tables.cells import Cell, CellStore, Job
from mmbee_plugin.tables.pool import make_cells, missing_jobs
from mmbee_plugin.tables.progress import cell_bar


def trained_cells(
    jobs: Mapping[str, Sequence[Job]], folder: Path, processes: int = 1
) -> dict[str, list[Cell]]:
    """The cells of each row, one a seed; those that ``folder`` does not have are made, a seed at a time.

    Raises InputError as :func:`~mmbee_plugin.tables.pool.make_cells`.
    """
    store = CellStore(folder)
    in_order = [job for of_seed in zip(*jobs.values(), strict=True) for job in of_seed]
    missing = len(missing_jobs(in_order, store))
    distinct = len({store.file(job.key) for job in in_order})
    with cell_bar(missing, distinct - missing, processes) as show:
        made = dict(zip(map(id, in_order), make_cells(in_order, store, processes, show), strict=True))
    return {name: [made[id(job)] for job in of_row] for name, of_row in jobs.items()}
