"""`mmbee daily`: learns the days of a log and publishes their bundles."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mmbee_plugin.cli.common import WITH_SETTINGS
from mmbee_plugin.cli.listing import of_daily, of_daily_jobs, with_list
from mmbee_plugin.command.extras import check_extra
from mmbee_plugin.errors import InputError

if TYPE_CHECKING:
    from mmbee_plugin.daily.outcome import DayOutcome
    from mmbee_plugin.daily.settings import DailySettings

app = typer.Typer()


@app.command("daily", cls=with_list(of_daily, of_daily_jobs), context_settings=WITH_SETTINGS)
def daily(
    context: typer.Context,
    logs: Annotated[Path, typer.Argument(metavar="LOGS", help="The log folder.")],
    bundles: Annotated[Path, typer.Argument(metavar="BUNDLES", help="The folder of bundles.")],
    day: Annotated[
        str | None,
        typer.Option(
            metavar="DAY",
            help="The day to learn: YYYY-MM-DD by the log's clock, or its number in the log, from 1.",
        ),
    ] = None,
    first: Annotated[
        str | None, typer.Option("--from", metavar="DAY", help="The first of several days.")
    ] = None,
    last: Annotated[str | None, typer.Option("--to", metavar="DAY", help="The last of them.")] = None,
    work: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Where each stage's work is kept; default BUNDLES/.daily."),
    ] = None,
    adapter: Annotated[
        str, typer.Option(help="What trains: recbole, or torchrec under torchrun.")
    ] = "recbole",
    store: Annotated[
        str | None,
        typer.Option(
            metavar="URL", help="A Redis or Valkey that scorers read users from: written before publishing."
        ),
    ] = None,
) -> None:
    """Learn a day: samples, graph, training on from yesterday, gate, bundle, report. Exit status 1: the gate closed.

    Settings of the loop may follow, --daily.epochs=2 or --daily.gate.gauc_drop=0.01, and those of the model as for a
    run, --embedding_size=32, or a TorchRec job, --model.width=32 --processes=4. Killed at any moment, the same command
    goes on where it was.
    """
    check_extra("safetensors", "a bundle")
    if store is not None:
        check_extra("redis", "--store")
    if (first is None) != (last is None) or (day is None) == (first is None):
        raise InputError("a day is needed, --day=8, or several, --from=8 --to=12")
    from mmbee_plugin.daily.loop import run_days

    settings, model = _settings(context.args, adapter)
    outcomes = run_days(
        logs,
        bundles,
        str(first or day),
        str(last or day),
        settings=settings,
        work=work,
        adapter=adapter,
        given=model,
        show=lambda line: typer.echo(line, err=True),
        store=store,
    )
    closed = False
    for outcome in outcomes:
        _tell(outcome)
        closed |= not outcome.opens
    if closed:
        raise typer.Exit(1)


def _settings(arguments: list[str], adapter: str) -> tuple[DailySettings, dict[str, Any]]:
    """Settings of the loop, and those of the model. Raises InputError."""
    from mmbee_plugin.command.yaml_settings import (
        replace_entry,
    )  # needs pyyaml, which mmbee serve does without
    from mmbee_plugin.daily.settings import DailySettings

    own: dict[str, Any] = {"daily": {}}
    model: dict[str, Any] = {}
    of_runs = []
    for argument in arguments:
        if argument.startswith("--daily."):
            replace_entry(own, argument)
        elif adapter == "torchrec":
            replace_entry(model, argument)
        else:
            of_runs.append(argument)
    if of_runs:
        from mmbee_plugin.recbole.config.given import given_settings

        model = given_settings(None, of_runs)
    return DailySettings.of(own["daily"], "settings of the loop"), model


def _tell(outcome: DayOutcome) -> None:
    typer.echo(f"{outcome.day}: {outcome.start}")
    for alarm in outcome.alarms:
        typer.echo(f"{outcome.day}: ALARM: {alarm}")
    if outcome.published:
        typer.echo(f"{outcome.day}: published {outcome.bundle}")
    elif outcome.opens:
        typer.echo(f"{outcome.day}: {outcome.bundle} was published before; {outcome.served} is served now")
    else:
        typer.echo(f"{outcome.day}: kept back {outcome.bundle}, the gate is closed: {outcome.reason}")
    typer.echo(f"{outcome.day}: {sum(outcome.cpu_seconds.values()):.1f} CPU s; report {outcome.report}")
