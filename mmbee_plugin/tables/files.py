"""The files that a table leaves behind, each replaced whole."""

from __future__ import annotations

import csv
import json
import os
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO, cast


@dataclass(frozen=True)
class Report:
    """Where a table's files stand."""

    path: Path
    """without a suffix."""

    @property
    def csv(self) -> Path:
        """A line for each row and figure."""
        return self._file("csv")

    @property
    def json(self) -> Path:
        """Everything, with each seed and the facts of each cell."""
        return self._file("json")

    @property
    def html(self) -> Path:
        """The tables and plots."""
        return self._file("html")

    def write(
        self,
        columns: Sequence[str],
        lines: Iterable[Mapping[str, Any]],
        content: Mapping[str, Any],
        page: str,
    ) -> None:
        """Writes the three files.

        Args:
            columns, lines: of the CSV; what a line lacks stays empty. content: of the JSON. page: the HTML.
        """
        with replaced(self.csv) as file:
            writer = csv.DictWriter(file, columns, restval="")
            writer.writeheader()
            writer.writerows(lines)
        write_json(self.json, content)
        with replaced(self.html) as file:
            file.write(page)

    def _file(self, suffix: str) -> Path:
        return self.path.with_name(f"{self.path.name}.{suffix}")


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    """Writes an object; what JSON has no form for as text."""
    with replaced(path) as file:
        json.dump(content, file, indent=1, default=str, ensure_ascii=False)
        file.write("\n")


@contextmanager
def replaced(path: Path) -> Iterator[TextIO]:
    """A file beside ``path``, which takes its place when the block ends without an error."""
    with tempfile.NamedTemporaryFile(
        "w", dir=path.parent, prefix=f".{path.name}.", encoding="utf-8", newline="", delete=False
    ) as file:
        try:
            yield cast(TextIO, file)
        except BaseException:
            os.unlink(file.name)
            raise
    os.chmod(file.name, 0o644)
    os.replace(file.name, path)
