"""Progress bar over the cells of a table, with the time left."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

from mmbee_plugin.command.stages import error_console
from mmbee_plugin.experiments.pool import Show
from mmbee_plugin.recbole.training.progress import in_words


@contextmanager
def cell_bar(missing: int, finished: int, processes: int, of: str = "cells") -> Iterator[Show]:
    """Shows progress on stderr: a bar on a terminal, otherwise one line a finished cell.

    Args:
        missing: cells to make. finished: cells in the store. processes: cells made at a time.
        of: noun for the cells.
    """
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    total, done, begun = missing + finished, finished, time.monotonic()
    console = error_console()
    columns = (
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn(of + ", {task.description}"),
        TimeElapsedColumn(),
        TextColumn("gone, {task.fields[left]}"),
    )
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        task = progress.add_task("starting", total=total, completed=finished, left="time left unknown")

        def show(name: str, seconds: float) -> None:
            nonlocal done
            done += 1
            left = f"{in_words((time.monotonic() - begun) / (done - finished) * (total - done))} left"
            progress.update(task, completed=done, description=f"last {name}, {seconds:.0f} s", left=left)
            if not console.is_terminal:
                sys.stderr.write(f"{done} of {total} {of}: {name} in {seconds:.0f} s; {left}\n")

        if not console.is_terminal and missing:
            sys.stderr.write(f"{finished} of {total} {of} are there; {processes} at a time\n")
        yield show
