"""A study: a question of one function, which answers with a sheet and a figure, and which `mmbee` makes a command of.

Its parameters are the command's: the names in :data:`GIVEN` are those that all studies share, any other is an option of
its own, which the decorator describes. A study is found by its decorator, so a file with one is all that it takes.
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
    import plotly.graph_objects as go

    from mmbee_plugin.data.folder import DatasetFolder
    from mmbee_plugin.experiments.sheet import Sheet

FOLDERS = ("studies", "figures")
"""of the package, where studies are"""
GIVEN = ("checkpoint", "dataset", "data_path", "arguments", "jobs", "cells")
"""what a study may ask for by name: a checkpoint of MMBee, a dataset's name and where it is, settings ``--key=value``,
how many cells are made side by side, and where finished ones are kept"""


class Answer:
    """What a study found.

    Args:
        folder: the data that it is of. notes: further lines of the page alone, such as which checkpoint it was.
    """

    def __init__(self, sheet: Sheet, figure: go.Figure, folder: DatasetFolder, *notes: str) -> None:
        self.sheet, self.figure, self.folder, self.notes = sheet, figure, folder, notes


Number = TypeVar("Number", int, float)
Function = TypeVar("Function", bound=Callable[..., Answer])
_STUDIES: dict[str, tuple[Callable[..., Answer], dict[str, Any]]] = {}


def study(command: str, out: str, **options: Any) -> Callable[[Function], Function]:
    """Makes a function a study.

    Args:
        command: the words after ``mmbee``, such as ``study missing``.
        out: name of the page that it writes to ``results/``, without ``.html``.
        options: ``typer.Option`` of the parameters that are its own.
    """

    def registered(function: Function) -> Function:
        _STUDIES[command] = function, options
        return function

    return registered


def numbers(text: str, option: str, kind: type[Number]) -> list[Number]:
    """The numbers of an option's value, separated by commas. Raises InputError for anything else."""
    try:
        return [kind(part) for part in text.split(",")]
    except ValueError:
        expected = "whole numbers" if kind is int else "numbers"
        raise InputError(f"{option} {text!r}: {expected} separated by commas are needed") from None


@dataclass(frozen=True)
class Declared:
    """A study by its source, which is not imported, since that takes as long as torch and RecBole do."""

    command: str
    out: Path
    help: str
    module: str

    def load(self) -> tuple[Callable[..., Answer], dict[str, Any]]:
        """Its function, and the options of its own."""
        importlib.import_module(self.module)
        return _STUDIES[self.command]


def declared() -> Iterator[Declared]:
    """Every study of :data:`FOLDERS`, in the order of their files."""
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
