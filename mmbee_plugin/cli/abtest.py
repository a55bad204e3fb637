"""`mmbee abtest`: the paper's A/B test, on a simulation."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from mmbee_plugin.cli.common import WITH_SETTINGS
from mmbee_plugin.cli.listing import of_runs, with_list
from mmbee_plugin.command.extras import check_extra

app = typer.Typer()


@app.command("abtest", cls=with_list(of_runs), context_settings=WITH_SETTINGS)
def abtest(
    context: typer.Context,
    dataset: Annotated[str, typer.Option(metavar="NAME", help="Always livesim, the simulator.")],
    arms: Annotated[
        str,
        typer.Option(
            metavar="A,B",
            help="The control, then others: SIM, MMBee, rows of table 2 such as SIM+GIE, random.",
        ),
    ] = "SIM,MMBee",
    days: Annotated[int, typer.Option(min=1, help="Days of the test.")] = 5,
    burn_in: Annotated[
        int, typer.Option(help="Days before it, without ranked lists, whose logs the first models learn.")
    ] = 8,
    users: Annotated[int, typer.Option(help="Users, divided among the arms by hash.")] = 20_000,
    authors: Annotated[int, typer.Option(help="Authors, including those who arrive later.")] = 1_500,
    seeds: Annotated[int, typer.Option(min=1, help="Simulated worlds, each with its own training seed.")] = 3,
    http: Annotated[
        bool, typer.Option("--http", help="Ask mmbee serve over HTTP; slower, the same figures.")
    ] = False,
    jobs: Annotated[
        int, typer.Option(min=1, help="Days of arms run side by side, one thread each; default: the cores.")
    ] = os.cpu_count() or 1,
    folder: Annotated[
        Path, typer.Option("--folder", metavar="DIR", help="Where worlds, arms and finished days are kept.")
    ] = Path("results/abtest"),
    out: Annotated[Path, typer.Option(metavar="PATH", help="Written are PATH.csv, .json and .html.")] = Path(
        "results/abtest-livesim"
    ),
) -> None:
    """Test arms against each other in a simulation: users see lists that each arm's served bundle ranks, choose, and
    give; the daily loop retrains each arm on its own logs.

    Prints lifts of NGU (users who gave) and NGC (gifts) with intervals, an A/A arm and the best possible. Finished days
    are kept, so it goes on after an interruption. Settings of all models may follow, as for a run: --segments=10.
    """
    check_extra("safetensors", "mmbee abtest")
    from mmbee_plugin.abtest.command import TestOptions, run_test
    from mmbee_plugin.experiments.report import Report

    options = TestOptions(dataset, arms, days, burn_in, users, authors, seeds, jobs, folder, out, http)
    try:
        with Report(out).alone():
            printed = run_test(options, context.args)
    except KeyboardInterrupt:
        typer.echo(f"interrupted; finished days are in {folder}, the same command goes on", err=True)
        raise typer.Exit(130) from None
    for line in printed:
        typer.echo(line)
