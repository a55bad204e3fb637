"""`mmbee figure`: the paper's figures, measured and drawn."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from mmbee_plugin.cli.common import WITH_SETTINGS, DataPath, Dataset, Out, show_page, stage_display

app = typer.Typer(
    help="The paper's figures 5 and 6 and a room's timeline, with what they show as numbers.",
    no_args_is_help=True,
)


@app.command("5")
def queries(
    checkpoint: Annotated[
        Path, typer.Argument(metavar="CHECKPOINT", help="Of MMBee on simulated live data.")
    ],
    out: Out = Path("results/figure-5.html"),
) -> None:
    """Whether the learned queries tell the type of an author: t-SNE, clusters, neighbours; id embeddings beside."""
    from mmbee_plugin.figures.queries import query_figure, read_authors
    from mmbee_plugin.files import check_writable

    check_writable(out)
    authors = read_authors(checkpoint)
    show_page(out, *query_figure(authors), authors.folder, f"Checkpoint: {checkpoint.name}")


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
    from mmbee_plugin.figures.response import measure, response_figure
    from mmbee_plugin.files import check_writable
    from mmbee_plugin.recbole import graph_report

    check_writable(out)
    with stage_display() as show:
        opened = graph_report.open_graph(dataset, data_path, context.args, show)
    measured = response_figure(opened.snapshot, measure(opened.snapshot, requests))
    show_page(out, *measured, opened.folder)


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
    from mmbee_plugin.files import check_writable
    from mmbee_plugin.studies.scoring import open_trained

    check_writable(out)
    trained = open_trained(checkpoint)
    found = read_timeline(trained.network, trained.train, name)
    show_page(out, *room_figure(found), trained.folder, f"Checkpoint: {checkpoint.name}")
