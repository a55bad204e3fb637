"""`mmbee serve`: the HTTP service over a folder of bundles."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from mmbee_plugin.command.extras import check_extra
from mmbee_plugin.command.parent import end_with
from mmbee_plugin.serving.service.limits import Limits

app = typer.Typer()


@app.command("serve")
def serve(
    bundles: Annotated[
        Path, typer.Argument(metavar="BUNDLES", help="The folder of bundles; its CURRENT is followed.")
    ],
    host: Annotated[
        str, typer.Option(help="Address to listen at; any but this machine's own needs --token.")
    ] = "127.0.0.1",
    port: Annotated[
        int, typer.Option(min=0, max=65535, help="Port to listen at; 0 takes a free one.")
    ] = 8000,
    workers: Annotated[int, typer.Option(min=1, help="Processes that answer; about one a core.")] = 1,
    segments: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Follow a folder of Parquet parts with live segments."),
    ] = None,
    keep_hours: Annotated[
        float,
        typer.Option(
            min=0,
            metavar="HOURS",
            help="Keep the segments of authors who went off the air; a bundle has older ones.",
        ),
    ] = Limits.keep_hours,
    pages: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Show a folder's HTML files, such as reports, at /pages/."),
    ] = None,
    store: Annotated[
        str | None, typer.Option(metavar="URL", help="Read users from Redis or Valkey: redis://host:6379/0.")
    ] = None,
    token: Annotated[
        str | None,
        typer.Option(
            envvar="MMBEE_TOKEN", help="Token that requests must bear; better given by the environment."
        ),
    ] = None,
    candidates: Annotated[
        int, typer.Option(min=1, help="Authors that one request may ask for.")
    ] = Limits.candidates,
    queue: Annotated[
        int, typer.Option(min=1, help="Requests that may wait for each worker; more are refused.")
    ] = Limits.queue,
    deadline: Annotated[
        float,
        typer.Option(min=0.001, help="Seconds until an answer is given up, for requests that name none."),
    ] = Limits.seconds,
    parent: Annotated[
        int | None, typer.Option(hidden=True, help="Process id of the program that it ends with.")
    ] = None,
) -> None:
    """Score users and live authors over HTTP; a newly published bundle takes over without a stop."""
    for module in ("safetensors", "msgspec", "prometheus_client", "starlette", "uvicorn"):
        check_extra(module, "mmbee serve")
    if store is not None:
        check_extra("redis", "--store")
    if segments is not None:
        check_extra("polars", "--segments")
    if parent is not None and not end_with(parent):
        return
    from mmbee_plugin.serving.service.run import Where
    from mmbee_plugin.serving.service.run import serve as run

    limits = Limits(candidates=candidates, queue=queue, seconds=deadline, keep_hours=keep_hours)
    run(Where(bundles, host, port, store, token, workers, segments, pages), limits, typer.echo)
