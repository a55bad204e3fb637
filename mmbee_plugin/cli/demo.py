"""`mmbee demo`: a small trained model to look at."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from mmbee_plugin.command.extras import check_extra

app = typer.Typer()


@app.command("demo")
def demo(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Where the demo is made and kept.")] = Path(
        "demo"
    ),
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port to serve at; 0 takes a free one.")] = 8000,
    no_serve: Annotated[bool, typer.Option("--no-serve", help="Make it and end, without serving.")] = False,
) -> None:
    """Make a small model in about a minute, once, and show its reports and the console at one address.

    Everything is simulated, nothing is downloaded. Ctrl-C ends it; the next time it opens at once.
    """
    for module in (
        "recbole",
        "polars",
        "safetensors",
        "msgspec",
        "prometheus_client",
        "starlette",
        "uvicorn",
    ):
        check_extra(module, "mmbee demo")
    from mmbee_plugin.demo.folder import Demo
    from mmbee_plugin.demo.making import make

    made = Demo(folder)
    make(made, typer.echo)
    typer.echo(f"{folder}: pages in {made.pages}, model card {made.card}, model {made.checkpoint}")
    if not no_serve:
        from mmbee_plugin.demo.showing import show

        show(made, port, typer.echo)
