"""The command line `mmbee`: parses, calls, prints. One file for each group of commands."""

from __future__ import annotations

import typer

from mmbee_plugin.cli import bundle, data, graph, jobs, serve, settings, tables
from mmbee_plugin.cli.studies import add_studies
from mmbee_plugin.command import threads
from mmbee_plugin.command.entry import exit_status

app = typer.Typer(help="MMBee: data, graphs and models for gift prediction.", no_args_is_help=True)
app.add_typer(bundle.app, name="bundle")
app.add_typer(data.app, name="data")
app.add_typer(graph.app, name="graph")
app.add_typer(jobs.app)
app.add_typer(serve.app)
app.add_typer(settings.app)
app.add_typer(tables.app)
add_studies(app, {"graph": graph.app})


def main() -> None:
    """Runs the command line; errors that the user can fix are one line on stderr and exit status 2."""
    threads.choose()
    raise SystemExit(exit_status(app))
