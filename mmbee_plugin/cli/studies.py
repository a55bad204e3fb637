"""`mmbee study …`, `figure …`, `diagnose` and others: commands generated from the declarations of studies."""

from __future__ import annotations

import inspect
import os
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperCommand

from mmbee_plugin.cli.common import WITH_SETTINGS, Cells, DataPath, Dataset, Out
from mmbee_plugin.cli.listing import of_runs, with_list
from mmbee_plugin.experiments.study import GIVEN, Answer, Declared, declared

GROUPS = {
    "study": "Studies beyond the paper, each a table and a plot.",
    "figure": "The paper's figures 5 and 6 and a room's timeline, with what they show as numbers.",
}
"""command groups that have only studies"""
Checkpoint = Annotated[Path, typer.Argument(metavar="CHECKPOINT", help="MMBee's, trained on labelled data.")]
Jobs = Annotated[int, typer.Option(min=1, help="Trainings side by side.")]
_ANNOTATIONS = dict(zip(GIVEN, (Checkpoint, Dataset, DataPath, typer.Context, Jobs, Cells), strict=True))
_DEFAULTS = {"data_path": Path("datasets"), "jobs": os.cpu_count() or 1, "cells": Path("results/cells")}


def add_studies(app: typer.Typer, groups: dict[str, typer.Typer]) -> None:
    """Adds every study to the group named by its first word, or to ``app`` if its command is one word."""
    for name, text in GROUPS.items():
        groups[name] = typer.Typer(help=text, no_args_is_help=True)
        app.add_typer(groups[name], name=name)
    for one in declared():
        group, _, name = one.command.rpartition(" ")
        of_study = type("Study", (_Deferred,), {"study": one})
        (groups[group] if group else app).command(name, cls=of_study, help=one.help)(_unloaded)


class _Deferred(TyperCommand):
    """A command that imports its study when it is called, since that imports torch and RecBole."""

    study: Declared

    def make_context(self, *arguments: Any, **given: Any) -> Any:
        """The context of the study's own command, which runs in place of this one."""
        app = typer.Typer(add_completion=False)
        function, options = self.study.load()
        takes: dict[str, Any] = {"cls": with_list(of_runs), "context_settings": WITH_SETTINGS}
        taken = takes if "arguments" in inspect.signature(function).parameters else {}
        app.command(self.name, help=self.help, **taken)(_command(self.study, function, options))
        return typer.main.get_command(app).make_context(*arguments, **given)


def _unloaded() -> None:
    """Placeholder in the list of commands; the study's own command runs instead."""


def _command(study: Declared, function: Any, options: dict[str, Any]) -> Any:
    """The study as a function of typer's options: its own, the shared ones, and ``--out`` for its page."""

    def run(**chosen: Any) -> None:
        from mmbee_plugin.files import check_writable

        out = chosen.pop("out")
        check_writable(out)
        if "arguments" in chosen:
            chosen["arguments"] = chosen["arguments"].args
        _show(function(**chosen), out)

    def parameter(name: str, default: Any, annotation: Any) -> inspect.Parameter:
        return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=annotation)

    parameters = [
        parameter(name, _DEFAULTS.get(name, one.default), _ANNOTATIONS[name])
        if name in GIVEN
        else parameter(name, one.default, Annotated[one.annotation, options[name]])
        for name, one in inspect.signature(function, eval_str=True).parameters.items()
    ]
    parameters.append(parameter("out", study.out, Out))
    run.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    run.__annotations__ = {one.name: one.annotation for one in parameters}
    return run


def _show(answer: Answer, out: Path) -> None:
    """Writes the answer's page and prints its sheet, both with the data's provenance."""
    from mmbee_plugin.experiments.terminal import shown

    data, verdict, sheet = answer.write(out)
    for line in [*data, "", verdict, "", *shown(sheet), "", f"Written: {out}"]:
        typer.echo(line)
