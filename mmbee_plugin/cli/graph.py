"""`mmbee graph …`: builds and inspects the offline stage."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mmbee_plugin.cli.common import WITH_SETTINGS, DataPath, Dataset
from mmbee_plugin.cli.engine import Engine, Master, spark_session
from mmbee_plugin.cli.listing import of_graphs, with_list
from mmbee_plugin.cli.log_graph import build_of_log
from mmbee_plugin.command.counts import parse_count
from mmbee_plugin.command.stages import stage_display
from mmbee_plugin.errors import InputError

if TYPE_CHECKING:
    from mmbee_plugin.recbole import graphs


class Refreshed(StrEnum):
    """Which lists are made anew from an earlier snapshot's."""

    TOUCHED = "touched"


app = typer.Typer(help="Graphs: build them and look into them.", no_args_is_help=True)


@app.command("build", cls=with_list(of_graphs), context_settings=WITH_SETTINGS)
def graph_build(
    context: typer.Context,
    dataset: Annotated[
        str | None, typer.Option("--dataset", metavar="NAME", help="A folder in --data-path ...")
    ] = None,
    data_path: DataPath = Path("datasets"),
    logs: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="... or a log folder, for the graph of its gifts alone."),
    ] = None,
    days: Annotated[
        int | None, typer.Option(min=1, help="With --logs: only gifts of its first so many days.")
    ] = None,
    engine: Engine = "embedded",
    master: Master = None,
    workers: Annotated[
        int, typer.Option(metavar="N", min=1, help="Processes on this machine that make a part each.")
    ] = 1,
    parts: Annotated[
        int | None,
        typer.Option(
            metavar="N", min=1, help="With --part: make one of N parts, and no snapshot. On Spark: N blocks."
        ),
    ] = None,
    part: Annotated[
        int | None, typer.Option(metavar="I", min=1, help="The part to make, from 1; see graph merge.")
    ] = None,
    refresh: Annotated[
        Refreshed | None,
        typer.Option(help="Make new lists only for the nodes that changed gifts touch; approximate."),
    ] = None,
    previous: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR", help="With --refresh: the earlier snapshot, whose lists the other nodes keep."
        ),
    ] = None,
    compare: Annotated[
        bool,
        typer.Option("--compare", help="With --refresh: build all lists too, and show overlap and costs."),
    ] = False,
) -> None:
    """Build the graphs, neighbour lists and node vectors of a dataset, unless they are there.

    They are those that a run of --model=MMBee reads, or with --logs those of all gifts, without node vectors. Settings
    of the graph may follow, as for a run: --graph.top_k=20.
    --refresh=touched --previous=DIR stands for --graph.refresh_from=DIR, which such a run has to be given too.

    Parts change no file of the result. Machines that share the data folder may make them side by side.

    What is finished is kept: the same command goes on where it was stopped.
    """
    from functools import partial

    from mmbee_plugin.graph.build import build_snapshot
    from mmbee_plugin.graph.parts.workers import build_by_workers
    from mmbee_plugin.recbole import graphs

    if (refresh is None) != (previous is None) or (compare and refresh is None):
        raise InputError("--refresh=touched, --previous=DIR and --compare: the first two go together")
    if (dataset is None) == (logs is None):
        raise InputError("needs one of --dataset=NAME and --logs=DIR")
    if days is not None and logs is None:
        raise InputError("--days is of --logs: a dataset has a training part")
    _check_parts(engine, parts, part, workers, whole=logs is not None, refreshed=refresh is not None)
    if logs is not None:
        build_of_log(logs, context.args, days, engine, master, parts)
        return
    assert dataset is not None
    with spark_session(engine, master, lambda stage: typer.echo(stage, err=True)) as spark:
        if spark is not None:
            from mmbee_plugin.spark.graph import snapshots_on

            _show(dataset, data_path, context.args, snapshots_on(spark, parts))
            return
    given = context.args if previous is None else [*context.args, f"--graph.refresh_from={previous}"]
    if parts is None or part is None:
        builder: graphs.Builder = build_snapshot
        if workers > 1:
            builder = partial(build_by_workers, workers=workers)
        _show(dataset, data_path, given, builder, previous if compare else None)
        return
    with stage_display() as show:
        lines = graphs.part_lines(dataset, data_path, given, parts, part - 1, show)
    for line in lines:
        typer.echo(line)


