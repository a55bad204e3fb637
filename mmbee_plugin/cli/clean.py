"""`mmbee clean`: deletes old runs in ``saved``."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer()


@app.command("clean")
def clean(
    keep: Annotated[
        int, typer.Option(metavar="N", min=1, help="Runs to keep of each model and dataset, the newest.")
    ],
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Where runs keep their checkpoints.")] = Path(
        "saved"
    ),
    yes: Annotated[bool, typer.Option("--yes", help="Delete the listed runs; without it they stay.")] = False,
) -> None:
    """List all runs in saved except each model and dataset's newest N; --yes deletes them, never one that trains."""
    from mmbee_plugin.errors import InputError
    from mmbee_plugin.experiments.saved import saved_runs, superseded

    runs = saved_runs(folder)
    old = superseded(runs, keep)
    freed = 0
    for run in old:
        days = (time.time() - run.changed) / 86_400
        line = f"{run.path}: {run.size / 1e6:,.1f} MB, {days:,.1f} days old"
        try:
            if yes:
                run.delete()
            else:
                with run.alone():
                    pass
        except InputError:
            typer.echo(f"{line}; stays, it trains at the moment")
            continue
        freed += run.size
        typer.echo(line)
    done = "deleted" if yes else "to delete, with --yes"
    typer.echo(f"{folder}: {len(runs)} runs, {freed / 1e6:,.1f} MB {done}")
