"""`mmbee study …` and `mmbee diagnose`: the paper's open questions and checks, each measured and drawn."""

from __future__ import annotations

import os
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
from mmbee_plugin.recbole.config.known import check_given

app = typer.Typer(help="Studies beyond the paper, each a table and a plot.", no_args_is_help=True)
single = typer.Typer()
"""Commands that stand beside the groups: `mmbee diagnose`, `mmbee explain`."""

Checkpoint = Annotated[Path, typer.Argument(metavar="CHECKPOINT", help="Of MMBee on labelled data.")]


@app.command("missing")
def missing(
    checkpoint: Checkpoint,
    rates: Annotated[
        str, typer.Option(metavar="SHARES", help="Shares of authors or segments that lack a modality.")
    ] = "0.25,0.5,1",
    noise: Annotated[
        str, typer.Option(metavar="LEVELS", help="Noise, in deviations of each column.")
    ] = "0.5,1,2",
    by: Annotated[
        str, typer.Option(metavar="author|segment", help="What loses a modality as one.")
    ] = "author",
    seed: Annotated[int, typer.Option(help="Of the draws of who is hit and of the noise.")] = 0,
    cells: Cells = Path("results/cells"),
    out: Out = Path("results/missing.html"),
) -> None:
    """Score the test rows with each modality missing or noisy, beside SIM without content, which is trained once."""
    from mmbee_plugin.experiments.making import cells_of_rows
    from mmbee_plugin.files import check_writable
    from mmbee_plugin.studies.missing import bare_job, measure, missing_figure, planned
    from mmbee_plugin.studies.scoring import open_trained

    check_writable(out)
    shares, levels = numbers(rates, "--rates", float), numbers(noise, "--noise", float)
    with stage_display() as show:
        show("opening the model")
        trained = open_trained(checkpoint)
    name, job = bare_job(trained)
    changes = planned(list(trained.network.content.tables), shares, levels)
    alone = cells_of_rows({name: [job]}, cells)[name][0].arrays["test scores"]
    with stage_display() as show:
        study = measure(trained, changes, (name, alone), by, seed, show)
    show_page(out, *missing_figure(study), trained.folder, f"Checkpoint: {checkpoint.name}")


@app.command("unseen", context_settings=WITH_SETTINGS)
def unseen(
    context: typer.Context,
    dataset: Dataset,
    data_path: DataPath = Path("datasets"),
    seeds: Annotated[int, typer.Option(min=1, help="Trainings of each model.")] = 1,
    split: Annotated[str, typer.Option(metavar="valid|test", help="Whose rows are scored.")] = "test",
    only: Annotated[
        list[str] | None,
        typer.Option(metavar="MODEL", help="This one and what it is set against; may be repeated."),
    ] = None,
    jobs: Annotated[int, typer.Option(min=1, help="Cells made side by side.")] = os.cpu_count() or 1,
    cells: Cells = Path("results/cells"),
    out: Out = Path("results/unseen.html"),
) -> None:
    """Compare what the parts are worth for authors never seen in training, and for all others.

    Trains SIM with and without MFQ and GIE, and MMBee without its shared queries and without any; they are cells of
    mmbee table, kept in --cells. Settings of all models may follow, as for a run: --epochs=3.
    """
    from mmbee_plugin.builtin.sample import ensure
    from mmbee_plugin.experiments.making import cells_of_rows
    from mmbee_plugin.experiments.training import check_split
    from mmbee_plugin.files import check_writable
    from mmbee_plugin.recbole.config import options
    from mmbee_plugin.recbole.config.sources import of_model
    from mmbee_plugin.studies.unseen import chosen_rows, measure_unseen, unseen_figure, unseen_jobs

    check_split(split)
    rows = chosen_rows(only or ())
    given = options.given_settings(None, context.args)
    check_given(given, ["MMBee"])
    given = of_model(given, "MMBee")
    check_writable(out)
    folder = ensure(dataset, data_path)
    made = cells_of_rows(unseen_jobs(folder, given, seeds, rows), cells, jobs)
    parts = measure_unseen(folder, given, made, split)
    show_page(out, *unseen_figure(parts, seeds, split), folder, f"Settings given: {given or 'none'}")


