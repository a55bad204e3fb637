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
