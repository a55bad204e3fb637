"""Declares studies: functions that return a verdict, a sheet and a plot, each a command of `mmbee`.

Parameters named in :data:`GIVEN` are options that all studies share; the decorator describes the others. Commands are
found by the decorator in the source, so adding a study is adding a file.
"""

from __future__ import annotations

import ast
import importlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import mmbee_plugin
from mmbee_plugin.errors import InputError

if TYPE_CHECKING:
    from mmbee_plugin.data.folder import DatasetFolder
    from mmbee_plugin.experiments.plots import Plot
    from mmbee_plugin.experiments.sheet import Sheet

FOLDERS = ("studies", "figures")
"""folders of the package that hold studies"""
GIVEN = ("checkpoint", "dataset", "data_path", "arguments", "jobs", "cells")
"""shared parameters of studies: an MMBee checkpoint, a dataset's name and parent folder, settings ``--key=value``,
cells made at a time, the folder of finished cells"""


class Answer:
    """The result of a study.

    Args:
        verdict: what the figures say, a clause without a full stop, as :func:`~mmbee_plugin.experiments.verdict.framed`
            takes it.
        folder: the data it was measured on, one or several sets of them, or one line that describes them.
        notes: further lines, on the HTML page only, such as the checkpoint.
        seeds: trainings that each figure is a mean of; None where none was made.
    """

    def __init__(
        self,
        verdict: str,
        sheet: Sheet,
        plot: Plot,
        folder: DatasetFolder | list[DatasetFolder] | str,
        *notes: str,
        seeds: int | None = None,
    ) -> None:
        self.verdict, self.sheet, self.plot = verdict, sheet, plot
        self.folder, self.notes, self.seeds = folder, notes, seeds

    def write(self, out: Path) -> tuple[list[str], str, Sheet]:
        """Writes the page with verdict, sheet, plot and the data's provenance; returns the lines of the last, the
        verdict, and the sheet as written, without p-values for generated samples."""
        from mmbee_plugin.experiments.page import write_page
        from mmbee_plugin.experiments.sheet import untested
        from mmbee_plugin.experiments.verdict import MIXED, framed
        from mmbee_plugin.recbole.training.report import provenance_lines

        folder, sheet, kind, real = self.folder, self.sheet, "real", False
        if isinstance(folder, str):  # times on this machine, of no data set
            data = [folder]
        else:
            folders = folder if isinstance(folder, list) else [folder]
            # The page prints the second line of the data in red, if they are not real.
            generated_first = sorted(folders, key=lambda one: one.kind == "real")
            data = [line for one in generated_first for line in provenance_lines(one)]
            kinds = {one.kind for one in folders}
            kind = folders[0].kind if len(kinds) == 1 else MIXED
            real = kind == "real"
            (sheet,) = untested([sheet]) if kind == "sample" else [sheet]
        verdict = framed(self.verdict, kind, self.seeds)
        write_page(out, sheet.title, verdict, [sheet], [self.plot], [*data, *self.notes], real)
        return data, verdict, sheet


Number = TypeVar("Number", int, float)
Function = TypeVar("Function", bound=Callable[..., Answer])
_STUDIES: dict[str, tuple[Callable[..., Answer], dict[str, Any]]] = {}


def study(command: str, out: str, **options: Any) -> Callable[[Function], Function]:
    """Registers a function as a study.

    Args:
        command: the words after ``mmbee``, such as ``study missing``.
        out: name of its page in ``results/``, without ``.html``.
        options: ``typer.Option`` of each parameter that is not in :data:`GIVEN`.
    """

    def registered(function: Function) -> Function:
        _STUDIES[command] = function, options
        return function

    return registered


def numbers(text: str, option: str, kind: type[Number]) -> list[Number]:
    """Parses an option's comma-separated numbers. Raises InputError for anything else."""
    try:
        return [kind(part) for part in text.split(",")]
    except ValueError:
        expected = "whole numbers" if kind is int else "numbers"
        raise InputError(f"{option} {text!r}: {expected} separated by commas are needed") from None


@dataclass(frozen=True)
class Declared:
    """A study as parsed from its source, without the seconds of importing torch and RecBole."""

    command: str
    out: Path
    help: str
    module: str

    def load(self) -> tuple[Callable[..., Answer], dict[str, Any]]:
        """Imports its module; returns its function and the options of its own."""
        importlib.import_module(self.module)
        return _STUDIES[self.command]


def declared() -> Iterator[Declared]:
    """All studies of :data:`FOLDERS`, sorted by file name within a folder."""
    root = Path(mmbee_plugin.__file__).parent
    for folder in FOLDERS:
        for path in sorted((root / folder).glob("*.py")):
            source = path.read_text(encoding="utf-8")
            for node in ast.parse(source).body if f"\n@{study.__name__}(" in source else ():
                if isinstance(node, ast.FunctionDef) and (call := _decorator(node)) is not None:
                    command, out = map(ast.literal_eval, call.args)
                    module, text = f"{mmbee_plugin.__name__}.{folder}.{path.stem}", ast.get_docstring(node)
                    yield Declared(command, Path(f"results/{out}.html"), text or "", module)


def _decorator(node: ast.FunctionDef) -> ast.Call | None:
    calls = (one for one in node.decorator_list if isinstance(one, ast.Call))
    return next((call for call in calls if ast.unparse(call.func) == study.__name__), None)
