"""The command line `mmbee`: parse, call, print. A file holds one group of commands."""

from __future__ import annotations

import typer

from mmbee_plugin.cli import data, figures, graph, jobs, studies, tables
from mmbee_plugin.errors import InputError

app = typer.Typer(help="MMBee: data, graphs and models for gift prediction.", no_args_is_help=True)
app.add_typer(data.app, name="data")
app.add_typer(figures.app, name="figure")
app.add_typer(graph.app, name="graph")
app.add_typer(studies.app, name="study")
app.add_typer(jobs.app)
app.add_typer(studies.single)
app.add_typer(tables.app)


def main() -> None:
    """Runs the command line; bad input is one line on stderr and exit status 2."""
    try:
        app()
    except InputError as error:
        typer.echo(f"error: {error}", err=True)
        raise SystemExit(2) from None
