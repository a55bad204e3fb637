"""Makes the cells that are missing, several at a time, each process with one thread.

One thread, so that figures do not depend on how many run side by side.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from pathlib import Path

from mmbee_plugin.errors import InputError
from mmbee_plugin.tables.cells import Cell, CellStore, Job

THREADS = (
    "OMP_NUM_THREADS",
    "MKL_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "NUMBA_NUM_THREADS",
    "POLARS_MAX_THREADS",
)

Show = Callable[[str, float], None]
"""Told the name of each finished job and the seconds it took."""


def make_cells(jobs: Sequence[Job], store: CellStore, processes: int, show: Show) -> list[Cell]:
    """The cell of each job; those that the store does not have are made first.

    Jobs with one key are one cell. An interrupt ends the processes at once; an error lets the running cells finish.
    Either way what is finished is kept.

    Args:
        processes: how many run side by side; a cell's facts say so, for its speed depends on it.

    Raises:
        InputError: what a job raised, or a process was killed.
    """
    missing = missing_jobs(jobs, store)
    if missing:
        with _workers(min(processes, len(missing))) as workers:
            running = {workers.submit(_make, job, store.folder, processes): job for job in missing}
            for done in as_completed(running):
                try:
                    show(running[done].name, done.result())
                except BrokenProcessPool:
                    raise InputError(
                        "a process was killed, probably for lack of memory: finished cells are kept, run it again "
                        "with a smaller --jobs"
                    ) from None
    cells = [store.get(job.key) for job in jobs]
    return [cell for cell in cells if cell is not None]


def missing_jobs(jobs: Sequence[Job], store: CellStore) -> list[Job]:
    """The jobs whose cells the store does not have, one for each key."""
    by_file = {store.file(job.key): job for job in reversed(jobs)}
    return [job for job in jobs if by_file[store.file(job.key)] is job and not store.file(job.key).exists()]


def _make(job: Job, folder: Path, processes: int) -> float:
    begun = time.perf_counter()
    cell = job.work(*job.arguments)
    CellStore(folder).put(job.key, Cell(cell.arrays, {**cell.facts, "side_by_side": processes}))
    return time.perf_counter() - begun


@contextmanager
def _workers(count: int) -> Iterator[ProcessPoolExecutor]:
    others = set(multiprocessing.active_children())
    kept = {name: os.environ.get(name) for name in THREADS}
    os.environ.update(dict.fromkeys(THREADS, "1"))  # inherited, and read when their libraries are imported
    workers = ProcessPoolExecutor(count, multiprocessing.get_context("spawn"), _begin)
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


def _begin() -> None:
    """A worker leaves Ctrl-C to its parent, and ends when the parent is gone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
