"""Progress display of a long command by stages."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from rich.console import Console


def error_console() -> Console:
    """rich's console on stderr; a terminal only if stderr is one.

    rich takes FORCE_COLOR, which notebooks set, for a terminal, and would print every frame of a display.
    """
    from rich.console import Console

    return Console(stderr=True, force_terminal=sys.stderr.isatty())


@contextmanager
def stage_display() -> Iterator[Callable[[str], None]]:
    """Yields a function that shows a stage as it starts, on stderr: a spinner with the time on a terminal, else a line
    each."""
    from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    console = error_console()
    if not console.is_terminal:
        yield lambda stage: typer.echo(stage, err=True)
        return
    columns = (
        SpinnerColumn(),
        TextColumn("{task.completed} stages done, now {task.description}"),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task("reading the data", total=None)
        begun = -1

        def show(stage: str) -> None:
            nonlocal begun
            begun += 1
            progress.update(task, description=stage, completed=begun)

        yield show
