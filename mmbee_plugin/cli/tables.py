"""`mmbee table`: the paper's tables, run and printed."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mmbee_plugin.cli.common import WITH_SETTINGS, DataPath
from mmbee_plugin.cli.listing import of_baselines, of_runs, with_list
from mmbee_plugin.errors import InputError

if TYPE_CHECKING:
    from mmbee_plugin.tables.command import TableOptions

app = typer.Typer()


@app.command("table", cls=with_list(of_runs, of_baselines), context_settings=WITH_SETTINGS)
def table(
    context: typer.Context,
    number: Annotated[
        str,
        typer.Argument(
            metavar="NUMBER",
            help="The paper's table: 2, 3, 4, 5, 6 or 7; or kuailive and a log folder: the tasks of the log.",
        ),
    ],
    dataset: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="A folder in --data-path; kuailive cuts its own from the log."),
    ] = None,
    data_path: DataPath = Path("datasets"),
    seeds: Annotated[
        int, typer.Option(min=1, help="Trainings of each row, with the seeds from 2020 on.")
    ] = 5,
    split: Annotated[
        str,
        typer.Option(metavar="valid|test", help="Data to measure on; valid while anything is still chosen."),
    ] = "valid",
    only: Annotated[
        list[str] | None,
        typer.Option(
            metavar="ROW",
            help="Only this row and the one it is compared with, or this task of a log; may be repeated.",
        ),
    ] = None,
    tune: Annotated[
        float | None,
        typer.Option(
            metavar="MINUTES",
            min=0.01,
            help="Table 3: first search each row's settings for so many CPU minutes.",
        ),
    ] = None,
    finalists: Annotated[
        int,
        typer.Option(
            metavar="N", min=1, help="With --tune: let all seeds choose among a row's best N settings."
        ),
    ] = 1,
    tuned: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="Table 3: the folder of tuned settings; default: the dataset's in recbole_configs/tuning.",
        ),
    ] = None,
    jobs: Annotated[
        int, typer.Option(min=1, help="Trainings side by side, one thread each; default: the cores.")
    ] = os.cpu_count() or 1,
    cells: Annotated[Path, typer.Option(metavar="DIR", help="Where finished trainings are kept.")] = Path(
        "results/cells"
    ),
    out: Annotated[
        Path | None,
        typer.Option(metavar="PATH", help="Written are PATH.csv, .json and .html; default: results/table-…"),
    ] = None,
) -> None:
    """Run the rows of a table, print it in the paper's layout, and write CSV, JSON and an HTML report.

    Finished trainings are kept, so the same command goes on after an interruption. Settings of all rows may follow, as
    for a run: --epochs=3. The dataset's are in recbole_configs/NAME.yaml.
    """
    from mmbee_plugin.experiments.report import Report
    from mmbee_plugin.tables.command import TableOptions

    arguments, of_log = list(context.args), number == "kuailive"
    logs = Path(arguments.pop(0)) if of_log and arguments and not arguments[0].startswith("-") else None
    name = _name(number, dataset, logs)
    kept = out or Path("results") / f"table-{number}-{name}-{split}"
    options = TableOptions(
        *(0 if of_log else int(number), name, data_path, seeds, split, tuple(only or ()), jobs, cells, kept),
        minutes=tune,
        finalists=finalists,
        tuned=tuned,
    )
    if finalists > 1 and tune is None:
        raise InputError(
            "--finalists needs --tune: it lets all seeds choose among the best trials of a tuning"
        )
    if number != "3" and (tune is not None or tuned is not None):
        raise InputError(
            "--tune and --tuned are of table 3: the rows of the others share the dataset's settings"
        )
    try:
        with Report(kept).alone():
            printed = _run(options, logs, arguments)
    except KeyboardInterrupt:
        typer.echo(f"interrupted; finished cells are in {cells}, the same command goes on", err=True)
        raise typer.Exit(130) from None
    for line in printed:
        typer.echo(line)


def _name(number: str, dataset: str | None, logs: Path | None) -> str:
    """The dataset's name, or that of the log's folder; raises InputError where it is missing or out of place."""
    if number == "kuailive":
        if logs is None:
            raise InputError(
                "table kuailive: a log folder is needed, as in: mmbee table kuailive logs/kuailive"
            )
        if dataset is not None:
            raise InputError(f"--dataset={dataset}: table kuailive cuts its datasets from the log")
        return logs.name
    if not number.isdigit():
        raise InputError(f"table {number} is not one of 2, 3, 4, 5, 6, 7, kuailive")
    if dataset is None:
        raise InputError(f"table {number}: --dataset=NAME is needed, a folder in --data-path")
    return dataset


def _run(options: TableOptions, logs: Path | None, arguments: list[str]) -> list[str]:
    from mmbee_plugin.tables.command import run_table
    from mmbee_plugin.tables.kuailive.command import run_kuailive
    from mmbee_plugin.tables.ranking.command import run_table_3

    if logs is not None:
        return run_kuailive(logs, options, arguments)
    return (run_table_3 if options.number == 3 else run_table)(options, arguments)
