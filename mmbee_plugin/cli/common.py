"""What the commands share: common options, and a display of stages."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

from mmbee_plugin.errors import InputError

if TYPE_CHECKING:
    import plotly.graph_objects as go

    from mmbee_plugin.data.folder import DatasetFolder
    from mmbee_plugin.experiments.sheet import Sheet

WITH_SETTINGS = {"allow_extra_args": True, "ignore_unknown_options": True}
Dataset = Annotated[str, typer.Option("--dataset", metavar="NAME", help="A folder in --data-path.")]
DataPath = Annotated[Path, typer.Option("--data-path", "--data_path", metavar="DIR")]
Cells = Annotated[Path, typer.Option("--cells", metavar="DIR", help="Where finished cells are kept.")]
Out = Annotated[Path, typer.Option("--out", metavar="FILE", help="The HTML file to write.")]
Number = TypeVar("Number", int, float)


def numbers(text: str, option: str, kind: type[Number]) -> list[Number]:
    """The numbers of an option's value, separated by commas. Raises InputError for anything else."""
    try:
        return [kind(part) for part in text.split(",")]
    except ValueError:
        expected = "whole numbers" if kind is int else "numbers"
        raise InputError(f"{option} {text!r}: {expected} separated by commas are needed") from None


@contextmanager
def stage_display() -> Iterator[Callable[[str], None]]:
    """Shows stages as they start, on stderr: in one place with the time on a terminal, else a line each."""
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


def show_page(out: Path, sheet: Sheet, figure: go.Figure, folder: DatasetFolder, *more: str) -> None:
    """Writes a sheet and its plots to one HTML file, prints the sheet, and says of both what the data are.

    Args:
        more: further lines for the file, such as which checkpoint it was.
    """
    from mmbee_plugin.experiments.sheet import untested
    from mmbee_plugin.experiments.terminal import shown
    from mmbee_plugin.figures.page import write_page
    from mmbee_plugin.recbole.training.report import provenance_lines

    if folder.kind == "sample":
        (sheet,) = untested([sheet])
    provenance = provenance_lines(folder)
    write_page(out, sheet, figure, [*provenance, *more], folder.kind == "real")
    for line in [*provenance, "", *shown(sheet), "", f"Written: {out}"]:
        typer.echo(line)
