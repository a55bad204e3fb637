"""`mmbee graph build --logs=DIR`: the graph of a log's gifts, by one process or on a Spark cluster."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import typer

from mmbee_plugin.cli.engine import spark_session
from mmbee_plugin.command.stages import stage_display
from mmbee_plugin.logs import check_installed


def build_of_log(
    logs: Path, arguments: list[str], days: int | None, engine: str, master: str | None, parts: int | None
) -> None:
    """Builds the snapshot of a log's gifts unless it is there, and says where it is.

    Args:
        logs: the log folder.
        arguments: settings of the graph, such as ``--graph.top_k=20``.
        days: as of :func:`~mmbee_plugin.logs.graph.graph_of_log`.
        engine, master: as given.
        parts: blocks of a step, on Spark.
    """
    check_installed()
    from mmbee_plugin.command.yaml_settings import replace_entry
    from mmbee_plugin.logs.folder import LogFolder
    from mmbee_plugin.logs.graph import LogGraphSettings, gifts_of, graph_of_log

    content: dict[str, Any] = {}
    for argument in arguments:
        replace_entry(content, argument)
    settings = LogGraphSettings.of(content, "settings").graph
    log = LogFolder(logs.absolute() if engine == "spark" else logs)
    typer.echo(log.provenance())
    with stage_display() as show, spark_session(engine, master, show) as spark:
        how: dict[str, Any] = {}
        if spark is not None:
            from mmbee_plugin.spark.donations import gifts_on
            from mmbee_plugin.spark.graph import snapshots_on
            from mmbee_plugin.spark.tasks import each_on

            how = {"each": each_on(spark), "write": gifts_on(spark), "make": snapshots_on(spark, parts)}
        snapshot = graph_of_log(log, settings, days, show, **how)
    edges = snapshot.u2a().nnz
    typer.echo(
        f"{snapshot.n_users:,} users, {snapshot.n_authors:,} authors, {edges:,} edges: {snapshot.path}"
    )
    typer.echo(f"Ids of its rows: {gifts_of(snapshot)}")