@app.command("neighbours", context_settings=WITH_SETTINGS)
def neighbours(
    context: typer.Context,
    dataset: Dataset,
    data_path: DataPath = Path("datasets"),
    split: Annotated[str, typer.Option(metavar="valid|test", help="What counts as later.")] = "test",
    out: Out = Path("results/neighbours.html"),
) -> None:
    """How many of the stored neighbours come true later, by metapath, against popular and random lists.

    The settings of the graph may follow, as for a run: --graph.top_k=20. It is built if it is not there.
    """
    from mmbee_plugin.experiments.training import check_split
    from mmbee_plugin.files import check_writable
    from mmbee_plugin.recbole import graph_report
    from mmbee_plugin.recbole.offline import gifts
    from mmbee_plugin.studies.neighbours import hits, neighbours_figure

    check_split(split)
    check_writable(out)
    with stage_display() as show:
        opened = graph_report.open_graph(dataset, data_path, context.args, show)
        train, valid, test = opened.splits
        found = hits(opened.snapshot, gifts(train), gifts(test if split == "test" else valid), show)
    show_page(out, *neighbours_figure(found, split), opened.folder)


@app.command("stale")
def stale(
    checkpoint: Checkpoint,
    ages: Annotated[str, typer.Option(metavar="DAYS", help="Whole days.")] = "0,1,3,7",
    out: Out = Path("results/stale.html"),
) -> None:
    """What an old graph snapshot costs: the model on lists built so many days before the test day."""
    from mmbee_plugin.files import check_writable
    from mmbee_plugin.studies.scoring import open_trained
    from mmbee_plugin.studies.stale import aged, stale_figure

    check_writable(out)
    days = numbers(ages, "--ages", int)
    with stage_display() as show:
        trained = open_trained(checkpoint)
        samples, found = aged(trained, days, show)
    show_page(out, *stale_figure(samples, found), trained.folder, f"Checkpoint: {checkpoint.name}")


@single.command("diagnose")
def diagnose(checkpoint: Checkpoint, out: Out = Path("results/diagnosis.html")) -> None:
    """Look a trained model over for parts that fail quietly: queries, modalities, neighbours; ok or look at this."""
    from mmbee_plugin.files import check_writable
    from mmbee_plugin.studies.diagnose import diagnose as examine
    from mmbee_plugin.studies.diagnose import diagnosis_figure
    from mmbee_plugin.studies.scoring import open_trained

    check_writable(out)
    with stage_display() as show:
        show("opening the model")
        trained = open_trained(checkpoint)
        found = examine(trained, show)
    show_page(out, *diagnosis_figure(found), trained.folder, f"Checkpoint: {checkpoint.name}")


@single.command("explain")
def explain(
    checkpoint: Checkpoint,
    user: Annotated[str, typer.Option(metavar="ID")],
    author: Annotated[str, typer.Option(metavar="ID")],
    time: Annotated[
        str | None,
        typer.Option(
            metavar="WHEN", help="Seconds since 1970 or 2025-05-12T20:15:30 (UTC). Default: a test row's."
        ),
    ] = None,
    out: Out = Path("results/explain.html"),
) -> None:
    """Which behaviours, metapaths, modalities and segments carried the score of one user for one author."""
    from mmbee_plugin.figures.moments import parsed_time
    from mmbee_plugin.files import check_writable
    from mmbee_plugin.studies.explain import explain as without_each
    from mmbee_plugin.studies.explain import explanation_figure, find_moment
    from mmbee_plugin.studies.scoring import open_trained

    check_writable(out)
    moment = None if time is None else parsed_time(time)
    trained = open_trained(checkpoint)
    found = without_each(trained, find_moment(trained, user, author, moment))
    show_page(out, *explanation_figure(trained, found), trained.folder, f"Checkpoint: {checkpoint.name}")