def _check_parts(
    engine: str, parts: int | None, part: int | None, workers: int, whole: bool, refreshed: bool
) -> None:
    """Raises InputError for options of parts that do not go together. ``whole``: only all parts can be made."""
    spark = engine == "spark"
    if spark or whole:
        if part is not None or workers > 1 or refreshed or (parts is not None and not spark):
            raise InputError(
                "--logs and --engine=spark make all parts: leave out --part, --workers and --refresh"
            )
        return
    if (parts is None) != (part is None):
        raise InputError("--parts and --part go together")
    if parts is not None and workers > 1:
        raise InputError("--workers makes all parts, --part one of them: leave one out")
    if parts is not None and part is not None and part > parts:
        raise InputError(f"--part={part} is out of range, expected 1 to {parts}")


@app.command("merge", cls=with_list(of_graphs), context_settings=WITH_SETTINGS)
def graph_merge(
    context: typer.Context,
    dataset: Dataset,
    data_path: DataPath = Path("datasets"),
    parts: Annotated[
        int | None,
        typer.Option(
            metavar="N", min=1, help="Merge N parts; needed where the dataset was divided in several ways."
        ),
    ] = None,
) -> None:
    """Join the parts that graph build --parts made, train node vectors, and remove the parts.

    The settings must be those of the parts.
    """
    from functools import partial

    from mmbee_plugin.graph.parts.merge import merge

    _show(dataset, data_path, context.args, partial(merge, n_parts=parts))


def _show(
    dataset: str,
    data_path: Path,
    arguments: list[str],
    builder: graphs.Builder,
    compared: Path | None = None,
) -> None:
    """Opens a snapshot and prints what it holds and what that cost, also against one that it was refreshed from."""
    from rich.console import Console

    from mmbee_plugin.graph.refresh import approximation
    from mmbee_plugin.recbole import graph_report, graphs
    from mmbee_plugin.recbole.training import report

    with stage_display() as show:
        opened = graphs.open_graph(dataset, data_path, arguments, show, builder)
        table = None if compared is None else graph_report.refresh_table(opened, compared, show)
    for line in report.provenance_lines(opened.folder):
        typer.echo(line)
    if (note := approximation(opened.snapshot)) is not None:
        typer.echo(note)
    Console().print(graph_report.built_table(opened.snapshot))
    if table is not None:
        Console().print(table)
    typer.echo(f"{'Built' if opened.stages else 'Reused'}: {opened.snapshot.path}")


@app.command("neighbours", cls=with_list(of_graphs), context_settings=WITH_SETTINGS)
def graph_neighbours(
    context: typer.Context,
    dataset: Dataset,
    data_path: DataPath = Path("datasets"),
    user: Annotated[str | None, typer.Option(metavar="TOKEN", help="The user to look at ...")] = None,
    author: Annotated[str | None, typer.Option(metavar="TOKEN", help="... or the author (item).")] = None,
    metapath: Annotated[str | None, typer.Option(metavar="NAME", help="Such as u2a2u; default: all.")] = None,
    top: Annotated[int, typer.Option(min=1, help="Neighbours to show of each metapath.")] = 10,
    paths: Annotated[int, typer.Option(min=0, help="Paths to show of each neighbour.")] = 3,
) -> None:
    """Show a user's or an author's neighbours along the metapaths, and the heaviest paths behind each.

    The settings of the graph may follow, as for a run: --graph.top_k=20. It is built if it is not there.
    """
    from mmbee_plugin.recbole import graph_report, graphs
    from mmbee_plugin.recbole.training import report

    if (user is None) == (author is None):
        raise InputError("needs one of --user=TOKEN and --author=TOKEN")
    with stage_display() as show:
        opened = graphs.open_graph(dataset, data_path, context.args, show)
    side, token = ("u", user) if user is not None else ("a", author)
    lines = graph_report.neighbour_lines(opened, side, str(token), metapath, top, paths)
    for line in [*report.provenance_lines(opened.folder), *lines]:
        typer.echo(line)


