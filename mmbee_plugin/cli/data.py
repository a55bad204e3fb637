"""`mmbee data …`: dataset folders, made, checked and turned into shards."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from mmbee_plugin.cli.common import WITH_SETTINGS, DataPath, stage_display
from mmbee_plugin.data.folder import DatasetFolder
from mmbee_plugin.data.formats import READERS, convert

app = typer.Typer(help="Dataset folders: convert and describe them.", no_args_is_help=True)


@app.command("convert")
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


@app.command("describe")
def data_describe(
    folder: Annotated[Path, typer.Argument(metavar="DST", help="The dataset folder.")],
) -> None:
    """Check a dataset folder from end to end and print what is in it."""
    opened = DatasetFolder(folder)
    opened.validate_interactions()
    _print_summary(opened)


@app.command("shards", context_settings=WITH_SETTINGS)
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
    with stage_display() as show:
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
