"""`mmbee graph …`: the offline stage, built and looked into."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from mmbee_plugin.cli.common import (
    WITH_SETTINGS,
    Cells,
    DataPath,
    Dataset,
    Out,
    numbers,
    show_page,
    stage_display,
)
from mmbee_plugin.errors import InputError
from mmbee_plugin.recbole.config.known import check_given

app = typer.Typer(help="Graphs: build them and look into them.", no_args_is_help=True)


@app.command("build", context_settings=WITH_SETTINGS)
def graph_build(context: typer.Context, dataset: Dataset, data_path: DataPath = Path("datasets")) -> None:
    """Build the graphs, neighbour lists and node vectors of a dataset, unless they are there.

    They are those that a run of --model=MMBee reads. Its settings may follow, as for a run: --graph.top_k=20.
    """
    from rich.console import Console

    from mmbee_plugin.recbole import graph_report
    from mmbee_plugin.recbole.training import report

    with stage_display() as show:
        opened = graph_report.open_graph(dataset, data_path, context.args, show)
    for line in report.provenance_lines(opened.folder):
        typer.echo(line)
    Console().print(graph_report.built_table(opened.snapshot))
    typer.echo(f"{'Built' if opened.stages else 'Reused'}: {opened.snapshot.path}")


@app.command("neighbours", context_settings=WITH_SETTINGS)
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
    from mmbee_plugin.recbole import graph_report
    from mmbee_plugin.recbole.training import report

    if (user is None) == (author is None):
        raise InputError("needs one of --user=TOKEN and --author=TOKEN")
    with stage_display() as show:
        opened = graph_report.open_graph(dataset, data_path, context.args, show)
    side, token = ("u", user) if user is not None else ("a", author)
    lines = graph_report.neighbour_lines(opened, side, str(token), metapath, top, paths)
    for line in [*report.provenance_lines(opened.folder), *lines]:
        typer.echo(line)


@app.command("select", context_settings=WITH_SETTINGS)
def graph_select(
    context: typer.Context,
    dataset: Dataset,
    data_path: DataPath = Path("datasets"),
    keep: Annotated[int, typer.Option(min=1, help="Metapaths to keep.")] = 5,
    metric: Annotated[
        str | None, typer.Option(metavar="auc|uauc|gauc", help="Ranks them; default: what a run is tuned to.")
    ] = None,
    permutations: Annotated[int, typer.Option(min=1, help="Of each metapath.")] = 5,
    seeds: Annotated[int, typer.Option(min=1, help="Models trained.")] = 1,
    cells: Cells = Path("results/cells"),
    out: Out = Path("results/select.html"),
) -> None:
    """Rank every metapath of up to three hops by its permutation importance on validation.

    One model a seed is trained with all of them. Its settings may follow, as for a run: --epochs=2.
    """
    from mmbee_plugin.builtin.sample import ensure
    from mmbee_plugin.experiments.cells import CellStore
    from mmbee_plugin.files import check_writable
    from mmbee_plugin.recbole.config import options
    from mmbee_plugin.recbole.config.sources import of_model
    from mmbee_plugin.studies.importance import importances
    from mmbee_plugin.studies.select import ranking_metric, select_figure

    given = options.given_settings(None, context.args)
    check_given(given, ["MMBee"])
    given = of_model(given, "MMBee")
    check_writable(out)
    folder = ensure(dataset, data_path)
    chosen = ranking_metric(metric, folder, given)
    with stage_display() as show:
        found = importances(folder, given, seeds, permutations, CellStore(cells), show)
    show_page(out, *select_figure(found, chosen, keep), folder)


@app.command("cost", context_settings=WITH_SETTINGS)
def graph_cost(
    context: typer.Context,
    dataset: Dataset,
    data_path: DataPath = Path("datasets"),
    sizes: Annotated[str, typer.Option(metavar="TIMES", help="Times the data's users.")] = "0.5,1,2,4,8",
    densities: Annotated[str, typer.Option(metavar="TIMES", help="Times its edges a user.")] = "0.5,1,2,4",
    cells: Cells = Path("results/cells"),
    out: Out = Path("results/cost.html"),
) -> None:
    """Measure seconds and bytes of the expansion on graphs like the dataset's, smaller, larger and denser.

    The settings of the graph may follow, as for a run: --graph.top_k=20.
    """
    from mmbee_plugin.files import check_writable
    from mmbee_plugin.recbole import graph_report
    from mmbee_plugin.studies.cost import cost_jobs, measured_costs, shapes_of
    from mmbee_plugin.studies.cost_figure import cost_figure

    shapes = shapes_of(numbers(sizes, "--sizes", float), numbers(densities, "--densities", float))
    check_writable(out)
    with stage_display() as show:
        opened = graph_report.open_graph(dataset, data_path, context.args, show)
    own, *costs = measured_costs(cost_jobs(opened, shapes), cells)
    drawn = dict(zip(shapes, costs, strict=True))
    show_page(out, *cost_figure(own, drawn, opened.snapshot.settings.top_k), opened.folder)
