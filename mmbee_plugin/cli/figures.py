"""`mmbee figure`: the paper's figures, measured and drawn."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from mmbee_plugin.cli.common import WITH_SETTINGS, DataPath, Dataset, show_page, stage_display

app = typer.Typer(
    help="The paper's figures 5 and 6 and a room's timeline, with what they show as numbers.",
    no_args_is_help=True,
)
Out = Annotated[Path, typer.Option("--out", metavar="FILE", help="The HTML file to write.")]


@app.command("5")
def queries(
    checkpoint: Annotated[
        Path, typer.Argument(metavar="CHECKPOINT", help="Of MMBee on simulated live data.")
    ],
    out: Out = Path("results/figure-5.html"),
) -> None:
    """Whether the learned queries tell the type of an author: t-SNE, clusters, neighbours; id embeddings beside."""
    from rich.console import Console

    from mmbee_plugin.figures.page import printed, write_page
    from mmbee_plugin.figures.queries import query_figure, read_authors
    from mmbee_plugin.recbole.report import check_writable, provenance_lines

    check_writable(out)
    authors = read_authors(checkpoint)
    sheet, figure = query_figure(authors)
    provenance = provenance_lines(authors.folder)
    write_page(
        out, sheet, figure, [*provenance, f"Checkpoint: {checkpoint.name}"], authors.folder.kind == "real"
    )
    for line in provenance:
        typer.echo(line)
    Console().print(printed(sheet))
    typer.echo(f"Written: {out}")


@app.command("6", context_settings=WITH_SETTINGS)
def response(
    context: typer.Context,
    dataset: Dataset,
    data_path: DataPath = Path("datasets"),
    requests: Annotated[int, typer.Option(min=1, help="Requests timed a metapath.")] = 2000,
    out: Out = Path("results/figure-6.html"),
) -> None:
    """The time to answer a request by walking the graph online, and by reading the stored list of the snapshot.

    The settings of the graph may follow, as for a run: --graph.top_k=20. It is built if it is not there.
    """
    from rich.console import Console

    from mmbee_plugin.figures.page import printed, write_page
    from mmbee_plugin.figures.response import measure, response_figure
    from mmbee_plugin.recbole import graph_report
    from mmbee_plugin.recbole.report import check_writable, provenance_lines

    check_writable(out)
    with stage_display() as show:
        opened = graph_report.open_graph(dataset, data_path, context.args, show)
    sheet, figure = response_figure(opened.snapshot, measure(opened.snapshot, requests))
    provenance = provenance_lines(opened.folder)
    write_page(out, sheet, figure, provenance, opened.folder.kind == "real")
    for line in provenance:
        typer.echo(line)
    Console().print(printed(sheet))
    typer.echo(f"Written: {out}")


@app.command("room")
def room(
    checkpoint: Annotated[Path, typer.Argument(metavar="CHECKPOINT", help="Of MMBee on live data.")],
    name: Annotated[
        str | None,
        typer.Option("--room", metavar="ID", help="Default: that with the most gifts in the test part."),
    ] = None,
    out: Out = Path("results/figure-room.html"),
) -> None:
    """The timeline of one live room: what the author's queries read by segment, and the gifts on it."""
    from mmbee_plugin.figures.room import read_timeline
    from mmbee_plugin.figures.timeline import room_figure
    from mmbee_plugin.recbole.report import check_writable
    from mmbee_plugin.studies.scoring import open_trained

    check_writable(out)
    trained = open_trained(checkpoint)
    found = read_timeline(trained.network, trained.train, name)
    show_page(out, *room_figure(found), trained.folder, f"Checkpoint: {checkpoint.name}")
