"""The files that a table leaves behind, each replaced whole."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mmbee_plugin.files import check_writable, locked, replaced, write_json


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

    @contextmanager
    def alone(self) -> Iterator[None]:
        """While a run makes these files. Raises InputError where they cannot be written, or another run makes them."""
        check_writable(self.html)
        complaint = f"{self.path.name} is being made by another run; --out names other files"
        with locked(self.path.with_name(f".{self.path.name}.lock"), complaint):
            yield

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
