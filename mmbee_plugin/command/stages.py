"""Progress display of a long command by stages."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import typer


@contextmanager
def stage_display() -> Iterator[Callable[[str], None]]:
    """Yields a function that shows a stage as it starts, on stderr: a spinner with the time on a terminal, else a line
    each."""
    from rich.console import Console
    from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    console = Console(stderr=True)
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
