"""`mmbee data …`: makes and checks dataset folders, and writes them as shards."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from mmbee_plugin.cli.common import WITH_SETTINGS, DataPath
from mmbee_plugin.cli.engine import Engine, Master, spark_session
from mmbee_plugin.cli.listing import of_shards, with_list
from mmbee_plugin.command.stages import stage_display
from mmbee_plugin.data.folder import DatasetFolder
from mmbee_plugin.data.formats import READERS, convert
from mmbee_plugin.errors import InputError
from mmbee_plugin.logs import check_installed
from mmbee_plugin.logs.formats import LOG_FORMATS, convert_log
from mmbee_plugin.logs.settings import NEGATIVES, ConvertSettings, SampleSettings

FORMATS = (*READERS, *LOG_FORMATS)

app = typer.Typer(help="Dataset folders and logs: convert, simulate and check them.", no_args_is_help=True)


@app.command("convert")
def data_convert(
    form: Annotated[str, typer.Argument(metavar="FORMAT", help=f"The files' format: {', '.join(FORMATS)}.")],
    source: Annotated[Path, typer.Argument(metavar="SRC", help="The folder with the files.")],
    folder: Annotated[
        Path,
        typer.Argument(
            metavar="DST", help="The dataset folder to write, e.g. datasets/tiktok; for logs, the log folder."
        ),
    ],
    zone: Annotated[
        float | None,
        typer.Option(
            help="Logs: hours ahead of UTC of dates without a zone.", show_default="0, if days agree"
        ),
    ] = None,
    max_dropped: Annotated[
        float, typer.Option(help="Logs: share of a table's rows that may be left out; 1 for any.")
    ] = ConvertSettings.max_dropped,
    force: Annotated[
        bool, typer.Option("--force", help="Replace real data; a sample is replaced anyway.")
    ] = False,
    ordered: Annotated[
        bool, typer.Option("--ordered", help="The files have no times, but list rows in order of time.")
    ] = False,
) -> None:
    """Convert public files into a dataset folder, or public logs (kuailive, kuailive-m3, vtuber) into a log folder."""
    if form not in FORMATS:
        raise InputError(f"format {form!r} is unknown; known: {', '.join(FORMATS)}")
    if form in READERS:
        if zone is not None or max_dropped != ConvertSettings.max_dropped:
            raise InputError(
                f"--zone and --max-dropped are for logs ({', '.join(LOG_FORMATS)}), not for {form}"
            )
        _print_summary(convert(form, source, folder, force=force, ordered=ordered))
        return
    if ordered:
        raise InputError(f"--ordered: the logs of {form} have times, which order their rows")
    settings = ConvertSettings(zone, max_dropped)
    with stage_display() as show:
        lines = convert_log(form, source, folder, settings, force=force, progress=show)
    typer.echo("\n".join(lines))


@app.command("samples")
def data_samples(
    logs: Annotated[Path, typer.Argument(metavar="LOGS", help="The log folder.")],
    folder: Annotated[
        Path, typer.Argument(metavar="DST", help="The dataset folder to write, e.g. datasets/kuailive.")
    ],
    train_days: Annotated[int, typer.Option(help="Days of the training period, from the first.")] = 7,
    valid_days: Annotated[int, typer.Option(help="How many of them, the last ones, validate.")] = 1,
    test_days: Annotated[int, typer.Option(help="Days after the training period.")] = 1,
    window: Annotated[int, typer.Option(help="Seconds of a window, into which rooms are cut.")] = 30,
    segments: Annotated[int, typer.Option(help="Newest segments kept for a sample.")] = 20,
    segments_known: Annotated[
        str,
        typer.Option(
            help="Newest segment of a sample: window, that of the window of its moment, which ends after it; ended, "
            "the last that had ended, as a service has it."
        ),
    ] = SampleSettings.segments_known,
    negatives: Annotated[
        str, typer.Option(help=f"What can be a negative: {', '.join(NEGATIVES)}.")
    ] = SampleSettings.negatives,
    train_negatives: Annotated[float, typer.Option(help="Share of the negatives kept to train on.")] = 1.0,
    test_negatives: Annotated[float, typer.Option(help="The same for validation and test.")] = 1.0,
    gift_tolerance: Annotated[
        float,
        typer.Option(help="Seconds before or after a visit in which a gift still counts as the visit's."),
    ] = 0.0,
    long_watch: Annotated[float, typer.Option(help="Seconds after which a visit is long.")] = 60.0,
    visits: Annotated[
        bool, typer.Option("--visits", help="Keep the visits of the training period, for graph.visits.")
    ] = False,
    seed: Annotated[int, typer.Option(help="Seed of the draw of negatives.")] = 0,
    force: Annotated[bool, typer.Option("--force", help="Replace real data.")] = False,
    engine: Engine = "embedded",
    master: Master = None,
) -> None:
    """Cut a log into samples: a dataset folder with gifts, visits without one, and the segments they see."""
    check_installed()
    from mmbee_plugin.logs.folder import LogFolder
    from mmbee_plugin.logs.samples import write_samples

    settings = SampleSettings(
        train_days=train_days,
        valid_days=valid_days,
        test_days=test_days,
        window=window,
        segments=segments,
        segments_known=segments_known,
        negatives=negatives,
        train_negatives=train_negatives,
        test_negatives=test_negatives,
        gift_tolerance=gift_tolerance,
        long_watch=long_watch,
        visits=visits,
        seed=seed,
    )
    log = LogFolder(logs.absolute() if engine == "spark" else logs)
    typer.echo(log.provenance())
    with stage_display() as show, spark_session(engine, master, show) as spark:
        write: Callable[..., list[str]] = write_samples
        if spark is not None:
            from mmbee_plugin.spark.samples import rows_on
            from mmbee_plugin.spark.tasks import each_on

            write = partial(write_samples, rows_of=rows_on(spark, folder), each=each_on(spark))
        lines = write(log, folder, settings, force=force, progress=show)
    typer.echo("\n".join(lines))
    _print_summary(DatasetFolder(folder))


@app.command("simulate")
def data_simulate(
    folder: Annotated[Path, typer.Argument(metavar="DST", help="The log folder to write.")],
    users: Annotated[int, typer.Option(help="Users.")] = 20_000,
    authors: Annotated[int, typer.Option(help="Authors, new ones included.")] = 1_500,
    days: Annotated[int, typer.Option(help="Days; samples need 8 by default.")] = 8,
    seed: Annotated[int, typer.Option(help="Seed of all draws.")] = 0,
    density: Annotated[
        float, typer.Option(help="Gifts, as a multiple of KuaiLive's 1.48 % of visits.")
    ] = 1.0,
    world: Annotated[
        int, typer.Option(help="1, or 2, which adds a ranking, drift, gifts after gifts and purses.")
    ] = 1,
    force: Annotated[bool, typer.Option("--force", help="Replace a log.")] = False,
) -> None:
    """Simulate a log of live gifting with planted truth, and print how it compares with KuaiLive."""
    from mmbee_plugin.livesim.display import day_bar
    from mmbee_plugin.livesim.report import calibration_lines, cause_lines, oracle_lines
    from mmbee_plugin.livesim.simulate import simulate
    from mmbee_plugin.livesim.worlds import WORLDS
    from mmbee_plugin.logs.folder import LogFolder

    if world not in WORLDS:
        raise InputError(f"--world {world}: one of {', '.join(map(str, WORLDS))} is needed")
    settings = WORLDS[world](users=users, authors=authors, days=days, seed=seed, density=density)
    with day_bar(f"simulating {folder}") as progress:
        simulation = simulate(folder, settings, force=force, progress=progress)
    typer.echo(LogFolder(folder).provenance())
    typer.echo(", ".join(f"{count:,} {what}" for what, count in simulation.counts.items()))
    typer.echo("\n".join(calibration_lines(simulation.statistics)))
    if simulation.oracle is not None:
        typer.echo("\n".join(oracle_lines(simulation.oracle)))
    if simulation.causes:
        typer.echo("\n".join(cause_lines(simulation.causes)))


@app.command("info")
def data_info(
    name: Annotated[str, typer.Argument(metavar="NAME", help="A dataset folder in --data-path.")],
    data_path: DataPath = Path("datasets"),
    picture: Annotated[
        Path | None,
        typer.Option("--picture", metavar="FILE.html", help="An HTML file to draw it in as well."),
    ] = None,
) -> None:
    """Check a dataset from end to end: counts, degrees, splits and leaks, features, and what popularity scores."""
    from mmbee_plugin.builtin.sample import ensure
    from mmbee_plugin.data.inspect.info import read_info, report, warnings
    from mmbee_plugin.data.inspect.picture import check_picture, drawn, verdict

    if picture is not None:
        check_picture(picture)
    folder = ensure(name, data_path)
    settings = {}
    if importlib.util.find_spec("recbole") is not None:
        from mmbee_plugin.recbole.config.files import dataset_settings

        settings = dataset_settings(folder, "MMBee")
    info = read_info(folder, settings)
    typer.echo("\n".join(report(info)))
    if picture is not None:
        from mmbee_plugin.experiments.page import write_page
        from mmbee_plugin.experiments.plots import Plot

        data, real = [folder.provenance()], folder.kind == "real"
        data += [] if real else [f"{folder.kind.upper()}: these data are generated."]
        plots = [Plot(*one) for one in drawn(info)]
        faults = warnings(info)
        write_page(
            picture, f"Dataset {folder.name}", verdict(info), [], plots, data + faults, real, good=not faults
        )
        typer.echo(f"picture: {picture}")


@app.command("shards", cls=with_list(of_shards), context_settings=WITH_SETTINGS)
def data_shards(
    context: typer.Context,
    name: Annotated[str, typer.Argument(metavar="NAME", help="A dataset folder in --data-path.")],
    destination: Annotated[Path, typer.Argument(metavar="DST", help="The shards folder to write.")],
    data_path: DataPath = Path("datasets"),
) -> None:
    """Write a dataset as shards for the TorchRec job: Parquet rows, memory-mapped lists and features.

    Settings may follow: --graph.folds=3, --graph=null, --node_tables=fresh. Live data bring their segments and tasks
    along; their folds are by time.
    """
    from mmbee_plugin.builtin.sample import ensure
    from mmbee_plugin.data.order import chosen_row_order, order_lines
    from mmbee_plugin.torchrec.shards.settings import read_shard_settings
    from mmbee_plugin.torchrec.shards.store import ShardStore
    from mmbee_plugin.torchrec.shards.write import write_shards

    read_shard_settings(context.args)  # raises before any data are made
    folder = ensure(name, data_path)
    settings = read_shard_settings(context.args, live=folder.live is not None)
    with stage_display() as show:
        write_shards(
            folder,
            destination,
            settings.graph,
            settings.graphcl if settings.node_tables == "graphcl" else None,
            modalities=settings.modalities,
            rows_per_group=settings.rows_per_group,
            train_newest=settings.train_newest,
            train_days=settings.train_days,
            threshold=settings.threshold,
            category_field=settings.category_field,
            seed=settings.seed,
            row_order=settings.row_order,
            progress=show,
        )
    description = ShardStore(destination).description
    typer.echo(description.provenance)
    for line in folder.unread:
        typer.echo(f"warning: {line}", err=True)
    fold = f" in {description.folds} folds" if description.folds else ""
    reading = {"graph": settings.graph and settings.graph.model_dump(), "train_newest": settings.train_newest}
    row_order = chosen_row_order(folder.order, settings.row_order, folder.name)
    for line in order_lines(folder.order, row_order, reading):
        typer.echo(line)
    typer.echo(f"Trains on {sum(description.rows):,} rows{fold}: {destination}")


def _print_summary(folder: DatasetFolder) -> None:
    typer.echo(folder.provenance())
    rows, of = (folder.live.count, "segments") if folder.live else (folder.counts["items"], "items")
    for modality, entry in folder.modalities.items():
        present = folder.segments.present(modality) if folder.live else folder.features(modality).present
        size = f"{entry['vocabulary']:,} words" if entry["kind"] == "bag" else f"width {entry['width']:,}"
        size += f", {entry['frames']} frames" if entry.get("frames", 1) > 1 else ""
        missing = int((~present).sum())
        typer.echo(f"  {modality}: {entry['kind']}, {size}; missing for {missing:,} of {rows:,} {of}")
    if not folder.modalities:
        typer.echo("  no features")
    for note in folder.notes:
        typer.echo(f"note: {note}", err=True)
    for warning in folder.warnings:
        typer.echo(f"warning: {warning}", err=True)
    if folder.get_real:
        typer.echo(folder.get_real)
