"""Progress of a simulation on stderr: a bar on a terminal, else a line per step."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from mmbee_plugin.command.stages import error_console


@contextmanager
def day_bar(title: str) -> Iterator[Callable[[str, int, int], None]]:
    """Yields the `progress` function of `simulate`; its arguments: current step, steps done, number of steps."""
    console = error_console()
    if not console.is_terminal:
        yield lambda what, done, steps: console.print(
            f"{title}: {done} of {steps} done, now {what}", soft_wrap=True
        )
        return
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task(title)
        yield lambda what, done, steps: bar.update(
            task, description=f"{title}: {what}", completed=done, total=steps
        )
