"""Options that several commands have."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

WITH_SETTINGS = {"allow_extra_args": True, "ignore_unknown_options": True}
AS_THEY_ARE = {**WITH_SETTINGS, "help_option_names": []}
"""context settings of a command whose arguments, ``--help`` too, are passed on"""
Dataset = Annotated[str, typer.Option("--dataset", metavar="NAME", help="A folder in --data-path.")]
DataPath = Annotated[Path, typer.Option("--data-path", metavar="DIR", help="The folder of dataset folders.")]
Cells = Annotated[Path, typer.Option("--cells", metavar="DIR", help="Where finished trainings are kept.")]
Out = Annotated[Path, typer.Option("--out", metavar="FILE", help="The HTML file to write.")]
