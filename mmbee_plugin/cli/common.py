"""Options that several commands have."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

WITH_SETTINGS = {"allow_extra_args": True, "ignore_unknown_options": True}
Dataset = Annotated[str, typer.Option("--dataset", metavar="NAME", help="A folder in --data-path.")]
DataPath = Annotated[Path, typer.Option("--data-path", metavar="DIR", help="The folder of dataset folders.")]
Cells = Annotated[Path, typer.Option("--cells", metavar="DIR", help="Where finished cells are kept.")]
Out = Annotated[Path, typer.Option("--out", metavar="FILE", help="The HTML file to write.")]
