"""The command line `mmbee`: parse, call, print."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from mmbee_plugin.data.folder import DatasetFolder
from mmbee_plugin.data.formats import READERS, convert
from mmbee_plugin.errors import InputError

app = typer.Typer(help="MMBee: data, graphs and models for gift prediction.", no_args_is_help=True)
data = typer.Typer(help="Dataset folders: convert and describe them.", no_args_is_help=True)
app.add_typer(data, name="data")


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
