"""`mmbee torchrun|export|import|plan`: TorchRec jobs, their exchange files and table plans."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from mmbee_plugin.cli.common import AS_THEY_ARE, WITH_SETTINGS
from mmbee_plugin.cli.listing import of_jobs, with_list
from mmbee_plugin.command.counts import parse_count
from mmbee_plugin.errors import InputError

app = typer.Typer()


@app.command("torchrun", context_settings=AS_THEY_ARE)
def torchrun(context: typer.Context) -> None:
    """Run torchrun, with its options; where a process fails, the job's own error line is all that is printed.

    --nproc_per_node=2 -m mmbee_plugin.torchrec.train --config torchrec_configs/sample.yaml train.epochs=5
    """
    from mmbee_plugin.torchrec.processes.torchrun import torchrun as run

    raise typer.Exit(run(context.args))


@app.command("export")
def export(
    checkpoint: Annotated[
        Path,
        typer.Argument(
            metavar="CHECKPOINT",
            help="A TorchRec job's checkpoint, or its folder of them: the best epoch, else the newest; or RecBole's "
            "<run>.pth of MMBee.",
        ),
    ],
    destination: Annotated[Path, typer.Argument(metavar="DST", help="The file to write.")],
    shards: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Where the job's shards are now, if they have moved.")
    ] = None,
) -> None:
    """Write a trained model as one plain torch file: whole tables, weights and the tokens of the rows.

    RecBole's MMBee scores with it (mmbee_plugin.recbole.exchange.load_exchange); a TorchRec job starts from it
    (mmbee import).
    """
    from mmbee_plugin.modules.exchange import read_exchange

    if checkpoint.suffix == ".pth":
        from mmbee_plugin.recbole.exchange import export_run

        export_run(checkpoint, destination)
    else:
        from mmbee_plugin.torchrec.processes.versions import check_versions

        check_versions()
        from mmbee_plugin.torchrec.checkpoints.export import export_checkpoint

        export_checkpoint(checkpoint, destination, shards)
    exchange = read_exchange(destination)
    tables = ", ".join(f"{name} {len(rows):,} x {rows.shape[1]}" for name, rows in exchange.tables.items())
    typer.echo(f"{destination}: {tables}; {sum(part.numel() for part in exchange.dense.values()):,} weights")


@app.command("import", cls=with_list(of_jobs), context_settings=WITH_SETTINGS)
def import_(
    context: typer.Context,
    source: Annotated[Path, typer.Argument(metavar="SRC", help="A file that mmbee export wrote.")],
    config: Annotated[Path, typer.Option(metavar="YAML", help="Settings of the TorchRec job.")],
) -> None:
    """Make the first checkpoint of a TorchRec job from an exported file; train --resume goes on from it.

    Settings may follow, as for the job: checkpoint.folder=saved/second.
    """
    from mmbee_plugin.torchrec.processes.versions import check_versions
    from mmbee_plugin.torchrec.settings import read_settings

    check_versions()
    from mmbee_plugin.torchrec.checkpoints.export import import_exchange

    typer.echo(f"Written: {import_exchange(source, read_settings(config, context.args))}")


@app.command("plan", cls=with_list(of_jobs), context_settings=WITH_SETTINGS)
def plan_tables(
    context: typer.Context,
    config: Annotated[Path, typer.Option(metavar="FILE", help="YAML file with the job's settings.")],
    users: Annotated[str, typer.Option(metavar="COUNT", help="Rows of the user tables, e.g. 1e9.")],
    authors: Annotated[str, typer.Option(metavar="COUNT", help="Rows of the author tables, e.g. 1e7.")],
    world_size: Annotated[int, typer.Option(min=1, help="Processes, one a GPU.")] = 8,
    local_world_size: Annotated[int, typer.Option(min=1, help="How many of them are on one machine.")] = 8,
    hbm: Annotated[str | None, typer.Option(metavar="SIZE", help="Memory of a GPU, e.g. 80GB.")] = None,
    ddr: Annotated[
        str | None,
        typer.Option(
            metavar="SIZE", help="Host memory of each process; with GPUs it holds what they cannot."
        ),
    ] = None,
    batch_size: Annotated[int | None, typer.Option(min=1, help="Global batch; default: the job's.")] = None,
) -> None:
    """Plan where a TorchRec job's tables would land on a cluster, without allocating them.

    Without --hbm, for processes on CPUs with --ddr each. Units count by 1024, as memory is sold. The job's
    settings may follow: tables.user.sharding=row_wise. Exit status 1 where the tables do not fit.
    """
    from rich.console import Console

    from mmbee_plugin.torchrec.processes.versions import check_versions
    from mmbee_plugin.torchrec.settings import read_settings

    if hbm is None and ddr is None:
        raise InputError("needs --hbm, the memory of a GPU, or for CPUs --ddr")
    check_versions()
    from mmbee_plugin.torchrec.plan import plan
    from mmbee_plugin.torchrec.plan import report as plan_report

    changes = context.args if batch_size is None else [*context.args, f"train.batch_size={batch_size}"]
    settings = read_settings(config, changes)
    memory = [plan.parse_bytes(size) if size else 0 for size in (hbm, ddr)]
    cluster = plan.Cluster(world_size, local_world_size, *memory)
    found = plan.plan(settings, cluster, parse_count(users), parse_count(authors))
    if isinstance(found, plan.Shortage):
        for line in plan_report.shortage_lines(found):
            typer.echo(line, err=True)
        raise typer.Exit(1)
    console = Console()
    if not console.is_terminal:
        console = Console(width=120)
    console.print(plan_report.plan_table(found))
    if not plan.has_shards(settings):
        typer.echo(f"{settings.data.shards}: no shards there, so without tables for words")
    for line in plan_report.plan_lines(found):
        typer.echo(line)
