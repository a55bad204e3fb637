"""The command line `mmbee`: parse, call, print."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from mmbee_plugin.data.folder import DatasetFolder
from mmbee_plugin.data.formats import READERS, convert
from mmbee_plugin.errors import InputError

app = typer.Typer(help="MMBee: data, graphs and models for gift prediction.", no_args_is_help=True)
data = typer.Typer(help="Dataset folders: convert and describe them.", no_args_is_help=True)
app.add_typer(data, name="data")
graph = typer.Typer(help="Graphs: build them and look into them.", no_args_is_help=True)
app.add_typer(graph, name="graph")

WITH_SETTINGS = {"allow_extra_args": True, "ignore_unknown_options": True}
Dataset = Annotated[str, typer.Option("--dataset", metavar="NAME", help="A folder in --data-path.")]
DataPath = Annotated[Path, typer.Option("--data-path", "--data_path", metavar="DIR")]


@data.command("convert")
def data_convert(
    form: Annotated[str, typer.Argument(metavar="FORMAT", help=f"The files' format: {', '.join(READERS)}.")],
    source: Annotated[Path, typer.Argument(metavar="SRC", help="The folder with the files.")],
    folder: Annotated[
        Path, typer.Argument(metavar="DST", help="The dataset folder to write, e.g. datasets/tiktok.")
    ],
    force: Annotated[
        bool, typer.Option("--force", help="Replace real data; a sample is replaced anyway.")
    ] = False,
) -> None:
    """Convert public files into a dataset folder."""
    _print_summary(convert(form, source, folder, force=force))


@data.command("describe")
def data_describe(
    folder: Annotated[Path, typer.Argument(metavar="DST", help="The dataset folder.")],
) -> None:
    """Check a dataset folder from end to end and print what is in it."""
    opened = DatasetFolder(folder)
    opened.validate_interactions()
    _print_summary(opened)


@data.command("shards", context_settings=WITH_SETTINGS)
def data_shards(
    context: typer.Context,
    name: Annotated[str, typer.Argument(metavar="NAME", help="A dataset folder in --data-path.")],
    destination: Annotated[Path, typer.Argument(metavar="DST", help="The shards folder to write.")],
    data_path: DataPath = Path("datasets"),
) -> None:
    """Write a dataset as shards for the TorchRec job: Parquet rows, memory-mapped lists and features.

    Settings may follow: --graph.folds=3, --graph=null, --node_tables=fresh, --graphcl.width=64, --modalities=[visual],
    --rows_per_group=65536, --train_newest=3, --threshold=4, --seed=0.
    """
    from mmbee_plugin.data.sample import ensure
    from mmbee_plugin.torchrec.shard_settings import read_shard_settings
    from mmbee_plugin.torchrec.shards import write_shards
    from mmbee_plugin.torchrec.store import ShardStore

    settings = read_shard_settings(context.args)
    with _stage_display() as show:
        write_shards(
            ensure(name, data_path),
            destination,
            settings.graph,
            settings.graphcl if settings.node_tables == "graphcl" else None,
            modalities=settings.modalities,
            rows_per_group=settings.rows_per_group,
            train_newest=settings.train_newest,
            threshold=settings.threshold,
            seed=settings.seed,
            progress=show,
        )
    description = ShardStore(destination).description
    typer.echo(description.provenance)
    fold = f" in {description.folds} folds" if description.folds else ""
    typer.echo(f"Trains on {sum(description.rows):,} rows{fold}: {destination}")


@graph.command("build", context_settings=WITH_SETTINGS)
def graph_build(context: typer.Context, dataset: Dataset, data_path: DataPath = Path("datasets")) -> None:
    """Build the graphs, neighbour lists and node vectors of a dataset, unless they are there.

    They are those that a run of --model=MMBee reads. Its settings may follow, as for a run: --graph.top_k=20.
    """
    from rich.console import Console

    from mmbee_plugin.recbole import graph_report, report

    with _stage_display() as show:
        opened = graph_report.open_graph(dataset, data_path, context.args, show)
    for line in report.provenance_lines(opened.folder):
        typer.echo(line)
    Console().print(graph_report.built_table(opened.snapshot))
    typer.echo(f"{'Built' if opened.stages else 'Reused'}: {opened.snapshot.path}")


@graph.command("neighbours", context_settings=WITH_SETTINGS)
def graph_neighbours(
    context: typer.Context,
    dataset: Dataset,
    data_path: DataPath = Path("datasets"),
    user: Annotated[str | None, typer.Option(metavar="TOKEN", help="The user to look at ...")] = None,
    author: Annotated[str | None, typer.Option(metavar="TOKEN", help="... or the author (item).")] = None,
    metapath: Annotated[str | None, typer.Option(metavar="NAME", help="Such as u2a2u; default: all.")] = None,
    top: Annotated[int, typer.Option(min=1, help="Neighbours to show a metapath.")] = 10,
    paths: Annotated[int, typer.Option(min=0, help="Paths to show a neighbour.")] = 3,
) -> None:
    """Show a user's or an author's neighbours along the metapaths, and the heaviest paths behind each.

    The settings of the graph may follow, as for a run: --graph.top_k=20. It is built if it is not there.
    """
    from mmbee_plugin.recbole import graph_report, report

    if (user is None) == (author is None):
        raise InputError("needs one of --user=TOKEN and --author=TOKEN")
    with _stage_display() as show:
        opened = graph_report.open_graph(dataset, data_path, context.args, show)
    side, token = ("u", user) if user is not None else ("a", author)
    lines = graph_report.neighbour_lines(opened, side, str(token), metapath, top, paths)
    for line in [*report.provenance_lines(opened.folder), *lines]:
        typer.echo(line)


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
    from mmbee_plugin.exchange import read_exchange

    if checkpoint.suffix == ".pth":
        from mmbee_plugin.recbole.exchange import export_run

        export_run(checkpoint, destination)
    else:
        from mmbee_plugin.torchrec.versions import check_versions

        check_versions()
        from mmbee_plugin.torchrec.export import export_checkpoint

        export_checkpoint(checkpoint, destination, shards)
    exchange = read_exchange(destination)
    tables = ", ".join(f"{name} {len(rows):,} x {rows.shape[1]}" for name, rows in exchange.tables.items())
    typer.echo(f"{destination}: {tables}; {sum(part.numel() for part in exchange.dense.values()):,} weights")


@app.command("import", context_settings=WITH_SETTINGS)
def import_(
    context: typer.Context,
    source: Annotated[Path, typer.Argument(metavar="SRC", help="A file that mmbee export wrote.")],
    config: Annotated[Path, typer.Option(metavar="YAML", help="Settings of the TorchRec job.")],
) -> None:
    """Make the first checkpoint of a TorchRec job from an exported file; train --resume goes on from it.

    Settings may follow, as for the job: checkpoint.folder=saved/second.
    """
    from mmbee_plugin.torchrec.settings import read_settings
    from mmbee_plugin.torchrec.versions import check_versions

    check_versions()
    from mmbee_plugin.torchrec.export import import_exchange

    typer.echo(f"Written: {import_exchange(source, read_settings(config, context.args))}")


@app.command("plan", context_settings=WITH_SETTINGS)
def plan_tables(
    context: typer.Context,
    config: Annotated[Path, typer.Option(metavar="FILE", help="The job's settings.")],
    users: Annotated[str, typer.Option(metavar="COUNT", help="Rows of the user tables, e.g. 1e9.")],
    authors: Annotated[str, typer.Option(metavar="COUNT", help="Rows of the author tables, e.g. 1e7.")],
    world_size: Annotated[int, typer.Option(min=1, help="Processes, one a GPU.")] = 8,
    local_world_size: Annotated[int, typer.Option(min=1, help="Of them on one machine.")] = 8,
    hbm: Annotated[str | None, typer.Option(metavar="SIZE", help="Memory of a GPU, e.g. 80GB.")] = None,
    ddr: Annotated[
        str | None,
        typer.Option(metavar="SIZE", help="Host memory a process: behind GPUs it holds what they cannot."),
    ] = None,
    batch_size: Annotated[int | None, typer.Option(min=1, help="Global batch; default: the job's.")] = None,
) -> None:
    """Plan where a TorchRec job's tables would land on a cluster, without allocating them.

    Without --hbm, for processes on CPUs with --ddr each. Units count by 1024, as memory is sold. The job's
    settings may follow: tables.user.sharding=row_wise. Exit status 1 where the tables do not fit.
    """
    from rich.console import Console

    from mmbee_plugin.torchrec.settings import read_settings
    from mmbee_plugin.torchrec.versions import check_versions

    if hbm is None and ddr is None:
        raise InputError("needs --hbm, the memory of a GPU, or for CPUs --ddr")
    check_versions()
    from mmbee_plugin.torchrec import plan, plan_report  # only now: they import TorchRec

    changes = context.args if batch_size is None else [*context.args, f"train.batch_size={batch_size}"]
    settings = read_settings(config, changes)
    memory = [plan.parse_bytes(size) if size else 0 for size in (hbm, ddr)]
    cluster = plan.Cluster(world_size, local_world_size, *memory)
    found = plan.plan(settings, cluster, plan.parse_count(users), plan.parse_count(authors))
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


@contextmanager
def _stage_display() -> Iterator[Callable[[str], None]]:
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


def _print_summary(folder: DatasetFolder) -> None:
    typer.echo(folder.provenance())
    n_items = folder.counts["items"]
    for modality, entry in folder.modalities.items():
        features = folder.features(modality)
        size = f"{entry['vocabulary']:,} words" if entry["kind"] == "bag" else f"width {entry['width']:,}"
        missing = int((~features.present).sum())
        typer.echo(f"  {modality}: {entry['kind']}, {size}; missing for {missing:,} of {n_items:,} items")
    if not folder.modalities:
        typer.echo("  no features")
    for note in folder.notes:
        typer.echo(f"warning: {note}", err=True)
    if folder.get_real:
        typer.echo(folder.get_real)


def main() -> None:
    """Runs the command line; bad input is one line on stderr and exit status 2."""
    try:
        app()
    except InputError as error:
        typer.echo(f"error: {error}", err=True)
        raise SystemExit(2) from None


if __name__ == "__main__":
    main()