@app.command("caps", cls=with_list(of_graphs), context_settings=WITH_SETTINGS)
def graph_caps(
    context: typer.Context,
    dataset: Dataset,
    data_path: DataPath = Path("datasets"),
    cap: Annotated[
        list[int] | None,
        typer.Option(
            min=1, help="Users read of an author at most; may be repeated. Default: 20000, 1000 and 200."
        ),
    ] = None,
) -> None:
    """Show what caps on hubs, authors of very many users, cost: the overlap with the exact lists, and seconds saved.

    A cap N stands for --graph.swing_max_users=N --graph.walk_max_users=N. Settings of the graph may follow.
    """
    from rich.console import Console

    from mmbee_plugin.recbole import graph_report, graphs
    from mmbee_plugin.recbole.training import report

    with stage_display() as show:
        opened = graphs.open_graph(dataset, data_path, context.args, show)
        table = graph_report.caps_table(opened.snapshot, cap or [20_000, 1_000, 200], show)
    for line in report.provenance_lines(opened.folder):
        typer.echo(line)
    Console().print(table)


@app.command("plan")
def graph_plan(
    users: Annotated[str, typer.Option(metavar="COUNT", help="Users, e.g. 1e9.")],
    authors: Annotated[str, typer.Option(metavar="COUNT", help="Authors, e.g. 1e7.")],
    gifts: Annotated[str, typer.Option(metavar="COUNT", help="Gifts, e.g. 1e9.")],
    exponent: Annotated[
        float, typer.Option(min=0, help="The author of rank r receives gifts in proportion to r^-exponent.")
    ] = 0.75,
    user_exponent: Annotated[
        float, typer.Option(min=0, help="The same for the gifts that users send.")
    ] = 0.5,
    cap: Annotated[
        list[int] | None,
        typer.Option(
            min=1, help="Users read of an author at most; may be repeated. Default: 20000 and 1000."
        ),
    ] = None,
    top_k: Annotated[int, typer.Option(min=1, help="Neighbours kept in each list.")] = 50,
    swing_top_k: Annotated[
        int | None, typer.Option(min=1, help="Similar authors (A2A) kept for each author.")
    ] = None,
    passes: Annotated[int, typer.Option(min=1, help="Passes of GraphCL over all nodes.")] = 10,
    width: Annotated[int, typer.Option(min=1, help="Width of the node vectors.")] = 64,
    content_width: Annotated[
        int, typer.Option(min=0, help="Width of the authors' features, for neighbours by content; 0: none.")
    ] = 0,
    content_top_k: Annotated[
        int, typer.Option(min=1, help="Neighbours by content kept for each author.")
    ] = 10,
) -> None:
    """Predict core-hours, memory and bytes of the graph stage, with and without caps on hubs (authors of many users).

    From the expected degrees of such a population and costs of operations that were fitted to measured runs.
    """
    from rich.console import Console

    from mmbee_plugin.graph import plan_report
    from mmbee_plugin.graph.plan import plan
    from mmbee_plugin.graph.population import Population

    people = Population(parse_count(users), parse_count(authors), parse_count(gifts), exponent, user_exponent)
    sizes = top_k, swing_top_k, passes, width, content_width, content_top_k
    plans = {limit: list(plan(people, limit, *sizes)) for limit in (None, *(cap or [20_000, 1_000]))}
    console = Console()
    if not console.is_terminal:
        console = Console(width=120)
    console.print(plan_report.plan_table(plans))
    for line in plan_report.plan_lines(people, plans):
        typer.echo(line)
