"""`mmbee train|compare|resume|tune`: the command lines that `mmbee_plugin.recbole.config.options` declares.

They are parsed there, since ``run_recbole.py`` and ``run_hyper.py`` take the same.
"""

from __future__ import annotations

import typer

from mmbee_plugin.cli.common import AS_THEY_ARE

app = typer.Typer()


@app.command("train", context_settings=AS_THEY_ARE)
def train(context: typer.Context) -> None:
    """Train a model of this package or of RecBole, test it and print its metrics: --model=MMBee --dataset=tiktok."""
    from mmbee_plugin.recbole import run
    from mmbee_plugin.recbole.config.options import TRAIN

    raise typer.Exit(run.main(context.args, TRAIN))


@app.command("compare", context_settings=AS_THEY_ARE)
def compare(context: typer.Context) -> None:
    """Train variants side by side on one split: MMBee "MMBee content=none" SIM --dataset=tiktok."""
    from mmbee_plugin.recbole import run
    from mmbee_plugin.recbole.config.options import COMPARE

    raise typer.Exit(run.main(context.args, COMPARE))


@app.command("resume", context_settings=AS_THEY_ARE)
def resume(context: typer.Context) -> None:
    """Go on with a run that was stopped, to the same figures as without the stop: saved/...-last.pth."""
    from mmbee_plugin.recbole import run
    from mmbee_plugin.recbole.config.options import RESUME

    raise typer.Exit(run.main(context.args, RESUME))


@app.command("tune", context_settings=AS_THEY_ARE)
def tune(context: typer.Context) -> None:
    """Search a model's settings for the best validation metric: --model=MMBee --dataset=tiktok --max_evals=20."""
    from mmbee_plugin.recbole import tune as search

    raise typer.Exit(search.main(context.args))
