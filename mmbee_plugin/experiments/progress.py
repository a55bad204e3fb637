"""Progress bar over the cells of a table, with the time left."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

from mmbee_plugin.command.stages import error_console
from mmbee_plugin.command.time_left import TimeLeft
from mmbee_plugin.experiments.pool import Show


@contextmanager
def cell_bar(missing: int, finished: int, processes: int, of: str = "cells") -> Iterator[Show]:
    """Shows progress on stderr: a bar on a terminal, otherwise one line a finished cell.

    Args:
        missing: cells to make. finished: cells in the store. processes: cells made at a time.
        of: noun for the cells.
    """
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    left = TimeLeft(missing + finished, of, finished)
    console = error_console()
    columns = (
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn(of + ", {task.description}"),
        TimeElapsedColumn(),
        TextColumn("gone, {task.fields[left]}"),
    )
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        task = progress.add_task("starting", total=left.total, completed=finished, left=str(left))

        def show(name: str, seconds: float) -> None:
            left.step()
            last = f"last {name}, {seconds:.0f} s"
            progress.update(task, completed=left.done, description=last, left=str(left))
            if not console.is_terminal:
                sys.stderr.write(f"{left.done} of {left.total} {of}: {name} in {seconds:.0f} s; {left}\n")

        if not console.is_terminal and missing:
            sys.stderr.write(f"{finished} of {left.total} {of} are there; {processes} at a time\n")
        yield show
