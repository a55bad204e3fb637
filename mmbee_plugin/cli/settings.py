"""`mmbee settings`: every declared setting, with type, range, default and meaning."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer()


@app.command("settings")
def settings(
    markdown: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write the page docs/settings.md instead of printing.")
    ] = None,
) -> None:
    """List the settings of runs, TorchRec jobs, shards and the daily loop, as they are declared."""
    from mmbee_plugin.cli.listing import page, text

    if markdown is None:
        typer.echo(text())
    else:
        markdown.write_text(page(), encoding="utf-8")
        typer.echo(f"Written: {markdown}")
