"""Makes missing cells in a pool of processes, one thread each, so that figures do not depend on the pool's size."""

from __future__ import annotations

import multiprocessing
import os
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mmbee_plugin.command import children
from mmbee_plugin.errors import InputError
from mmbee_plugin.experiments.cells import Cell, CellStore, Job

THREADS = (
    "OMP_NUM_THREADS",
    "MKL_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "NUMBA_NUM_THREADS",
    "POLARS_MAX_THREADS",
)

Show = Callable[[str, float], None]
"""Called with the name of each finished job and its seconds."""


@dataclass(frozen=True)
class Task:
    """``work(*arguments)`` in another process, for its effect on files."""

    name: str
    """shown when it is finished."""
    work: Callable[..., object]
    """a module-level function, so that it can be pickled."""
    arguments: tuple[Any, ...]


def make_cells(
    jobs: Sequence[Job], store: CellStore, processes: int, show: Show, fresh: bool = False
) -> list[Cell]:
    """The cell of each job, in their order; those missing from the store are made first, one for each distinct key.

    An interrupt ends the processes at once; an error lets the running cells finish. Finished cells are kept either way.

    Args:
        processes: size of the pool; kept in a cell's facts as ``side_by_side``, since its speed depends on it.
        fresh: as in :func:`run_tasks`.

    Raises:
        InputError: raised by a job, or a process was killed.
    """
    missing = missing_jobs(jobs, store)
    run_tasks(
        [Task(job.name, _make, (job, store.folder, processes)) for job in missing], processes, show, fresh
    )
    cells = [store.get(job.key) for job in jobs]
    return [cell for cell in cells if cell is not None]


def run_tasks(tasks: Sequence[Task], processes: int, show: Show, fresh: bool = False) -> None:
    """Runs the tasks in their order, ``processes`` at a time.

    Args:
        fresh: a new process for each task, so that peak memory is that of the task alone.

    Raises:
        InputError: raised by a task, or a process was killed.
    """
    if not tasks:
        return
    with _workers(min(processes, len(tasks)), fresh) as workers:
        running = {workers.submit(_timed, task.work, task.arguments): task for task in tasks}
        for done in as_completed(running):
            try:
                show(running[done].name, done.result())
            except BrokenProcessPool:
                raise InputError(
                    "a process was killed, probably for lack of memory: what is finished is kept, run it again "
                    "with a smaller --jobs"
                ) from None


def missing_jobs(jobs: Sequence[Job], store: CellStore) -> list[Job]:
    """Jobs whose cells are not in the store, the first of each key."""
    by_file = {store.file(job.key): job for job in reversed(jobs)}
    return [job for job in jobs if by_file[store.file(job.key)] is job and not store.file(job.key).exists()]


def _make(job: Job, folder: Path, processes: int) -> None:
    cell = job.work(*job.arguments)
    CellStore(folder).put(job.key, Cell(cell.arrays, {**cell.facts, "side_by_side": processes}))


def _timed(work: Callable[..., object], arguments: tuple[Any, ...]) -> float:
    begun = time.perf_counter()
    work(*arguments)
    return time.perf_counter() - begun


@contextmanager
def _workers(count: int, fresh: bool) -> Iterator[ProcessPoolExecutor]:
    others = set(multiprocessing.active_children())
    kept = {name: os.environ.get(name) for name in THREADS}
    os.environ.update(dict.fromkeys(THREADS, "1"))  # workers inherit them; libraries read them on import
    spawn, tasks_of_one = multiprocessing.get_context("spawn"), 1 if fresh else None
    workers = ProcessPoolExecutor(count, spawn, children.begin, max_tasks_per_child=tasks_of_one)
    try:
        yield workers
    except KeyboardInterrupt:
        for process in set(multiprocessing.active_children()) - others:
            process.terminate()
        raise
    finally:
        workers.shutdown(cancel_futures=True)
        for name, value in kept.items():
            os.environ.pop(name) if value is None else os.environ.update({name: value})
