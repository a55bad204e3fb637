"""The command line `mmbee`: parses, calls, prints. One file for each group of commands."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from mmbee_plugin import __version__
from mmbee_plugin.cli import (
    abtest,
    bundle,
    clean,
    daily,
    data,
    demo,
    graph,
    jobs,
    runs,
    serve,
    settings,
    tables,
)
from mmbee_plugin.cli.studies import add_studies
from mmbee_plugin.command import threads
from mmbee_plugin.command.entry import exit_status
from mmbee_plugin.command.spelling import plain

app = typer.Typer(no_args_is_help=True, context_settings={"token_normalize_func": plain})
app.add_typer(demo.app)
app.add_typer(runs.app)
app.add_typer(clean.app)
app.add_typer(abtest.app)
app.add_typer(bundle.app, name="bundle")
app.add_typer(daily.app)
app.add_typer(data.app, name="data")
app.add_typer(graph.app, name="graph")
app.add_typer(jobs.app)
app.add_typer(serve.app)
app.add_typer(settings.app)
app.add_typer(tables.app)
add_studies(app, {"graph": graph.app})


def _version(asked: bool) -> None:
    if asked:
        typer.echo(f"mmbee-plugin {__version__}")
        raise typer.Exit


@app.callback()
def mmbee(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and end.")
    ] = False,
) -> None:
    """MMBee: data, graphs and models for gift prediction. In names of options and settings - and _ are the same."""


def main() -> None:
    """Runs the command line; errors that the user can fix are one line on stderr and exit status 2."""
    if sys.argv[1:2] != ["torchrun"]:  # which shares the cores among its processes
        threads.choose()
    raise SystemExit(exit_status(app))
